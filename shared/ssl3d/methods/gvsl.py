"""GVSL: geometric visual similarity learning, by registering volumes of different people."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..geometry import warp_flow
from ..losses import FlowSmoothnessLoss, LocalNCCLoss, RestorationLoss
from ..networks import Alignment, RegistrationNet, RestorationHead
from ..transforms.views.types import PairedViews
from .base import Method


class Predictions(NamedTuple):
    """Outputs of the network for a batch of pairs.

    Attributes:
        alignment: Alignment of the moving to the fixed volume.
        warped: (B, 1, D, H, W), the moving volume on the fixed one.
        restored: (B, 1, D, H, W), the fixed volume, restored from its corrupted copy.
    """

    alignment: Alignment
    warped: Tensor
    restored: Tensor


class GVSL(Method):
    """Method that registers a moving to a corrupted fixed volume, and restores the fixed volume, with one backbone.

    The moving volume is warped and compared with the clean fixed volume by local cross-correlation. So equal anatomy
    must come to have equal features, whatever the person.

    Args:
        student: Network that registers.
        restoration_channels: Width of the restoration head, a multiple of 4.
        ncc: Similarity of the warped and the fixed volume.
        smoothness: Penalty of the displacement field.
        restoration_loss: Error of the restored volume.

    Source: He et al., Geometric Visual Similarity Learning in 3D Medical Image Self-supervised Pre-training, CVPR 2023,
    https://arxiv.org/abs/2303.00874. Departures from its released code: the affine head receives its gradient, the
    image is sampled once, padding counts in no loss.

    Examples:
        >>> volume = torch.rand(1, 1, 32, 32, 32)
        >>> views = {"fixed": volume, "corrupted": volume, "moving": volume.flip(2), "valid": torch.ones_like(volume)}
        >>> sorted(GVSL(RegistrationNet(UNet3d()))(views))
        ['displacement', 'ncc', 'restoration', 'smoothness']
    """

    parts = ("ncc", "smoothness", "restoration")
    monitors = ("displacement",)

    student: RegistrationNet

    def __init__(
        self,
        student: RegistrationNet,
        restoration_channels: int = 8,
        *,
        ncc: nn.Module | None = None,
        smoothness: nn.Module | None = None,
        restoration_loss: nn.Module | None = None,
    ) -> None:
        super().__init__(student)
        width = student.backbone.decoder_channels[-1]
        self.restoration = RestorationHead(width, restoration_channels, out_channels=1)
        self.ncc = ncc or LocalNCCLoss()
        self.smoothness = smoothness or FlowSmoothnessLoss()
        self.restoration_loss = restoration_loss or RestorationLoss()
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def predict(self, views: PairedViews) -> Predictions:
        """Align and restore a batch."""
        fixed = self.student.backbone(views["corrupted"])
        moving = self.student.backbone(views["moving"])
        alignment = self.student.head(moving, fixed)
        return Predictions(alignment, warp_flow(views["moving"], alignment.flow), self.restoration(fixed.decoder[-1]))

    def forward(self, views: PairedViews) -> dict[str, Tensor]:
        """Return the parts of the loss, and ``displacement``: the mean length of the field in voxels."""
        alignment, warped, restored = self.predict(views)
        valid = views["valid"]
        length = alignment.flow.detach().square().sum(dim=1, keepdim=True).sqrt()
        return {
            "ncc": self.ncc(warped, views["fixed"], valid),
            "smoothness": self.smoothness(alignment.residual, valid),
            "restoration": self.restoration_loss(restored, views["fixed"], valid),
            "displacement": (length * valid).sum() / valid.sum().clamp(min=1),
        }

    def passes(self, views: PairedViews) -> tuple[Tensor, ...]:
        """Return matrices, fields and restored volumes; no image is warped."""
        fixed, moving = (self.student.backbone(volume) for volume in (views["corrupted"], views["moving"]))
        alignment = self.student.head(moving, fixed)
        return alignment.matrix, alignment.flow, self.restoration(fixed.decoder[-1])

    def pictures(self, views: PairedViews) -> dict[str, Tensor]:
        """Return the volumes of each pair before and after registration and restoration."""
        predictions = self.predict(views)
        return {
            "moving": views["moving"],
            "warped": predictions.warped,
            "fixed": views["fixed"],
            "corrupted": views["corrupted"],
            "restored": predictions.restored,
        }
