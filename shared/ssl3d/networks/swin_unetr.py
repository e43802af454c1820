"""The SwinUNETR backbone."""

from typing import Any, List

from monai.networks.nets import SwinUNETR
from torch import Tensor, nn

from .base import Backbone, Features, crop_to

STRIDES = (2, 4, 8, 16, 32)


class SwinUNETRBackbone(Backbone, SwinUNETR):
    """MONAI's SwinUNETR without its last convolution, with feature maps at every level.

    The encoder maps are the five of the Swin transformer, the decoder maps those of the convolutional decoder. Names of
    the weights are MONAI's (``swinViT.*``, ``encoder1.*``, ``decoder5.*``), so that published checkpoints load.

    It cannot be scripted, like all Swin transformers of MONAI. A trace works for one input size only.

    Args:
        in_channels: Channels of the input, at least 1.
        feature_size: Width of the finest map, a multiple of 12.
        use_v2: Whether to put a residual convolution block before each stage of the transformer.
        **swin: Further arguments of ``monai.networks.nets.SwinUNETR``, such as ``use_checkpoint``.

    Raises:
        ValueError: for an argument that MONAI refuses, or an input that is not (B, in_channels, D, H, W).

    Source: Hatamizadeh et al., Swin UNETR (arXiv:2201.01266); He et al., SwinUNETR-V2 (MICCAI 2023).

    Examples:
        >>> features = SwinUNETRBackbone(feature_size=12)(torch.zeros(1, 1, 32, 40, 32))
        >>> [tuple(map.shape[2:]) for map in features.decoder]
        [(2, 4, 2), (4, 8, 4), (8, 16, 8), (16, 32, 16), (32, 40, 32)]
    """

    encoder_prefix = "swinViT."

    def __init__(self, in_channels: int = 1, feature_size: int = 48, use_v2: bool = False, **swin: Any) -> None:
        super().__init__(in_channels=in_channels, out_channels=1, feature_size=feature_size, use_v2=use_v2, **swin)
        self.out = nn.Identity()  # type: ignore[assignment]  # a head is another module's
        self.in_channels = in_channels
        self.arguments = {"in_channels": in_channels, "feature_size": feature_size, "use_v2": use_v2, **swin}
        self.encoder_channels = tuple(feature_size * 2**level for level in range(len(STRIDES)))
        self.encoder_strides = STRIDES
        self.decoder_channels = (*self.encoder_channels[-2::-1], feature_size)
        self.decoder_strides = (*STRIDES[-2::-1], 1)

    def forward(self, x: Tensor) -> Features:
        """Return the feature maps of ``x`` (B, in_channels, D, H, W), which may have any spatial size.

        The input is padded with zeros, evenly on both sides, to a multiple of 32. Only the last decoder map is cropped
        back; all others are on the padded grid.
        """
        padded = self.padded(x)
        maps: List[Tensor] = self.swinViT(padded, self.normalize)
        decoder = [self.decoder5(self.encoder10(maps[4]), maps[3])]
        skips = (self.encoder4(maps[2]), self.encoder3(maps[1]), self.encoder2(maps[0]), self.encoder1(padded))
        for block, skip in zip((self.decoder4, self.decoder3, self.decoder2, self.decoder1), skips, strict=True):
            decoder.append(block(decoder[-1], skip))
        decoder[-1] = crop_to(decoder[-1], x)
        return Features(maps, decoder)

    def encode(self, x: Tensor) -> List[Tensor]:
        """Return only the encoder maps of ``forward``, on the padded grid."""
        return self.swinViT(self.padded(x), self.normalize)
