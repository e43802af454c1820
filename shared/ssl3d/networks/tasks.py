"""Networks for downstream tasks: a backbone and a head, so that pre-trained weights are copied key for key."""

from torch import Tensor, nn


class SegmentationNet(nn.Module):
    """A backbone with a 1x1x1 convolution on its finest decoder map.

    Args:
        backbone: module that follows the ``Features`` contract.
        out_channels: number of classes, background included; at least 1.

    Raises:
        ValueError: when ``out_channels`` is below 1.

    Examples:
        >>> SegmentationNet(UNet3d(), out_channels=3)(torch.zeros(1, 1, 32, 32, 32)).shape
        torch.Size([1, 3, 32, 32, 32])
    """

    def __init__(self, backbone: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = voxelwise_head(backbone, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, out_channels, D, H, W) of ``x`` (B, C, D, H, W)."""
        return self.head(self.backbone(x).decoder[-1])


class ReconstructionNet(nn.Module):
    """A backbone with a 1x1x1 convolution that gives an image.

    Args:
        backbone: module that follows the ``Features`` contract.
        out_channels: channels of the image; at least 1.

    Raises:
        ValueError: when ``out_channels`` is below 1.

    Examples:
        >>> ReconstructionNet(UNet3d(), out_channels=1)(torch.zeros(1, 1, 32, 32, 32)).shape
        torch.Size([1, 1, 32, 32, 32])
    """

    def __init__(self, backbone: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = voxelwise_head(backbone, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, out_channels, D, H, W) of ``x`` (B, C, D, H, W)."""
        return self.head(self.backbone(x).decoder[-1])


def voxelwise_head(backbone: nn.Module, out_channels: int) -> nn.Conv3d:
    """A 1x1x1 convolution for a backbone's finest decoder map."""
    if out_channels < 1:
        raise ValueError(f"out_channels must be at least 1, got {out_channels}.")
    return nn.Conv3d(backbone.decoder_channels[-1], out_channels, kernel_size=1)  # type: ignore
