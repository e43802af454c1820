"""Networks for downstream tasks: a backbone and a head, so that names of pre-trained weights match."""

from torch import Tensor, nn

from .base import Backbone, check_contract


class VoxelwiseNet(nn.Module):
    """A backbone with a 1x1x1 convolution on its finest decoder map.

    Args:
        backbone: See ``Backbone``.
        out_channels: Channels of the output, at least 1.

    Raises:
        ValueError: ``out_channels`` is below 1, or the backbone does not fulfil its contract.
    """

    def __init__(self, backbone: Backbone, out_channels: int) -> None:
        super().__init__()
        if out_channels < 1:
            raise ValueError(f"out_channels must be at least 1, got {out_channels}.")
        check_contract(backbone)
        check_contract(backbone)
        self.backbone = backbone
        self.head = nn.Conv3d(backbone.decoder_channels[-1], out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, D, H, W) for ``x`` (B, C, D, H, W), without activation."""
        return self.head(self.backbone(x).decoder[-1])


class SegmentationNet(VoxelwiseNet):
    """Network that returns logits of classes, background included; see ``VoxelwiseNet``.

    Examples:
        >>> SegmentationNet(UNet3d(), out_channels=3)(torch.zeros(1, 1, 32, 32, 32)).shape
        torch.Size([1, 3, 32, 32, 32])
    """


class ReconstructionNet(VoxelwiseNet):
    """Network that returns an image; see ``VoxelwiseNet``.

    Examples:
        >>> ReconstructionNet(UNet3d(), out_channels=1)(torch.zeros(1, 1, 32, 32, 32)).shape
        torch.Size([1, 1, 32, 32, 32])
    """
