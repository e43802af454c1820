"""Compute features of a volume for use without training: dense features, a global one, and a restored image."""

import torch
from torch import Tensor, nn

from .base import Backbone, check_contract, pad_to_multiple
from .tokens import unit_norm


class DenseFeatureNet(nn.Module):
    """Unit-norm features of a chosen stride, from the decoder of a pre-trained backbone.

    This is the network of Alice after training, without the projection heads that only the training needs.

    Args:
        backbone: See ``Backbone``.
        stride: Side of a feature cell in voxels, one of the backbone's ``decoder_strides``.

    Raises:
        ValueError: a stride that the backbone's decoder does not have; in a call, another shape.

    Source: Jiang et al., Alice (arXiv:2302.05615), whose encoder and decoder both are pre-trained.

    Example:
        >>> DenseFeatureNet(UNet3d(), stride=4)(torch.zeros(1, 1, 32, 48, 32)).shape
        torch.Size([1, 32, 8, 12, 8])
    """

    def __init__(self, backbone: Backbone, stride: int = 4) -> None:
        super().__init__()
        check_contract(backbone)
        strides = backbone.decoder_strides
        if stride not in strides:
            raise ValueError(
                f"stride must be one of the decoder's strides {strides}, got {stride}. In the configs of Alice the key "
                "is network_def#stride."
            )
        self.stride = stride
        self.level = strides.index(stride)
        self.coarsest = backbone.encoder_strides[-1]
        self.backbone = backbone
        self.restoration = nn.Conv3d(backbone.decoder_channels[-1], backbone.in_channels, kernel_size=1)
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> Tensor:
        """Return (B, C, ⌈D/stride⌉, ⌈H/stride⌉, ⌈W/stride⌉), unit-norm over C, for ``image`` (B, in_channels, D, H, W).

        Volumes are padded with zeros at the far end of each axis to whole coarsest cells: cell i begins at voxel
        ``stride · i``.
        """
        features = self.backbone(self._padded(image)).decoder[self.level]
        depth = (image.shape[2] + self.stride - 1) // self.stride
        height = (image.shape[3] + self.stride - 1) // self.stride
        width = (image.shape[4] + self.stride - 1) // self.stride
        return unit_norm(features[:, :, :depth, :height, :width], dim=1)

    @torch.jit.unused
    def whole(self, image: Tensor) -> Tensor:
        """Return one unit-norm vector per volume (B, C'): the mean of the backbone's coarsest map."""
        return unit_norm(self.backbone(self._padded(image)).encoder[-1].mean(dim=(2, 3, 4)), dim=1)

    @torch.jit.unused
    def restore(self, image: Tensor) -> Tensor:
        """Fill in the hidden blocks, which are 0, of ``image`` (B, in_channels, D, H, W)."""
        return self.restoration(self.backbone(image).decoder[-1])

    def _padded(self, image: Tensor) -> Tensor:
        if image.dim() != 5:
            raise ValueError(f"DenseFeatureNet takes (B, C, D, H, W), got {list(image.shape)}.")
        return pad_to_multiple(image, self.coarsest, both_sides=False)
