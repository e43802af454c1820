"""Convolutions that stay fast for a batch of one on CPUs, and the convolution block of all networks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS_PER_GROUP = 8


class Conv3d(nn.Conv3d):
    """Convolution 3x3x3 of stride 1 or 2 that stays fast for a batch of one on CPUs.

    For a single item of at most 20480 values in C x D x H, PyTorch (``use_mkldnn`` in its Convolution.cpp) leaves
    oneDNN for a path that takes ten times as long (16 to 16 channels, 32³, with gradients: 153 ms against 17 ms). Two
    halves of the volume, with a voxel of overlap on either side, make a batch of two.

    Args:
        in_channels, out_channels, stride: See ``torch.nn.Conv3d``.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, D, H, W) for ``x`` (B, in_channels, D, H, W), half the size with stride 2."""
        if self.stride[0] != 1 or not slow(x):
            return self._conv_forward(x, self.weight, self.bias)
        half = x.shape[2] // 2
        padded = F.pad(x, [0, 0, 0, 0, 1, 1])
        halves = torch.cat([padded[:, :, : half + 2], padded[:, :, half:]])
        return joined(F.conv3d(halves, self.weight, self.bias, padding=(0, 1, 1)))


class Upsampling(nn.ConvTranspose3d):
    """Transposed convolution 2x2x2 of stride 2, as fast for a batch of one as ``Conv3d``.

    Args:
        channels: Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Return (B, channels, 2 D, 2 H, 2 W) for ``x`` (B, channels, D, H, W)."""
        if not slow(x):
            return F.conv_transpose3d(x, self.weight, self.bias, stride=2)
        return joined(F.conv_transpose3d(torch.cat(x.chunk(2, dim=2)), self.weight, self.bias, stride=2))


def slow(x: Tensor) -> bool:
    """Return whether PyTorch would take its slow path for ``x`` (B, C, D, H, W), and D can be halved."""
    if exporting():
        return False
    batch, channels, depth, height = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
    return on_cpu and batch == 1 and channels * depth * height <= 20480 and depth % 2 == 0


def exporting() -> bool:
    """Return whether ``torch.export`` traces. It records one branch only, so take the branch for any size."""
    if torch.jit.is_scripting():
        return False
    return torch.compiler.is_exporting()


def joined(halves: Tensor) -> Tensor:
    """Join halves (2 B, C, D, H, W), first all upper, then all lower ones, to whole volumes (B, C, 2 D, H, W)."""
    return torch.cat(halves.chunk(2), dim=2)


def conv_block(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Build a block: twice convolution 3x3x3, group normalisation (8 channels per group), leaky ReLU (slope 0.2).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, a multiple of 8.
        stride: Stride of the first convolution.
    """
    layers: list[nn.Module] = []
    for channels, step in ((in_channels, stride), (out_channels, 1)):
        convolution = Conv3d(channels, out_channels, stride=step)
        nn.init.kaiming_normal_(convolution.weight)
        layers += [
            convolution,
            nn.GroupNorm(out_channels // CHANNELS_PER_GROUP, out_channels),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers)
