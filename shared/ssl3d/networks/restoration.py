"""The head that restores a clean image from features of a corrupted one."""

from torch import Tensor, nn

from .convolution import Conv3d

GROUPS = 4


class RestorationHead(nn.Sequential):
    """Convolution 3x3x3, group normalisation (four groups), leaky ReLU (slope 0.2), convolution 1x1x1.

    Args:
        in_channels: Channels of the backbone's finest map.
        hidden_channels: Channels of the hidden layer, a multiple of 4.
        out_channels: Channels of the image.

    Raises:
        ValueError: ``hidden_channels`` is no multiple of 4.

    Source: GVSL (He et al., CVPR 2023, https://arxiv.org/abs/2303.00874), section 3.3, the self-restoration head.
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int) -> None:
        if hidden_channels < 1 or hidden_channels % GROUPS:
            raise ValueError(f"hidden_channels must be a multiple of {GROUPS}, got {hidden_channels}.")
        super().__init__(
            Conv3d(in_channels, hidden_channels),
            nn.GroupNorm(GROUPS, hidden_channels),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv3d(hidden_channels, out_channels, kernel_size=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the image (B, out_channels, D, H, W) for features (B, in_channels, D, H, W)."""
        return super().forward(features)
