"""Define the contract of a backbone, on which heads, methods, weights and views rely."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, List, NamedTuple, Tuple

import torch.nn.functional as F
from torch import Tensor, nn

NUMBERS = ("encoder_channels", "encoder_strides", "decoder_channels", "decoder_strides")


class Features(NamedTuple):
    """Feature maps of a backbone for an input of shape (B, C, D, H, W).

    Attributes:
        encoder: Maps from fine to coarse; ``encoder[-1]`` is the bottleneck. Shapes (B, encoder_channels[i], ...) at
            ``encoder_strides[i]`` voxels of the padded input per cell.
        decoder: Maps from coarse to fine, without the bottleneck; ``decoder[-1]`` has exactly the input's spatial size.
            Shapes (B, decoder_channels[i], ...) at ``decoder_strides[i]``.
    """

    encoder: List[Tensor]
    decoder: List[Tensor]


class Backbone(nn.Module):
    """Base class of all backbones. A subclass sets the attributes below and implements ``forward``.

    Attributes:
        in_channels: Channels of the input.
        arguments: Arguments of the constructor that build the same network again, in types that JSON knows; they go
            into the passport of the weights.
        encoder_channels, encoder_strides: Channels and strides in voxels of ``Features.encoder``.
        decoder_channels, decoder_strides: Channels and strides in voxels of ``Features.decoder``.
        encoder_prefix: First part of the names of the encoder's weights, such as ``encoder.``.

    Examples:
        >>> class Small(Backbone):
        ...     encoder_channels = decoder_channels = (8,)
        ...     encoder_strides = decoder_strides = (1,)
        ...     encoder_prefix = "layer."
        ...
        ...     def __init__(self, in_channels: int = 1) -> None:
        ...         super().__init__()
        ...         self.in_channels = in_channels
        ...         self.arguments = {"in_channels": in_channels}
        ...         self.layer = nn.Conv3d(in_channels, 8, kernel_size=3, padding=1)
        ...
        ...     def forward(self, x: Tensor) -> Features:
        ...         x = self.layer(x)
        ...         return Features([x], [x])
        >>> SegmentationNet(Small(), out_channels=2)(torch.zeros(1, 1, 8, 8, 8)).shape
        torch.Size([1, 2, 8, 8, 8])
    """

    if TYPE_CHECKING:  # TorchScript cannot read tuples of any length
        in_channels: int
        arguments: dict[str, Any]
        encoder_channels: Tuple[int, ...]
        encoder_strides: Tuple[int, ...]
        decoder_channels: Tuple[int, ...]
        decoder_strides: Tuple[int, ...]
        encoder_prefix: str

    def forward(self, x: Tensor) -> Features:
        """Return the feature maps of ``x`` (B, in_channels, D, H, W), which may have any spatial size."""
        raise NotImplementedError

    def encode(self, x: Tensor) -> List[Tensor]:
        """Return the encoder maps of ``forward``. Override it if the encoder alone costs less."""
        return self.forward(x).encoder

    def padded(self, x: Tensor) -> Tensor:
        """Return ``x`` with zeros on both sides, up to a multiple of the coarsest stride.

        Raises:
            ValueError: The shape is not (B, in_channels, D, H, W).
        """
        if x.dim() != 5 or x.shape[1] != self.in_channels:
            raise ValueError(f"The backbone takes (B, {self.in_channels}, D, H, W), got {list(x.shape)}.")
        return pad_to_multiple(x, self.encoder_strides[-1], both_sides=True)

    def freeze_decoder(self) -> None:
        """Stop the gradients of all weights outside the encoder.

        Raises:
            ValueError: No weight begins with ``encoder_prefix``: all of the network would be frozen.
        """
        names = [name for name, _ in self.named_parameters()]
        if not any(name.startswith(self.encoder_prefix) for name in names):
            raise ValueError(
                f"{type(self).__name__}: no weight begins with encoder_prefix {self.encoder_prefix!r}; there are "
                f"{', '.join(dict.fromkeys(name.split('.')[0] + '.' for name in names))}."
            )
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and name.startswith(self.encoder_prefix))


def check_contract(backbone: Any) -> None:
    """Check that a backbone has what heads, methods and passports rely on, before anything is built on it.

    Raises:
        ValueError: Something is missing; the message names the class and everything that it lacks.
    """
    missing = [name for name in NUMBERS if not _whole_numbers(getattr(backbone, name, None))]
    wanted = []
    if missing:
        wanted.append(
            f"{', '.join(missing)} (a tuple of whole numbers each, for the encoder from fine to coarse, for the "
            "decoder from coarse to fine)"
        )
    for name, kind, meaning in (
        ("in_channels", int, "channels of its input"),
        ("arguments", dict, "a dictionary of what its constructor was given"),
        ("encoder_prefix", str, "the first part of the names of the encoder's weights"),
    ):
        if not isinstance(getattr(backbone, name, None), kind):
            wanted.append(f"{name} ({meaning})")
    if wanted:
        raise ValueError(f"The backbone {type(backbone).__name__} needs {' and '.join(wanted)}. See docs/backbone.md.")
    if not callable(getattr(backbone, "encode", None)):
        raise ValueError(f"{type(backbone).__name__} must derive from ssl3d.networks.Backbone. See docs/backbone.md.")


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(isinstance(n, int) and n > 0 for n in value)


def pad_to_multiple(x: Tensor, multiple: int, both_sides: bool) -> Tensor:
    """Pad a volume with zeros to a multiple of a stride along each axis.

    Backbones pad evenly on both sides and crop the last map back. Networks whose output is a grid of cells pad at the
    far end, before the backbone: cell i then begins at voxel ``i · stride``.

    Args:
        x: (B, C, D, H, W).
        multiple: Number of voxels, at least 1.
        both_sides: Whether to pad evenly on both sides (of an odd number, one more at the far end), or at the far end.
    """
    depth, height, width = -x.shape[2] % multiple, -x.shape[3] % multiple, -x.shape[4] % multiple
    if depth + height + width == 0:
        return x
    front_d, front_h, front_w = (depth // 2, height // 2, width // 2) if both_sides else (0, 0, 0)
    return F.pad(x, [front_w, width - front_w, front_h, height - front_h, front_d, depth - front_d])


def crop_to(x: Tensor, like: Tensor) -> Tensor:
    """Crop a volume that ``pad_to_multiple`` padded on both sides back to the size of ``like``.

    Args:
        x: (B, C, D, H, W).
        like: (B, C', d, h, w), no larger.
    """
    depth, height, width = like.shape[2], like.shape[3], like.shape[4]
    front_d, front_h, front_w = (x.shape[2] - depth) // 2, (x.shape[3] - height) // 2, (x.shape[4] - width) // 2
    return x[:, :, front_d : front_d + depth, front_h : front_h + height, front_w : front_w + width]
