"""Split volumes into a grid of crops, and join maps of crops to maps of the volume."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def split_crops(volume: Tensor, crops: Sequence[int]) -> Tensor:
    """Cut volumes into equal crops that tile them.

    Args:
        volume: Shape ``(B, C, D, H, W)``.
        crops: Number of crops along D, H, W.

    Returns:
        Shape ``(B · P, C, D / crops[0], H / crops[1], W / crops[2])``. Crops of a volume are consecutive, W fastest.

    Raises:
        ValueError: the size is no multiple of ``crops``.

    Example:
        >>> split_crops(torch.zeros(2, 1, 8, 8, 8), (1, 2, 2)).shape
        torch.Size([8, 1, 8, 4, 4])
    """
    size = check_crops(volume.shape[2:], crops)
    blocks = volume
    for axis in (2, 1, 0):
        blocks = blocks.unflatten(2 + axis, (crops[axis], size[axis]))
    # (B, C, p, d, q, h, r, w) -> (B, p, q, r, C, d, h, w)
    return blocks.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(0, 3)


def join_crops(maps: Tensor, crops: Sequence[int]) -> Tensor:
    """Join maps of crops to maps of the volumes: the inverse of :func:`split_crops`.

    Args:
        maps: Shape ``(B · P, C, d, h, w)``.
        crops: Number of crops along D, H, W, with product P.

    Returns:
        Shape ``(B, C, crops[0] · d, crops[1] · h, crops[2] · w)``.
    """
    blocks = maps.unflatten(0, (-1, *crops))  # (B, p, q, r, C, d, h, w)
    return blocks.permute(0, 4, 1, 5, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(2, 3)


def check_crops(size: Sequence[int], crops: Sequence[int]) -> tuple[int, int, int]:
    """Return the size of a crop in voxels.

    Raises:
        ValueError: crops that are not three numbers of at least 1, or that do not tile ``size``.
    """
    if len(crops) != 3 or min(crops) < 1:
        raise ValueError(f"crops must be three whole numbers of at least 1, along D, H, W, got {tuple(crops)}.")
    if len(size) != 3 or any(length < 1 or length % count for length, count in zip(size, crops, strict=True)):
        raise ValueError(
            f"A volume of {tuple(size)} voxels cannot be cut into {tuple(crops)} equal crops along D, H, W. Take a "
            "roi_size that is a multiple of the number of crops, and pad smaller volumes to it."
        )
    depth, height, width = (length // count for length, count in zip(size, crops, strict=True))
    return depth, height, width


def valid_share(valid: Tensor, cell: Sequence[int]) -> Tensor:
    """Return the share (B, N) of real voxels per cell, for a mask (B, 1, D, H, W) that the cells tile."""
    return F.avg_pool3d(valid.float(), tuple(cell)).flatten(1)
