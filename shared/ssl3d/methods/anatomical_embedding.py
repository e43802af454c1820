"""The anatomical embedding: a vector for each place of a body, learnt from two views of one volume."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import AnatomicalEmbeddingLoss
from ..networks import AnatomicalEmbeddingNet, Embeddings
from ..transforms.sampling import permutations
from ..transforms.views.types import WindowViews
from .base import Method


class AnatomicalEmbedding(Method):
    """Method that learns vectors that are equal at the same place of two views of a volume and differ elsewhere.

    Args:
        student: Network that embeds.
        loss: Contrast of the vectors; its subsets are drawn from (seed, draw).
        seed: Seed of the run.

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

    parts = ("fine", "coarse")
    monitors = ("match_error",)

    student: AnatomicalEmbeddingNet

    def __init__(
        self, student: AnatomicalEmbeddingNet, loss: AnatomicalEmbeddingLoss | None = None, seed: int = 0
    ) -> None:
        super().__init__(student)
        self.loss = loss or AnatomicalEmbeddingLoss(z_axis=2)
        self.seed = seed

    def predict(self, views: WindowViews) -> Embeddings:
        """Return the vectors of all windows, (2 B, ...)."""
        return self.student.embed(views["image"].flatten(0, 1))

    def forward(self, views: WindowViews) -> dict[str, Tensor]:
        """Return the parts of the loss, and ``match_error`` in mm.

        ``match_error`` is the median distance between the best match of a voxel in the other view and the voxel's true
        place there, over the anchors of the loss; nan without anchors.
        """
        coordinates, valid = views["coordinates"], views["valid"]
        fine, coarse = (vectors.unflatten(0, valid.shape[:2]) for vectors in self.predict(views))
        draws = views["draw"].tolist()
        parts = self.loss.of(fine, coarse, coordinates, valid, permutations(self.seed, draws, "embedding loss"))
        return {**parts, "match_error": self.loss.match_error}

    def passes(self, views: WindowViews) -> tuple[Tensor, ...]:
        """Return the vectors of all windows."""
        return self.predict(views)

    def pictures(self, views: WindowViews) -> dict[str, Tensor]:
        """Return both windows, and how similar each place of the second is to the middle of the first."""
        image = views["image"]
        first, second = (self.student(image[:, view]) for view in (0, 1))
        middle = first[:, :, first.shape[2] // 2, first.shape[3] // 2, first.shape[4] // 2]  # (B, 2E)
        similarity = torch.einsum("be,bedhw->bdhw", middle, second)[:, None] / 2
        size = list(image.shape[3:])
        return {
            "first window": image[:, 0, :1],
            "second window": image[:, 1, :1],
            "similarity to the first's middle": F.interpolate(similarity, size, mode="trilinear", align_corners=False),
        }
