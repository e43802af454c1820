"""The anatomical embedding: each place of a body learns its own vector, from two views of one volume."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import AnatomicalEmbeddingLoss
from ..networks import AnatomicalEmbeddingNet, on_fine_grid
from ..transforms.sampling import permutations

PROBES = 64  # voxels of a volume whose match is measured


class AnatomicalEmbedding(nn.Module):
    """Learns vectors that are equal at equal places of two views of a volume, and differ from those of other places.

    Args:
        student: the network that embeds; what is used afterwards.
        loss: the contrast; its subsets are drawn from (seed, draw) here.
        seed: of the run.

    Source: Yan et al., SAM: Self-supervised Learning of Pixel-wise Anatomical Embeddings in Radiological Images
    (arXiv:2012.02383), which Alice (arXiv:2302.05615) finds its pairs with.

    Examples:
        >>> from ssl3d.transforms import EmbeddingViews, TwoWindows
        >>> volume = {"image": torch.rand(1, 1, 40, 40, 40), "valid": torch.ones(1, 1, 40, 40, 40)}
        >>> views, _ = EmbeddingViews(TwoWindows((32, 32, 32)), (2, 2, 2))({**volume, "draw": torch.tensor([0])})
        >>> method = AnatomicalEmbedding(AnatomicalEmbeddingNet(UNet3d()), AnatomicalEmbeddingLoss(z_axis=2))
        >>> sorted(method(views))
        ['coarse', 'fine', 'match_error']
    """

    monitors = ("match_error",)  # of what a call gives; no losses

    def __init__(self, student: AnatomicalEmbeddingNet, loss: AnatomicalEmbeddingLoss, seed: int = 0) -> None:
        super().__init__()
        self.student = student
        self.loss = loss
        self.seed = seed

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Parts of the loss, scalars: ``fine`` and ``coarse``; and ``match_error`` in mm to watch.

        ``match_error`` is the median distance between the best match of a voxel of the first view in the second and the
        voxel's true place there, over some voxels that both views show; nan where there is none.

        Args:
            views: of ``EmbeddingViews``: ``image`` (B, 2, C, D, H, W), ``coordinates``, ``valid``, ``draw``.
        """
        image, coordinates, valid = views["image"], views["coordinates"], views["valid"]
        fine, coarse = (volume.unflatten(0, image.shape[:2]) for volume in self.student.embed(image.flatten(0, 1)))
        draws = views["draw"].tolist()
        parts = self.loss(fine, coarse, coordinates, valid, permutations(self.seed, draws, "embedding loss"))
        return {**parts, "match_error": match_error(fine.detach(), coarse.detach(), coordinates, valid)}

    def pictures(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """What a person wants to see of views: volumes (B, 1, D, H, W) by name.

        ``similarity`` shows how similar each place of the second view is to the middle of the first.
        """
        image = views["image"]
        first, second = (self.student(image[:, view]) for view in (0, 1))
        middle = first[:, :, first.shape[2] // 2, first.shape[3] // 2, first.shape[4] // 2]  # (B, 2E)
        similarity = torch.einsum("be,bedhw->bdhw", middle, second)[:, None] / 2
        size = list(image.shape[3:])
        return {
            "first": image[:, 0, :1],
            "second": image[:, 1, :1],
            "similarity": F.interpolate(similarity, size, mode="trilinear", align_corners=False),
        }


def match_error(fine: Tensor, coarse: Tensor, coordinates: Tensor, valid: Tensor) -> Tensor:
    """Median distance in mm from the best match to the true place of some voxels; shapes as in the loss."""
    volumes, size = len(fine), (fine.shape[3], fine.shape[4], fine.shape[5])
    vectors = on_fine_grid(fine.flatten(0, 1), coarse.flatten(0, 1)).unflatten(0, (volumes, 2)).flatten(3)
    places = F.interpolate(coordinates.flatten(0, 1), size, mode="trilinear", align_corners=False)
    places = places.unflatten(0, (volumes, 2)).flatten(3)  # (V, 2, 3, n)
    real = (F.adaptive_avg_pool3d(valid.flatten(0, 1), size) == 1).unflatten(0, (volumes, 2)).flatten(2)  # (V, 2, n)
    errors = []
    for vector, place, known in zip(vectors, places, real, strict=True):
        other, target = vector[1][:, known[1]], place[1][:, known[1]]  # (2E, m), (3, m)
        if not target.numel():
            continue
        inside = (place[0] >= target.amin(1)[:, None]) & (place[0] <= target.amax(1)[:, None])
        probes = (inside.all(0) & known[0]).nonzero()[:, 0]
        probes = probes[:: max(1, len(probes) // PROBES)]
        best = (vector[0][:, probes].T @ other).argmax(dim=1)  # (probes)
        errors.append((place[0][:, probes] - target[:, best]).norm(dim=0))
    found = torch.cat(errors) if errors else fine.new_zeros(0)
    return found.median() if len(found) else fine.new_tensor(torch.nan)
