"""MAE: masked autoencoding, the baseline that every other method has to beat."""

import torch
from torch import Tensor, nn

from ..losses import RestorationLoss
from ..networks import ReconstructionNet


class MAE(nn.Module):
    """Fills in the hidden blocks of a volume from the visible rest.

    A hidden voxel is shown as 0, the lowest intensity. The error counts at hidden voxels alone.

    Args:
        student: the network that reconstructs; what is used afterwards.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022, https://arxiv.org/abs/2111.06377,
    with a convolutional network, which sees the hidden blocks as a constant.

    Examples:
        >>> volume, hidden = torch.rand(1, 1, 32, 32, 32), torch.zeros(1, 1, 32, 32, 32)
        >>> hidden[:, :, :16] = 1
        >>> views = {"image": volume, "masked": volume * (1 - hidden), "hidden": hidden, "valid": 0 * volume + 1}
        >>> list(MAE(ReconstructionNet(UNet3d(), 1))(views))
        ['reconstruction']
    """

    def __init__(self, student: ReconstructionNet) -> None:
        super().__init__()
        self.student = student
        self.reconstruction = RestorationLoss()

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss, a scalar ``reconstruction``: the mean squared error at hidden voxels.

        Args:
            views: ``image`` and, with its hidden voxels at 0, ``masked`` (B, C, D, H, W); ``hidden`` and ``valid`` (B,
                1, D, H, W), 1 where a voxel is hidden, and where it is real and not padding.
        """
        restored = self.student(views["masked"])
        return {"reconstruction": self.reconstruction(restored, views["image"], views["hidden"] * views["valid"])}

    def pictures(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return volumes to draw by title, (B, 1, D, H, W).

        Voxels that are hidden from the network are NaN; padding stays as it is.
        """
        image, hidden = views["image"][:, :1], views["hidden"] * views["valid"] > 0
        return {
            "image": image,
            "masked": image.masked_fill(hidden, torch.nan),
            "reconstruction": torch.where(hidden, self.student(views["masked"])[:, :1], image),
        }
