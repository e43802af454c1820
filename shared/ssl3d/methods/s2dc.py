"""S2DC: tokens that are similar within an anatomical structure and differ between structures."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..losses import PatchMatchingLoss, QueueContrastiveLoss, StructureConsistencyLoss
from ..losses.token_pairs import token_pairs
from ..networks import TokenNet
from ..transforms import join_crops, split_crops
from ..transforms.crop_grid import check_crops
from ..transforms.views.types import WarpedViews
from .base import Method
from .key_queue import KeyQueue, gathered
from .token_monitors import matching_accuracy, token_spread


class Tokens(NamedTuple):
    """Outputs of student and teacher for the views of B items with P crops and N cells.

    Attributes:
        query: (B, N, E), the student's tokens of the volume.
        key: (B, N, E), the teacher's tokens of the warped copy.
        embedding: (B, E), the student's embedding of the chosen crop.
        partners: (B, P, E), the teacher's embeddings of the augmented crops.
        next_key: (B, E), the teacher's embedding of the chosen crop, for the queue.
    """

    query: Tensor
    key: Tensor
    embedding: Tensor
    partners: Tensor
    next_key: Tensor


class S2DC(Method):
    """Method that matches patches of a volume with those of a warped copy, and contrasts crops of different volumes.

    The student sees the crops of the volume, the teacher, an average of former students, those of the warped copy.
    Three losses: the patch matching by optimal transport against the known correspondence; the consistency, which
    counts a match the less the more patches look like it; the contrast of one crop with its augmented copy, against all
    other augmented crops of the batch, over all processes, and a queue of former ones.

    The teacher is moved by ``ssl3d.engines.TeacherUpdate``. In evaluation the queue stays as it is, and nothing is
    gathered, since the batches of the processes may differ.

    Args:
        student: Network that is trained; its teacher is used afterwards.
        crops: Number of crops of a volume along D, H, W, as in ``CorrespondenceViews``.
        queue_size: Keys in the queue, a multiple of the batch over all processes.
        matching: Loss of the matching of patches.
        consistency: Loss of the similarity structure of patches.
        contrast: Loss of whole crops; by default at temperature 0.1.

    Raises:
        ValueError: arguments of another form; in a call, crops that do not fit the backbone, or views of other cells.

    Source: S2DC, ICCV 2025, https://arxiv.org/abs/2507.02581. Departures from its released code: exact correspondence
    in three dimensions, layer normalisation in the heads, unit-norm embeddings, padding counts nowhere.

    Example:
        >>> image, valid = torch.rand(1, 1, 32, 32, 32), torch.ones(1, 1, 32, 32, 32)
        >>> views, _ = CorrespondenceViews((1, 2, 2), 8)({"image": image, "valid": valid, "draw": torch.tensor([0])})
        >>> [name for name in S2DC(TokenNet(UNet3d(), 8), (1, 2, 2), queue_size=8)(views)]
        ['matching', 'consistency', 'contrast', 'accuracy', 'chance', 'dustbin', 'feature_std', 'effective_rank']
    """

    parts = ("matching", "consistency", "contrast")
    monitors = ("accuracy", "chance", "dustbin", "feature_std", "effective_rank")
    published = "teacher"
    trained = "encoder"

    student: TokenNet
    teacher: TokenNet

    def __init__(
        self,
        student: TokenNet,
        crops: Sequence[int],
        queue_size: int,
        *,
        matching: PatchMatchingLoss | None = None,
        consistency: StructureConsistencyLoss | None = None,
        contrast: nn.Module | None = None,
    ) -> None:
        super().__init__(student, teacher=True)
        if len(crops) != 3 or min(crops) < 1:
            raise ValueError(f"crops must be three whole numbers of at least 1, along D, H, W, got {tuple(crops)}.")
        self.crops = tuple(crops)
        self.queue = KeyQueue(queue_size, student.out_channels)
        self.matching = matching or PatchMatchingLoss()
        self.consistency = consistency or StructureConsistencyLoss()
        self.contrast = contrast or QueueContrastiveLoss(temperature=0.1)

    def check_settings(self, roi_size: Sequence[int], batch_size: int) -> None:
        """Check that crops tile the volumes, that the backbone fits the crops, and that batches fit the queue."""
        self._check_crop(check_crops(roi_size, self.crops), roi_size)
        self.queue.check_batch(batch_size)

    def predict(self, views: WarpedViews) -> Tokens:
        """Return tokens and embeddings of a batch."""
        crops = self._split(views["image"])
        batch, per_item = len(views["image"]), len(crops) // len(views["image"])
        chosen = views["chosen"] + per_item * torch.arange(batch, device=crops.device)  # among all crops
        seen = self.student.encode(crops)
        query = self._join(self.student.tokens(seen))
        embedding = self.student.embedding(seen)[chosen]
        with torch.no_grad():
            key = self._join(self.teacher(self._split(views["warped"])))
            # The chosen crops and the augmented ones in one pass.
            others = self.teacher.encode(torch.cat([crops[chosen], self._split(views["augmented"])]))
            next_key, partners = self.teacher.embedding(others).split([batch, len(crops)])
        return Tokens(query, key, embedding, partners.unflatten(0, (batch, per_item)), next_key)

    def forward(self, views: WarpedViews) -> dict[str, Tensor]:
        """Return the parts of the loss and the monitors.

        ``accuracy`` is the share of tokens with a partner whose most similar token in the copy is that partner,
        ``chance`` what guessing would give, ``dustbin`` the share of the student's mass that found no partner;
        ``feature_std`` and ``effective_rank`` of the student's tokens, see ``token_spread``.
        """
        tokens = self.predict(views)
        truth, masks = views["correspondence"], (views["image_valid"], views["warped_valid"])
        if truth.shape[1] != tokens.query.shape[1]:
            raise ValueError(
                f"The views have {truth.shape[1]} cells a volume and the network {tokens.query.shape[1]} tokens: the "
                f"cell of the views must be the stride of the tokens, {self.student.stride} voxels."
            )
        pairs = token_pairs(tokens.query, tokens.key, truth, *masks)
        matching = self.matching.of(pairs)
        accuracy, chance = matching_accuracy(pairs)
        std, rank = token_spread(tokens.query.detach(), views["image_valid"])
        return {
            "matching": matching,
            "consistency": self.consistency.of(pairs),
            "contrast": self._contrast(tokens, views),
            "accuracy": accuracy,
            "chance": chance,
            "dustbin": self.matching.unmatched,
            "feature_std": std,
            "effective_rank": rank,
        }

    def passes(self, views: WarpedViews) -> tuple[Tensor, ...]:
        """Return tokens and embeddings of student and teacher."""
        return self.predict(views)

    def pictures(self, views: WarpedViews) -> dict[str, Tensor]:
        """Return the scan, its views, and its cells coloured by their partners.

        The cells of the warped copy are coloured by their place. In the scan, each cell has the colour of its true
        partner, and of the partner that the tokens find; a cell without partner has none.
        """
        tokens = self.predict(views)
        masks = views["image_valid"], views["warped_valid"]
        pairs = token_pairs(tokens.query, tokens.key, views["correspondence"], *masks)
        partnered = pairs.positive.any(dim=2)
        true = pairs.positive.float().argmax(dim=2)
        found = pairs.cosine.masked_fill(~pairs.key_valid[:, None], -torch.inf).argmax(dim=2)
        scan, copied, moved = (volume[:, :1] for volume in (views["image"], views["warped"], views["augmented"]))
        own = torch.arange(pairs.key_valid.shape[1], device=scan.device).expand_as(pairs.key_valid)
        return {
            "scan": scan,
            "its crops, each moved": moved,
            "warped copy, cells coloured": self._coloured(copied, own, pairs.key_valid),
            "scan, true partners": self._coloured(scan, true, partnered),
            "scan, matched cells": self._coloured(scan, found, partnered),
        }

    def _coloured(self, volume: Tensor, cells: Tensor, shown: Tensor) -> Tensor:
        """Blend the colours of cells (B, N), given by number, into a volume: (B, 3, D, H, W)."""
        grid = [length // self.student.stride for length in volume.shape[2:]]
        places = torch.meshgrid([torch.linspace(0, 1, count) for count in grid], indexing="ij")
        colours = torch.stack(places).flatten(1).to(volume)[:, cells].transpose(0, 1)  # (B, 3, N)
        colours, shown = (value.unflatten(2, grid) for value in (colours, shown[:, None]))
        colours, weight = (
            nn.functional.interpolate(value.to(volume), volume.shape[2:]) for value in (colours, 0.6 * shown)
        )
        return weight * colours + (1 - weight) * volume.clamp(0, 1)

    def _contrast(self, tokens: Tokens, views: WarpedViews) -> Tensor:
        number = torch.arange(tokens.partners.shape[1], device=tokens.partners.device)
        is_chosen = number == views["chosen"][:, None]  # (B, P)
        positive = tokens.partners[is_chosen]  # (B, E)
        usable = views["crop_valid"] & ~is_chosen
        values = (tokens.partners, usable, tokens.next_key, views["draw"])
        partners, usable, keys, draws = (gathered(value) for value in values) if self.training else values
        loss = self.contrast(tokens.embedding, positive, torch.cat([partners[usable], self.queue.keys]))
        if self.training:
            self.queue.add(keys, draws)
        return loss

    def _split(self, volume: Tensor) -> Tensor:
        crops = split_crops(volume, self.crops)
        self._check_crop(crops.shape[2:], volume.shape[2:])
        return crops

    def _check_crop(self, crop: Sequence[int], size: Sequence[int]) -> None:
        coarsest = max(self.student.backbone.encoder_strides)
        if any(length % coarsest for length in crop):
            raise ValueError(
                f"A crop of {tuple(crop)} voxels (a volume of {tuple(size)} in {self.crops} crops) does not fit the "
                f"backbone, whose coarsest stride is {coarsest}: it would be padded, and its tokens would be beside "
                f"their cells. Take a roi_size that is a multiple of {coarsest} times the crops."
            )

    def _join(self, maps: Tensor) -> Tensor:
        """Join tokens of crops (B · P, E, d, h, w) to tokens of volumes (B, N, E)."""
        return join_crops(maps, self.crops).flatten(2).transpose(1, 2)
