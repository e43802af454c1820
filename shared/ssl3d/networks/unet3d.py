"""The 3D U-Net backbone."""

from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Backbone, Features, crop_to
from .convolution import CHANNELS_PER_GROUP, Upsampling, conv_block


class UNet3d(Backbone):
    """3D U-Net with configurable widths that returns its feature maps at every level.

    With ``channels=(32, 64, 128, 256, 512), stem_stride=1`` it is the network of GVSL (He et al., CVPR 2023,
    https://arxiv.org/abs/2303.00874, appendix B) exactly. ``stem_stride=2`` halves the grid before the first level,
    which makes a step several times cheaper, and upsamples the last map by one transposed convolution.

    Weights are kept channels-last, the layout in which 3D convolutions run fastest on CPUs and on tensor cores.

    Args:
        in_channels: Channels of the input, at least 1.
        channels: Width of each level from fine to coarse, at least two, each a multiple of 8.
        stem_stride: Stride of the first convolution, 1 or 2.

    Raises:
        ValueError: for an argument outside these bounds, or an input that is not (B, in_channels, D, H, W).

    Examples:
        >>> features = UNet3d()(torch.zeros(1, 1, 32, 48, 40))
        >>> features.decoder[-1].shape
        torch.Size([1, 16, 32, 48, 40])
    """

    encoder_prefix = "encoder."

    def __init__(self, in_channels: int = 1, channels: Sequence[int] = (16, 32, 64, 96), stem_stride: int = 2) -> None:
        super().__init__()
        channels = tuple(int(width) for width in channels)
        if in_channels < 1:
            raise ValueError(f"in_channels must be at least 1, got {in_channels}.")
        if len(channels) < 2 or any(width < 1 or width % CHANNELS_PER_GROUP for width in channels):
            raise ValueError(f"channels must be two or more multiples of {CHANNELS_PER_GROUP}, got {channels}.")
        if stem_stride not in (1, 2):
            raise ValueError(f"stem_stride must be 1 or 2, got {stem_stride}.")
        self.arguments = {"in_channels": in_channels, "channels": list(channels), "stem_stride": stem_stride}
        self.in_channels = in_channels
        self.stem_stride = stem_stride
        self.encoder_channels = channels
        self.encoder_strides = tuple(stem_stride * 2**level for level in range(len(channels)))
        self.decoder_channels = channels[-2::-1] + channels[:1] * (stem_stride - 1)
        self.decoder_strides = self.encoder_strides[-2::-1] + (1,) * (stem_stride - 1)

        widths = (in_channels, *channels)
        self.encoder = nn.ModuleList(
            conv_block(narrow, wide, stem_stride if level == 0 else 1)
            for level, (narrow, wide) in enumerate(zip(widths, channels))  # noqa: B905 (widths is one longer)
        )
        self.decoder = nn.ModuleList(
            conv_block(fine + coarse, fine) for coarse, fine in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.upsample = Upsampling(channels[0]) if stem_stride == 2 else nn.Identity()
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Features:
        """Return the feature maps of ``x`` (B, in_channels, D, H, W), which may have any spatial size.

        The input is padded with zeros, evenly on both sides, to a multiple of the coarsest stride. Only the last
        decoder map is cropped back; all others are on the padded grid.
        """
        encoder = self.encode(x)
        image = x
        x = encoder[-1]
        decoder: List[Tensor] = []
        for level, block in enumerate(self.decoder):
            skip = encoder[len(encoder) - 2 - level]
            x = F.interpolate(x, size=skip.shape[2:], mode="trilinear", align_corners=True)
            x = block(torch.cat([skip, x], dim=1))
            decoder.append(x)
        if self.stem_stride == 2:
            x = self.upsample(x)
            decoder.append(x)
        if x.shape[2:] != image.shape[2:]:
            decoder[-1] = crop_to(x, image)
        return Features(encoder, decoder)

    def encode(self, x: Tensor) -> List[Tensor]:
        """Return only the encoder maps of ``forward``, on the padded grid; 4 times faster at the default width."""
        x = self.padded(x)
        encoder: List[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else F.max_pool3d(x, 2))
            encoder.append(x)
        return encoder
