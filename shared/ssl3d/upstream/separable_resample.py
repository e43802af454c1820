"""Resampling between parallel grids, axis by axis: a fraction of the time and memory of a dense grid."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor, get_track_meta
from monai.data.utils import AFFINE_TOL
from monai.transforms import SpatialResample
from monai.transforms.inverse import TraceableTransform
from monai.utils import TraceKeys, get_equivalent_dtype, get_torch_dtype_from_string
from torch import Tensor

TOLERANCE = 1e-3  # voxels: where a grid is turned or sheared against the other by less, they count as parallel
INTERPOLATIONS = ("bilinear", "nearest")


class SeparableResample(SpatialResample):
    """MONAI's ``SpatialResample``, one axis after the other where both grids have the same axes.

    A change of spacing keeps the directions of the axes, so that trilinear interpolation is three linear ones in turn.
    MONAI asks for the position of every voxel instead, in float64: gigabytes for a CT, and many times the time. Values
    are those of MONAI but for rounding (nearest: but for voxels halfway between two), and so are the metadata and the
    inverse. With mode ``nearest`` integers stay integers, where MONAI makes them float32. Sheared grids, spline orders,
    other padding than ``border`` and lazy calls go to MONAI. Arguments are those of ``SpatialResample``.
    """

    def __call__(
        self,
        img: Tensor,
        dst_affine: Tensor | None = None,
        spatial_size: Sequence[int] | Tensor | int | None = None,
        mode: str | int | None = None,
        padding_mode: str | None = None,
        align_corners: bool | None = None,
        dtype: Any = None,
        lazy: bool | None = None,
    ) -> Tensor:
        """``img`` (C, D, H, W) on the grid of ``dst_affine`` (4, 4) with ``spatial_size`` voxels."""
        mode = self.mode if mode is None else mode
        padding_mode = self.padding_mode if padding_mode is None else padding_mode
        lazy = self.lazy if lazy is None else lazy
        size = np.asarray(-1 if spatial_size is None else spatial_size)
        matrix = None
        if not lazy and mode in INTERPOLATIONS and padding_mode == "border" and size.shape == (3,) and size.min() > 0:
            matrix = _voxels(img, dst_affine, size)
        if matrix is None or (np.allclose(matrix, np.eye(4), atol=AFFINE_TOL) and (size == img.shape[1:]).all()):
            return super().__call__(img, dst_affine, spatial_size, mode, padding_mode, align_corners, dtype, lazy)
        assert isinstance(img, MetaTensor)  # else there is no matrix
        traced = TraceableTransform.track_transform_meta(
            img,
            sp_size=size,
            affine=torch.from_numpy(matrix),
            extra_info={
                "dtype": str(get_equivalent_dtype(dtype or self.dtype, torch.Tensor)).removeprefix("torch."),
                "mode": str(mode),
                "padding_mode": str(padding_mode),
                "align_corners": self.align_corners if align_corners is None else align_corners,
                "src_affine": img.affine,
            },
            orig_size=img.shape[1:],
            transform_info=self.get_transform_info(),
            lazy=False,
        )
        values = resample_axes(
            img.as_tensor(), np.diag(matrix)[:3].tolist(), matrix[:3, 3].tolist(), size.tolist(), mode == "nearest"
        )
        return MetaTensor(values).copy_meta_from(traced)

    def inverse(self, data: Tensor) -> Tensor:
        """Return ``data`` on the grid from before the last call."""
        applied = self.pop_transform(data)
        past = applied[TraceKeys.EXTRA_INFO]
        with self.trace_transform(False):
            return self(
                data,
                past["src_affine"],
                applied[TraceKeys.ORIG_SIZE],
                past["mode"],
                past["padding_mode"],
                None if past["align_corners"] == TraceKeys.NONE else past["align_corners"],
                get_torch_dtype_from_string(past["dtype"]),
            )


def resample_axes(
    volume: Tensor, scale: Sequence[float], shift: Sequence[float], size: Sequence[int], nearest: bool
) -> Tensor:
    """Values of a volume on a parallel grid, whose voxel i lies at ``scale * i + shift`` along each axis.

    Positions beyond the borders take the border's value.

    Args:
        volume: (C, D, H, W), any type and strides.
        scale: Three numbers, sides of a new voxel in voxels of ``volume``.
        shift: Three numbers, position of the first new voxel in voxels of ``volume``.
        size: Three numbers, voxels of the new grid.
        nearest: Take the nearest voxel, halves to the even one, instead of interpolating linearly.

    Returns:
        (C, *size), first axis fastest, as NIfTI files have it; float32, of ``nearest`` the type of ``volume``.
    """
    axes = sorted((1, 2, 3), key=volume.stride, reverse=True)  # as in memory, the outermost first
    x = volume.permute(0, *axes)
    for axis in (axis for axis in axes if scale[axis - 1] > 1):  # shrinking goes first: all the rest gets cheaper
        x = _along(x, 1 + axes.index(axis), scale[axis - 1], shift[axis - 1], int(size[axis - 1]), nearest)
    x = x.permute(0, *(1 + axes.index(axis) for axis in (3, 2, 1))).contiguous()  # (C, W, H, D)
    for axis in (axis for axis in (1, 2, 3) if scale[axis - 1] <= 1):  # growing: the innermost first
        x = _along(x, 4 - axis, scale[axis - 1], shift[axis - 1], int(size[axis - 1]), nearest)
    return x.permute(0, 3, 2, 1)


def _along(x: Tensor, dim: int, scale: float, shift: float, size: int, nearest: bool) -> Tensor:
    last = x.shape[dim] - 1
    at = (torch.arange(size, dtype=torch.float64, device=x.device) * float(scale) + float(shift)).clamp(0, last)
    if nearest:
        return x.index_select(dim, at.round().long())
    low = at.floor().long()
    weight = (at - low).float().view(-1, *(1,) * (x.ndim - 1 - dim))
    above = x.index_select(dim, (low + 1).clamp(max=last)).float()
    return x.index_select(dim, low).float().lerp_(above, weight)


def _voxels(img: Tensor, dst_affine: Tensor | None, size: np.ndarray) -> np.ndarray | None:
    """Return the matrix (4, 4) from voxels of the new grid to those of ``img``; None if the axes are not parallel."""
    if not isinstance(img, MetaTensor) or not get_track_meta() or img.ndim != 4 or dst_affine is None:
        return None
    source = img.affine.detach().cpu().numpy().astype(np.float64)
    try:
        matrix = np.linalg.solve(source, torch.as_tensor(dst_affine).cpu().numpy().astype(np.float64))
    except np.linalg.LinAlgError:
        return None  # which MONAI reports
    turned = np.abs(matrix[:3, :3] - np.diag(np.diag(matrix)[:3])) @ size
    return matrix if turned.max() < TOLERANCE and np.diag(matrix).min() > 0 else None
