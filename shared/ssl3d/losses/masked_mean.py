"""Average over the valid voxels of a batch, in the precision of all losses on volumes."""

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Take the mean over the channels and valid voxels of each item, then the mean over the items.

    Each item counts the same, however few of its voxels are valid; one without any counts 0.

    Args:
        values: Shape ``(B, C, D, H, W)``, finite at invalid voxels too.
        mask: Shape ``(B, 1, D, H, W)``, of any dtype, 1 at valid voxels and 0 at the others; ``None``: all are valid.

    Returns:
        A scalar in the dtype of ``values``, float32 at least.

    Raises:
        ValueError: for any other shape.

    Example:
        >>> masked_mean(torch.tensor([1.0, 3.0, 9.0]).view(1, 1, 1, 1, 3), torch.tensor([1, 1, 0]).view(1, 1, 1, 1, 3))
        tensor(2.)
    """
    check_volume("values", values)
    check_mask(mask, values)
    values = at_least_float32(values)
    mask = torch.ones_like(values[:, :1]) if mask is None else mask.to(values)
    totals = (values * mask).sum(dim=(1, 2, 3, 4))  # (B)
    counts = values.shape[1] * mask.sum(dim=(1, 2, 3, 4))  # (B)
    return (totals / counts.clamp(min=1)).mean()


def at_least_float32(volume: Tensor) -> Tensor:
    """Convert ``volume`` to float32 if it is half precision or integer."""
    return volume.to(torch.promote_types(volume.dtype, torch.float32))


def check_volume(name: str, volume: Tensor, channels: int | None = None) -> None:
    """Raise ``ValueError`` unless ``volume`` has shape ``(B, C, D, H, W)``, with ``C = channels`` if given."""
    if volume.ndim != 5 or channels not in (None, volume.shape[1]):
        wanted = "C" if channels is None else channels
        raise ValueError(f"{name} must have shape (B, {wanted}, D, H, W), got {tuple(volume.shape)}.")


def check_same_shape(pred: Tensor, target: Tensor) -> None:
    """Raise ``ValueError`` unless both have the same shape."""
    if pred.shape != target.shape:
        raise ValueError(f"pred and target must have one shape, got {tuple(pred.shape)} and {tuple(target.shape)}.")


def check_mask(mask: Tensor | None, volume: Tensor) -> None:
    """Raise ``ValueError`` unless ``mask`` is ``None`` or has one channel and the batch and grid of ``volume``."""
    wanted = (volume.shape[0], 1, *volume.shape[2:])
    if mask is not None and mask.shape != wanted:
        raise ValueError(f"mask must have shape (B, 1, D, H, W), here {wanted}, got {tuple(mask.shape)}.")
