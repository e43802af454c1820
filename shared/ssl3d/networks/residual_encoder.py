"""The residual-encoder U-Net backbone of nnU-Net."""

from typing import List, Sequence

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn

from .base import Backbone, Features, crop_to

ACTIVATION = ("leakyrelu", {"negative_slope": 0.01, "inplace": True})
NORM = ("instance", {"affine": True})


class ResidualBlock(nn.Module):
    """Two convolutions 3x3x3 beside a shortcut: mean pooling for the stride, a convolution 1x1x1 for other channels.

    Args:
        in_channels, out_channels: Channels of input and output, at least 1.
        stride: Stride of the first convolution, 1 or 2.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.first = convolution(in_channels, out_channels, stride)
        self.second = convolution(out_channels, out_channels, ordering="N")
        self.pool = nn.AvgPool3d(stride) if stride > 1 else nn.Identity()
        self.project: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.project = convolution(in_channels, out_channels, kernel_size=1, ordering="N", bias=False)
        self.activation = nn.LeakyReLU(0.01, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, D / stride, ...) for ``x`` (B, in_channels, D, H, W)."""
        return self.activation(self.second(self.first(x)) + self.project(self.pool(x)))


class ResidualEncoderUNet3d(Backbone):
    """U-Net with residual blocks in its encoder and one convolution per level in its decoder.

    Each level halves the grid of the level before. The defaults are those of nnU-Net's medium preset for isotropic
    patches. Inputs of any size are padded as by ``UNet3d``.

    Args:
        in_channels: Channels of the input, at least 1.
        channels: Width of each level from fine to coarse, at least two.
        blocks: Number of residual blocks of each level, at least 1.

    Raises:
        ValueError: An argument outside these bounds, or an input that is not (B, in_channels, D, H, W).

    Source: Isensee et al., nnU-Net Revisited: A Call for Rigorous Validation in 3D Medical Image Segmentation
    (MICCAI 2024, https://arxiv.org/abs/2404.09556), ResEnc.

    Examples:
        >>> features = ResidualEncoderUNet3d(channels=(8, 16, 32), blocks=(1, 2, 2))(torch.zeros(1, 1, 16, 20, 16))
        >>> features.decoder[-1].shape
        torch.Size([1, 8, 16, 20, 16])
    """

    encoder_prefix = "encoder."

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128, 256, 320, 320),
        blocks: Sequence[int] = (1, 3, 4, 6, 6, 6),
    ) -> None:
        super().__init__()
        channels, blocks = tuple(int(width) for width in channels), tuple(int(count) for count in blocks)
        if in_channels < 1:
            raise ValueError(f"in_channels must be at least 1, got {in_channels}.")
        if len(channels) < 2 or min(channels) < 1:
            raise ValueError(f"channels must be two or more numbers of at least 1, got {channels}.")
        if len(blocks) != len(channels) or min(blocks) < 1:
            raise ValueError(
                f"blocks must be one number of at least 1 for each of {len(channels)} levels, got {blocks}."
            )
        self.arguments = {"in_channels": in_channels, "channels": list(channels), "blocks": list(blocks)}
        self.in_channels = in_channels
        self.encoder_channels = channels
        self.encoder_strides = tuple(2**level for level in range(len(channels)))
        self.decoder_channels = channels[-2::-1]
        self.decoder_strides = self.encoder_strides[-2::-1]

        levels: list[nn.Module] = []
        width = channels[0]
        for level, (wide, count) in enumerate(zip(channels, blocks, strict=True)):
            stem = [convolution(in_channels, width)] if level == 0 else []
            first = ResidualBlock(width, wide, stride=min(level, 1) + 1)
            levels.append(nn.Sequential(*stem, first, *(ResidualBlock(wide, wide) for _ in range(count - 1))))
            width = wide
        self.encoder = nn.ModuleList(levels)
        coarse_to_fine = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.upsampling = nn.ModuleList(
            nn.ConvTranspose3d(coarse, fine, 2, stride=2) for coarse, fine in coarse_to_fine
        )
        self.decoder = nn.ModuleList(convolution(2 * fine, fine) for _, fine in coarse_to_fine)

    def forward(self, x: Tensor) -> Features:
        """Return the feature maps of ``x`` (B, in_channels, D, H, W)."""
        encoder = self.encode(x)
        current = encoder[-1]
        decoder: List[Tensor] = []
        for level, (upsample, block) in enumerate(zip(self.upsampling, self.decoder)):  # noqa: B905 (TorchScript)
            current = block(torch.cat([upsample(current), encoder[len(encoder) - 2 - level]], dim=1))
            decoder.append(current)
        decoder[-1] = crop_to(decoder[-1], x)
        return Features(encoder, decoder)

    def encode(self, x: Tensor) -> List[Tensor]:
        """Return the encoder maps of ``forward`` alone."""
        current = self.padded(x)
        encoder: List[Tensor] = []
        for level in self.encoder:
            current = level(current)
            encoder.append(current)
        return encoder


def convolution(
    in_channels: int, out_channels: int, stride: int = 1, kernel_size: int = 3, ordering: str = "NA", bias: bool = True
) -> Convolution:
    """Return a convolution with instance normalisation (``N``) and leaky ReLU (``A``) behind it, in this order."""
    return Convolution(
        3, in_channels, out_channels, stride, kernel_size, ordering, act=ACTIVATION, norm=NORM, bias=bias
    )
