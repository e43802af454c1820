"""The contract between backbones and everything that is built on them."""

from typing import List, NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """Feature maps of a backbone for an input of shape (B, C, D, H, W).

    Attributes:
        encoder: maps from fine to coarse; ``encoder[-1]`` is the bottleneck. Shapes (B, encoder_channels[i], ...) at
            ``encoder_strides[i]`` voxels of the padded input a cell.
        decoder: maps from coarse to fine, without the bottleneck; ``decoder[-1]`` has exactly the input's spatial size.
            Shapes (B, decoder_channels[i], ...) at ``decoder_strides[i]``.
    """

    encoder: List[Tensor]
    decoder: List[Tensor]
