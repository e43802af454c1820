"""The anatomical embedding: each place of a body learns its own vector, from two views of one volume."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import AnatomicalEmbeddingLoss
from ..networks import AnatomicalEmbeddingNet
from ..transforms.sampling import permutations


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

    def __init__(self, student: AnatomicalEmbeddingNet, loss: AnatomicalEmbeddingLoss, seed: int = 0) -> None:
        super().__init__()
        self.student = student
        self.loss = loss
        self.seed = seed

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Parts of the loss, scalars: ``fine`` and ``coarse``; and ``match_error`` in mm to watch.

        ``match_error`` is the median distance between the best match of a voxel in the other view and the voxel's true
        place there, over the anchors of the loss; nan where there is none.

        Args:
            views: of ``EmbeddingViews``: ``image`` (B, 2, C, D, H, W), ``coordinates``, ``valid``, ``draw``.
        """
        image, coordinates, valid = views["image"], views["coordinates"], views["valid"]
        fine, coarse = (volume.unflatten(0, image.shape[:2]) for volume in self.student.embed(image.flatten(0, 1)))
        draws = views["draw"].tolist()
        parts = self.loss.of(fine, coarse, coordinates, valid, permutations(self.seed, draws, "embedding loss"))
        return {**parts, "match_error": self.loss.match_error}  # type: ignore[dict-item]

    def pictures(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return volumes to draw by title, (B, 1, D, H, W).

        The last one shows how similar each place of the second window is to the middle of the first.
        """
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
