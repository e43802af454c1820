"""The contract between backbones and everything that is built on them."""

from collections.abc import Sequence
from typing import Any, List, NamedTuple

from torch import Tensor

NUMBERS = ("encoder_channels", "encoder_strides", "decoder_channels", "decoder_strides")


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


def check_contract(backbone: Any) -> None:
    """Check that a backbone has the attributes that heads and passports read, before a head is built on it.

    Raises:
        ValueError: Naming the class and everything that is missing.
    """
    missing = [name for name in NUMBERS if not _whole_numbers(getattr(backbone, name, None))]
    wanted = []
    if missing:
        wanted.append(
            f"{', '.join(missing)} (a tuple of whole numbers each, for the encoder from fine to coarse, for the "
            "decoder from coarse to fine)"
        )
    if not isinstance(getattr(backbone, "arguments", None), dict):
        wanted.append("arguments (a dictionary of what its constructor was given)")
    if wanted:
        raise ValueError(f"The backbone {type(backbone).__name__} needs {' and '.join(wanted)}. See docs/backbone.md.")


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(isinstance(n, int) and n > 0 for n in value)
