"""MAE: masked autoencoding, the baseline that every other method has to beat."""

import torch
from torch import Tensor, nn

from ..losses import RestorationLoss
from ..networks import ReconstructionNet
from ..transforms.views.types import HiddenViews
from .base import Method


class MAE(Method):
    """Method that fills in the hidden blocks of a volume from the visible rest.

    A hidden voxel is shown as 0, the lowest intensity. The error counts at hidden voxels alone.

    Args:
        student: Network that reconstructs.
        reconstruction: Error at the hidden voxels.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022, https://arxiv.org/abs/2111.06377,
    with a convolutional network, which sees the hidden blocks as a constant.

    Examples:
        >>> volume, hidden = torch.rand(1, 1, 32, 32, 32), torch.zeros(1, 1, 32, 32, 32)
        >>> hidden[:, :, :16] = 1
        >>> views = {"image": volume, "masked": volume * (1 - hidden), "hidden": hidden, "valid": 0 * volume + 1}
        >>> list(MAE(ReconstructionNet(UNet3d(), 1))(views))
        ['reconstruction']
    """

    parts = ("reconstruction",)

    student: ReconstructionNet

    def __init__(self, student: ReconstructionNet, *, reconstruction: nn.Module | None = None) -> None:
        super().__init__(student)
        self.reconstruction = reconstruction or RestorationLoss()

    def predict(self, views: HiddenViews) -> Tensor:
        """Return the reconstructed volumes (B, C, D, H, W)."""
        return self.student(views["masked"])

    def forward(self, views: HiddenViews) -> dict[str, Tensor]:
        """Return the loss: by default the mean squared error at hidden voxels."""
        restored = self.predict(views)
        return {"reconstruction": self.reconstruction(restored, views["image"], views["hidden"] * views["valid"])}

    def passes(self, views: HiddenViews) -> tuple[Tensor, ...]:
        """Return the reconstructed volumes."""
        return (self.predict(views),)

    def pictures(self, views: HiddenViews) -> dict[str, Tensor]:
        """Return each volume, what the network sees of it (hidden voxels are NaN), and how it is filled in."""
        image, hidden = views["image"][:, :1], views["hidden"] * views["valid"] > 0
        return {
            "image": image,
            "masked": image.masked_fill(hidden, torch.nan),
            "reconstruction": torch.where(hidden, self.predict(views)[:, :1], image),
        }
