"""Contrast anatomical places: embeddings of the same point of a body in two views against those of other points."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .embedding_tokens import (
    Contrast,
    Permutation,
    Tokens,
    cells,
    cross_entropy,
    distances,
    hardest,
    nearest,
    subset,
    upsampled,
    volume_tokens,
)
from .gathering import gather_batch
from .masked_mean import at_least_float32
from .token_pairs import check_unit_norm

CLOSEST = 0.5  # mm beyond the smallest distance, used if no voxel has a partner within positive_distance


class AnatomicalEmbeddingLoss(nn.Module):
    """Cross entropy, over ``temperature``, of the similarity of an anchor to its own place against other places.

    *Fine*: anchors lie in the overlap of the two views of a volume. The positive of an anchor is the nearest voxel of
    the other view. Negatives are a random subset of the most similar voxels of both views (by fine and coarse embedding
    together) that are at least ``ignore_distance`` away. If the views do not overlap, voxels of the first view are
    contrasted with the rest of that view.

    *Coarse*: all cells with a counterpart in the other view are anchors. Negatives are hard ones of the same volume and
    random ones of the other volumes of the batch, over all processes. Without any counterpart each cell is its own
    positive.

    Tokens that are ignored or not valid are never selected, whatever their similarity. A volume with nothing to
    compare counts 0.

    After a call ``match_error`` holds the median matching error in mm over the fine anchors: the distance from the most
    similar voxel of the other view to the true place of the anchor; nan if no views overlap.

    Args:
        temperature: Temperature of the softmax, positive.
        positive_distance, ignore_distance: Largest distance to a positive and smallest to a negative, fine, in mm.
        coarse_positive_distance, coarse_ignore_distance: Same for coarse anchors, in mm.
        coarse_max_z: Largest distance along ``z_axis`` to a coarse positive, mm, not included.
        z_axis: Channel of ``coordinates`` that runs along the body.
        candidates, anchors: Number of voxels of the overlap to try, and number to keep, in each view.
        hard_negatives, negatives: Number of most similar voxels, and number of random ones among these.
        coarse_hard_negatives, coarse_negatives: Same for coarse cells.
        global_negatives: Number of coarse cells of other volumes, 0 or more.
        permutation: Function that permutes n numbers; a random subset of size k is ``permutation(n)[:k]``.

    Raises:
        ValueError: an argument outside these bounds; in a call, a wrong shape, or embeddings that are not of norm 1.

    Source: Yan et al., SAM: Self-supervised Learning of Pixel-wise Anatomical Embeddings in Radiological Images
    (arXiv:2012.02383), section III, as in its released code, except that ignored tokens are never selected (there they
    had similarity 0) and that tokens in padding are left out.

    Example:
        >>> fine = F.normalize(torch.rand(2, 2, 8, 4, 4, 4), dim=2)
        >>> coarse = F.normalize(torch.rand(2, 2, 8, 2, 2, 2), dim=2)
        >>> grid = torch.stack(torch.meshgrid([2.0 * torch.arange(8)] * 3, indexing="ij"))
        >>> coordinates, valid = grid.expand(2, 2, 3, 8, 8, 8), torch.ones(2, 2, 1, 8, 8, 8)
        >>> sorted(AnatomicalEmbeddingLoss(z_axis=2)(fine, coarse, coordinates, valid))
        ['coarse', 'fine']
    """

    def __init__(
        self,
        *,
        temperature: float = 0.5,
        positive_distance: float = 5.0,
        ignore_distance: float = 3.0,
        coarse_positive_distance: float = 25.0,
        coarse_ignore_distance: float = 5.0,
        coarse_max_z: float = 6.0,
        z_axis: int = 0,
        candidates: int = 2000,
        anchors: int = 100,
        hard_negatives: int = 2000,
        negatives: int = 500,
        coarse_hard_negatives: int = 250,
        coarse_negatives: int = 200,
        global_negatives: int = 300,
        permutation: Permutation = torch.randperm,
    ) -> None:
        super().__init__()
        positive = {
            "temperature": temperature,
            "positive_distance": positive_distance,
            "coarse_positive_distance": coarse_positive_distance,
            "coarse_max_z": coarse_max_z,
        }
        ignored = {"ignore_distance": ignore_distance, "coarse_ignore_distance": coarse_ignore_distance}
        counts = {
            "candidates": candidates,
            "anchors": anchors,
            "hard_negatives": hard_negatives,
            "negatives": negatives,
            "coarse_hard_negatives": coarse_hard_negatives,
            "coarse_negatives": coarse_negatives,
        }
        for name, value in positive.items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}.")
        for name, value in ignored.items():
            if not value >= 0:
                raise ValueError(f"{name} must be 0 or more, got {value}.")
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        if global_negatives < 0:
            raise ValueError(f"global_negatives must be 0 or more, got {global_negatives}.")
        if z_axis not in (0, 1, 2):
            raise ValueError(f"z_axis must be 0, 1 or 2, got {z_axis}.")
        self.temperature = temperature
        self.positive_distance, self.ignore_distance = positive_distance, ignore_distance
        self.coarse_positive_distance = coarse_positive_distance
        self.coarse_ignore_distance = coarse_ignore_distance
        self.coarse_max_z, self.z_axis = coarse_max_z, z_axis
        self.candidates, self.anchors = candidates, anchors
        self.hard_negatives, self.negatives = hard_negatives, negatives
        self.coarse_hard_negatives, self.coarse_negatives = coarse_hard_negatives, coarse_negatives
        self.global_negatives = global_negatives
        self.permutation = permutation
        self.match_error = torch.tensor(torch.nan)

    def forward(
        self,
        fine: Tensor,
        coarse: Tensor,
        coordinates: Tensor,
        valid: Tensor,
        permutation: Permutation | Sequence[Permutation] | None = None,
    ) -> dict[str, Tensor]:
        """Compare the embeddings of V volumes of two views each.

        Args:
            fine: ``(V, 2, E, D, H, W)``, unit-norm.
            coarse: ``(V, 2, E, d, h, w)``, unit-norm.
            coordinates: ``(V, 2, 3, D0, H0, W0)``, position of the voxels of the views in mm.
            valid: ``(V, 2, 1, D0, H0, W0)``, of any dtype, 1 where a voxel is real and 0 where it is padding.
            permutation: Replacement for the constructor's, or one per volume, so that the subsets of a volume do not
                depend on the rest of the batch.

        Returns:
            Scalars ``fine`` and ``coarse`` in the dtype of ``fine``, float32 at least: means over the volumes.
        """
        _check(fine, coarse, coordinates, valid)
        for name, tokens in {"fine": fine, "coarse": coarse}.items():
            inside = cells(coordinates, valid, tokens.shape[3:])[1]
            check_unit_norm(name, tokens.flatten(3).transpose(2, 3), inside)
        return self.of(fine, coarse, coordinates, valid, permutation)

    def of(
        self,
        fine: Tensor,
        coarse: Tensor,
        coordinates: Tensor,
        valid: Tensor,
        permutation: Permutation | Sequence[Permutation] | None = None,
    ) -> dict[str, Tensor]:
        """Compute the loss like :meth:`forward`, without checking the norms of the embeddings."""
        _check(fine, coarse, coordinates, valid)
        permutations = self._permutations(permutation, len(fine))
        fine, coarse = at_least_float32(fine), at_least_float32(coarse).to(at_least_float32(fine))
        fine_points, fine_valid = cells(coordinates, valid, fine.shape[3:])  # (V, 2, n, 3), (V, 2, n)
        coarse_points, coarse_valid = cells(coordinates, valid, coarse.shape[3:])
        everywhere, first, step = gather_batch(coarse)
        everywhere_valid = gather_batch(coarse_valid)[0]
        parts: dict[str, list[Tensor]] = {"fine": [], "coarse": []}
        errors: list[Tensor] = []
        for item, permute in enumerate(permutations):
            with torch.no_grad():  # used for selection only
                guide = upsampled(coarse[item], coarse_valid[item], fine.shape[3:])
                guide = volume_tokens(guide, fine_points[item], fine_valid[item]).features
            tokens = volume_tokens(fine[item], fine_points[item], fine_valid[item])
            loss, error = self._fine(tokens, guide, permute)
            parts["fine"].append(loss)
            errors.append(error)
            others = torch.arange(len(everywhere), device=coarse.device) != first + step * item
            elsewhere = everywhere[others].flatten(3).transpose(2, 3)[everywhere_valid[others]]  # (m, E)
            tokens = volume_tokens(coarse[item], coarse_points[item], coarse_valid[item])
            parts["coarse"].append(self._coarse(tokens, elsewhere, permute))
        found = torch.cat(errors)
        self.match_error = found.median() if len(found) else found.new_tensor(torch.nan)
        return {name: torch.stack(losses).mean() for name, losses in parts.items()}

    def _fine(self, tokens: Tokens, guide: Tensor, permute: Permutation) -> tuple[Tensor, Tensor]:
        """Return the fine loss of a volume, and the distance (A) of each anchor's best match from the truth in mm.

        ``guide`` (n, E) holds the volume's coarse vectors at the fine tokens.
        """
        device, contrasts, errors = tokens.view.device, [], []
        with torch.no_grad():
            none = tokens.view[:0]
            both = torch.cat([tokens.features, guide], dim=1)  # (n, 2E)
            for view in (0, 1):
                anchors, positives = self._anchors(tokens, view, permute)
                score = both[anchors] @ both.T  # (A, n)
                errors.append(self._errors(tokens, anchors, score, 1 - view))
                allowed = distances(tokens.points[anchors], tokens.points) >= self.ignore_distance  # (A, n)
                hard, allowed = hardest(score, allowed, self.hard_negatives)
                some = subset(hard.shape[1], self.negatives, permute, device)
                contrasts.append(Contrast(anchors, positives, hard[:, some], allowed[:, some], none))
            if not any(len(contrast.anchors) for contrast in contrasts):
                first = tokens.of_view(0)
                anchors = first[subset(len(first), self.anchors, permute, device)]
                allowed = distances(tokens.points[anchors], tokens.points) >= self.ignore_distance
                score = tokens.features[anchors] @ tokens.features.T
                hard, allowed = hardest(score, allowed & (tokens.view == 0), self.negatives)
                contrasts = [Contrast(anchors, anchors, hard, allowed, none)]
        return cross_entropy(tokens.features, contrasts, tokens.features, self.temperature), torch.cat(errors)

    def _anchors(self, tokens: Tokens, view: int, permute: Permutation) -> tuple[Tensor, Tensor]:
        """Choose anchors of one view in the overlap, and find the nearest tokens of the other view."""
        own, other = tokens.of_view(view), tokens.of_view(1 - view)
        if not len(own) or not len(other):
            return own[:0], own[:0]
        points, others = tokens.points[own], tokens.points[other]
        low, high = torch.maximum(points.amin(0), others.amin(0)), torch.minimum(points.amax(0), others.amax(0))
        own = own[((points >= low) & (points <= high)).all(1)]
        own = own[subset(len(own), self.candidates, permute, own.device)]
        if not len(own):
            return own, own
        distance, index = nearest(tokens.points[own], others)
        close = distance < self.positive_distance
        if not close.any():
            close = distance <= distance.min() + CLOSEST
        own, positives = own[close], other[index[close]]
        some = subset(len(own), self.anchors, permute, own.device)
        return own[some], positives[some]

    def _errors(self, tokens: Tokens, anchors: Tensor, score: Tensor, view: int) -> Tensor:
        """Return the distance (A) from each anchor to the token of ``view`` with the highest score (A, n)."""
        if not len(anchors):
            return score.new_zeros(0)
        candidates = tokens.of_view(view)  # consecutive indices
        best = score[:, candidates[0] : candidates[-1] + 1].argmax(dim=1) + candidates[0]
        return (tokens.points[anchors] - tokens.points[best]).norm(dim=1)

    def _coarse(self, tokens: Tokens, elsewhere: Tensor, permute: Permutation) -> Tensor:
        """Return the coarse loss of a volume; ``elsewhere`` (m, E) holds the coarse tokens of the other volumes."""
        device, contrasts = tokens.view.device, []
        with torch.no_grad():
            score = tokens.features @ tokens.features.T  # (n, n)
            distance = distances(tokens.points, tokens.points)
            positives, queries = self._counterparts(tokens, distance)
            alone = not queries.any()  # then each cell is its own counterpart, and no subset is taken
            count = self.coarse_negatives if alone else self.coarse_hard_negatives
            for view in (0, 1):
                anchors = ((tokens.view == view) & (queries | alone)).nonzero()[:, 0]
                hard, allowed = hardest(score[anchors], distance[anchors] >= self.coarse_ignore_distance, count)
                some = subset(hard.shape[1], self.coarse_negatives, permute, device)
                others = subset(len(elsewhere), self.global_negatives, permute, device)
                partner = anchors if alone else positives[anchors]
                contrasts.append(Contrast(anchors, partner, hard[:, some], allowed[:, some], others))
        return cross_entropy(tokens.features, contrasts, elsewhere, self.temperature)

    def _counterparts(self, tokens: Tokens, distance: Tensor) -> tuple[Tensor, Tensor]:
        """Return for each token the nearest one of the other view (n), and whether it is close enough (n)."""
        across = distance.masked_fill(tokens.view[:, None] == tokens.view, torch.inf)
        if not across.isfinite().any():
            return tokens.view, torch.zeros_like(tokens.view, dtype=torch.bool)
        smallest, index = across.min(dim=1)
        height = (tokens.points - tokens.points[index])[:, self.z_axis].abs()
        return index, (smallest < self.coarse_positive_distance) & (height < self.coarse_max_z)

    def _permutations(
        self, permutation: Permutation | Sequence[Permutation] | None, volumes: int
    ) -> Sequence[Permutation]:
        if permutation is None or callable(permutation):
            return [permutation or self.permutation] * volumes
        if len(permutation) != volumes:
            raise ValueError(f"permutation must be one, or one for each of {volumes} volumes, got {len(permutation)}.")
        return permutation


def _check(fine: Tensor, coarse: Tensor, coordinates: Tensor, valid: Tensor) -> None:
    volumes = fine.shape[0] if fine.ndim else 0
    expected = {
        "fine": (fine, "E", None),
        "coarse": (coarse, "E", fine.shape[2] if fine.ndim == 6 else None),
        "coordinates": (coordinates, "3", 3),
        "valid": (valid, "1", 1),
    }
    for name, (tensor, letter, channels) in expected.items():
        shape = tuple(tensor.shape)
        if len(shape) != 6 or shape[:2] != (volumes, 2) or channels not in (None, shape[2]) or 0 in shape:
            raise ValueError(f"{name} must have shape (V, 2, {letter}, D, H, W), here V = {volumes}, got {shape}.")
    if valid.shape[3:] != coordinates.shape[3:]:
        raise ValueError(
            f"valid and coordinates must have one grid, got {tuple(valid.shape)} and {tuple(coordinates.shape)}."
        )
