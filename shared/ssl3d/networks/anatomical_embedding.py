"""Embed each place of a body as a vector of its own."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Backbone, Features, check_contract, pad_to_multiple
from .convolution import Conv3d
from .tokens import unit_norm

STRIDE = 2  # voxels per cell of the fine embedding


class Embeddings(NamedTuple):
    """Unit vectors of the cells of a volume; the first cell begins at voxel 0.

    Attributes:
        fine: (B, E, d, h, w), cells of 2 voxels along each axis; cell i has its centre at voxel 2 i + 1/2.
        coarse: (B, E, ...), vectors of the backbone's coarsest cells.
    """

    fine: Tensor
    coarse: Tensor


class AnatomicalEmbeddingNet(nn.Module):
    """Network that embeds each place of a volume: a fine vector every second voxel, and a coarse one.

    The similarity of two places is half the dot product of the outputs of ``forward``, in [-1, 1].

    The fine vectors come from the decoder's map of stride 2 by one convolution 3x3x3. The decoder has already merged
    the coarse levels, as a feature pyramid does in the publication. The coarse vectors come from the bottleneck by a
    convolution 1x1x1 and one of 3x3x3.

    Args:
        backbone: Backbone with a decoder map of stride 2, see ``Backbone``.
        embedding_dim: Length E of each of the two vectors.

    Raises:
        ValueError: ``embedding_dim`` below 1, or a backbone without a map of stride 2; in a call, another shape.

    Source: Yan et al., SAM: Self-supervised Learning of Pixel-wise Anatomical Embeddings in Radiological Images
    (arXiv:2012.02383), section III-A.

    Example:
        >>> AnatomicalEmbeddingNet(UNet3d())(torch.zeros(1, 1, 32, 48, 33)).shape
        torch.Size([1, 64, 16, 24, 17])
    """

    def __init__(self, backbone: Backbone, embedding_dim: int = 32) -> None:
        super().__init__()
        if embedding_dim < 1:
            raise ValueError(f"embedding_dim must be at least 1, got {embedding_dim}.")
        check_contract(backbone)
        strides = backbone.decoder_strides
        if STRIDE not in strides:
            raise ValueError(f"The backbone needs a decoder map of stride {STRIDE}, its strides are {strides}.")
        self.level = strides.index(STRIDE)
        self.coarsest = backbone.encoder_strides[-1]
        self.backbone = backbone
        self.fine = Conv3d(backbone.decoder_channels[self.level], embedding_dim)
        self.coarse = nn.Sequential(
            nn.Conv3d(backbone.encoder_channels[-1], embedding_dim, kernel_size=1), Conv3d(embedding_dim, embedding_dim)
        )
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def embed(self, image: Tensor) -> Embeddings:
        """Return the embedding of ``image`` (B, C, D, H, W) of any size.

        Volumes are padded with zeros at the far end of each axis to whole coarsest cells.
        """
        if image.dim() != 5:
            raise ValueError(f"AnatomicalEmbeddingNet takes (B, C, D, H, W), got {list(image.shape)}.")
        features: Features = self.backbone(pad_to_multiple(image, self.coarsest, both_sides=False))
        fine = unit_norm(self.fine(features.decoder[self.level]), dim=1)
        coarse = unit_norm(self.coarse(features.encoder[-1]), dim=1)
        return Embeddings(fine, coarse)

    def forward(self, image: Tensor) -> Tensor:
        """Return both vectors of each fine cell, (B, 2 E, ⌈D/2⌉, ⌈H/2⌉, ⌈W/2⌉): fine, then interpolated coarse."""
        fine, coarse = self.embed(image)
        both = on_fine_grid(fine, coarse)
        depth, height, width = (image.shape[2] + 1) // 2, (image.shape[3] + 1) // 2, (image.shape[4] + 1) // 2
        return both[:, :, :depth, :height, :width]


def on_fine_grid(fine: Tensor, coarse: Tensor) -> Tensor:
    """Concatenate ``fine`` (B, E, D, H, W) and the interpolated unit vectors ``coarse`` (B, E, d, h, w)."""
    coarse = F.interpolate(coarse, size=fine.shape[2:], mode="trilinear", align_corners=False)
    return torch.cat([fine, F.normalize(coarse, dim=1)], dim=1)
