"""World coordinates, in which scans of different orientation, spacing and size meet.

An affine ``(4, 4)`` maps the voxels (D, H, W) of a grid to world coordinates in mm (RAS+, as NIfTI has them). Points
have their three coordinates first, ``(3, ...)``. All of it is float64.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .warp import sample


def apply_affine(affine: Tensor, points: Tensor) -> Tensor:
    """Apply ``affine`` (4, 4) to ``points`` (3, ...), which keep their shape."""
    affine = affine.to(points)
    return (affine[:3, :3] @ points.flatten(1) + affine[:3, 3:]).view(points.shape)  # (3, 3) @ (3, N) + (3, 1)


def within(voxels: Tensor, size: Sequence[int]) -> Tensor:
    """Whether ``voxels`` (3, ...) lie in a volume of ``size``, half a voxel around its outermost centres included.

    Returns:
        (...), bool.
    """
    last = torch.tensor(size).sub(1).to(voxels).view(-1, *[1] * (voxels.ndim - 1))
    return ((voxels >= -0.5) & (voxels <= last + 0.5)).all(dim=0)


def world_slabs(size: Sequence[int], affine: Tensor, planes: int = 16) -> Iterator[tuple[slice, Tensor]]:
    """World coordinates of the voxels of a grid, some planes at a time: those of a whole CT would fill the memory.

    Args:
        size: (D, H, W) in voxels.
        affine: (4, 4) of the grid.
        planes: Number of planes along D in one slab.

    Yields:
        which planes, and their points (3, planes, H, W) in mm.
    """
    depth, *others = (torch.arange(side, dtype=torch.float64) for side in size)
    for start in range(0, len(depth), planes):
        part = slice(start, start + planes)
        yield part, apply_affine(affine, torch.stack(torch.meshgrid(depth[part], *others, indexing="ij")))


def sample_at(volume: Tensor, positions: Tensor, mode: str = "bilinear", exact: bool = True) -> Tensor:
    """Read a volume at any positions; zeros outside.

    Args:
        volume: (C, D, H, W); integers are allowed with ``mode="nearest"``.
        positions: (3, ...), voxels of ``volume``.
        mode: ``bilinear`` (trilinear), or ``nearest``, where halves go up along every axis. (Torch rounds halves to
            even numbers, which doubles every other voxel where two grids are half a voxel apart.)
        exact: Sample in float64. Without it a float32 volume is read up to 1e-5 voxels off, and is not converted as a
            whole, which for few positions costs far more than reading them.

    Returns:
        (C, ...), in the dtype of ``volume``.

    Raises:
        ValueError: another shape or mode, or integers with ``bilinear``.
    """
    if volume.ndim != 4 or positions.ndim < 2 or positions.shape[0] != 3:
        raise ValueError(
            f"sample_at takes a volume (C, D, H, W) and positions (3, ...), got {tuple(volume.shape)} and "
            f"{tuple(positions.shape)}."
        )
    if mode == "nearest":
        positions = torch.floor(positions + 0.5 + 1e-6)  # a bit more than half: rounding errors must not decide
    sampled = sample(volume[None], positions.reshape(1, 3, -1, 1, 1), mode, exact)  # (1, C, N, 1, 1)
    return sampled.view(len(volume), *positions.shape[1:])


def moving_points(points: Tensor, flow: Tensor, grid: Tensor, shift: Tensor) -> Tensor:
    """Map points of a fixed scan to the moving scan that a network has registered to it.

    Args:
        points: (3, ...), world coordinates of the fixed scan in mm.
        flow: (3, D, H, W), displacement in voxels of the network's grid (see ``warp_flow``); beyond the grid it is that
            of the nearest border.
        grid: (4, 4), affine of that grid in the fixed scan's world.
        shift: (3,), mm, from the place where the moving scan was put for the network to its own world coordinates.

    Returns:
        the shape of ``points``: world coordinates of the moving scan in mm.
    """
    voxels = apply_affine(torch.linalg.inv(grid.to(points)), points)
    last = torch.tensor(flow.shape[1:]).sub(1).to(points).view(-1, *[1] * (points.ndim - 1))
    displacement = sample_at(flow.to(points), torch.minimum(voxels.clamp(min=0), last))
    return apply_affine(grid, voxels + displacement) + shift.to(points).view(last.shape)


def world_affine(matrix: Tensor, size: Sequence[int], grid: Tensor, shift: Tensor) -> Tensor:
    """Return the affine part of a registration as one matrix from fixed to moving world coordinates, in mm.

    Args:
        matrix: (3, 4), in voxels about the centre of the network's grid, see ``warp_affine``.
        size: (D, H, W) of that grid.
        grid: See ``moving_points``.
        shift: See ``moving_points``.

    Returns:
        (4, 4), float64.
    """
    linear, translation = matrix.double().split([3, 1], dim=1)
    centre = torch.tensor(size, dtype=torch.float64).sub(1).div(2)[:, None]  # (3, 1)
    voxels, move = torch.eye(4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    voxels[:3] = torch.cat([linear, centre + translation - linear @ centre], dim=1)
    move[:3, 3] = shift
    grid = grid.double()
    return move @ grid @ voxels @ torch.linalg.inv(grid)
