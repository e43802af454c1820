"""GVSL: geometric visual similarity learning, a network that learns by registering volumes of different people."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..geometry import warp_flow
from ..losses import FlowSmoothnessLoss, LocalNCCLoss, RestorationLoss
from ..networks import Alignment, RegistrationNet, RestorationHead


class Predictions(NamedTuple):
    """What the network makes of a pair.

    Attributes:
        alignment: of the moving onto the fixed volume.
        warped: (B, 1, D, H, W), the moving volume on the fixed one.
        restored: (B, 1, D, H, W), the fixed volume, restored from its corrupted copy.
    """

    alignment: Alignment
    warped: Tensor
    restored: Tensor


class GVSL(nn.Module):
    """Registers a moving volume onto a corrupted fixed one, and restores the fixed one, with one backbone.

    The moving volume is warped and compared with the clean fixed volume by local cross-correlation. So equal anatomy
    must come to have equal features, whatever the person.

    Args:
        student: the network that registers; what is used afterwards.
        restoration_channels: width of the restoration head, a multiple of 4.
        kernel_size: window of the local cross-correlation, in voxels.

    Source: He et al., Geometric Visual Similarity Learning in 3D Medical Image Self-supervised Pre-training, CVPR 2023,
    https://arxiv.org/abs/2303.00874. Departures from its released code: the affine head receives its gradient, the
    image is sampled once, padding counts in no loss.

    Examples:
        >>> volume = torch.rand(1, 1, 32, 32, 32)
        >>> views = {"fixed": volume, "corrupted": volume, "moving": volume.flip(2), "valid": torch.ones_like(volume)}
        >>> sorted(GVSL(RegistrationNet(UNet3d()))(views))
        ['displacement', 'ncc', 'restoration', 'smoothness']
    """

    def __init__(self, student: RegistrationNet, restoration_channels: int = 8, kernel_size: int = 9) -> None:
        super().__init__()
        self.student = student
        width: int = student.backbone.decoder_channels[-1]  # type: ignore[index, assignment]
        self.restoration = RestorationHead(width, restoration_channels, out_channels=1)
        self.ncc = LocalNCCLoss(kernel_size)
        self.smoothness = FlowSmoothnessLoss()
        self.restoration_loss = RestorationLoss()
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def predict(self, views: dict[str, Tensor]) -> Predictions:
        """Alignment, warped and restored image of a batch of views; see ``forward``."""
        fixed = self.student.backbone(views["corrupted"])
        moving = self.student.backbone(views["moving"])
        alignment = self.student.head(moving, fixed)
        return Predictions(alignment, warp_flow(views["moving"], alignment.flow), self.restoration(fixed.decoder[-1]))

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Parts of the loss, scalars: ``ncc``, ``smoothness``, ``restoration``; and ``displacement`` to watch.

        Args:
            views: ``fixed``, ``corrupted`` and ``moving`` (B, 1, D, H, W), intensities in [0, 1], and ``valid`` (B, 1,
                D, H, W), 1 where the fixed volume is real and not padding. ``displacement`` is the mean length in
                voxels of the field there.
        """
        alignment, warped, restored = self.predict(views)
        valid = views["valid"]
        length = alignment.flow.detach().square().sum(dim=1, keepdim=True).sqrt()
        return {
            "ncc": self.ncc(warped, views["fixed"], valid),
            "smoothness": self.smoothness(alignment.residual, valid),
            "restoration": self.restoration_loss(restored, views["fixed"], valid),
            "displacement": (length * valid).sum() / valid.sum().clamp(min=1),
        }

    def pictures(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return volumes to draw by title, (B, 1, D, H, W)."""
        predictions = self.predict(views)
        return {
            "moving": views["moving"],
            "warped": predictions.warped,
            "fixed": views["fixed"],
            "corrupted": views["corrupted"],
            "restored": predictions.restored,
        }
