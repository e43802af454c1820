"""Find corresponding cells of a volume and of its copy that is warped by a matrix."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def correspondence(matrix: Tensor, grid: Sequence[int], cell: Sequence[int]) -> Tensor:
    """Mutually nearest cells of a volume and of its warped copy.

    The volume has ``grid · cell`` voxels. A cell ``i`` of the volume and a cell ``j`` of the copy correspond when the
    centre of ``i`` comes to lie in ``j`` and the centre of ``j`` was taken from ``i``. So each row and each column
    holds one True at most, and the identity gives the identity.

    The inverse matrix gives the transpose: both conditions change places, they do not change. Only where a centre falls
    on the border between two cells, to the rounding of float64, may the two differ.

    Args:
        matrix: Shape ``(3, 4)`` or ``(B, 3, 4)``, the one that warps the volume, output to input coordinates in voxels
            about the centre, see :func:`~ssl3d.geometry.warp_affine`.
        grid: Cells along D, H, W.
        cell: Voxels of a cell along D, H, W.

    Returns:
        Bool, shape ``(N, N)`` or ``(B, N, N)`` with ``N = prod(grid)``; rows are cells of the volume, columns cells of
        the warped copy; the number of a cell is ``(d · grid[1] + h) · grid[2] + w``.

    Raises:
        ValueError: for any other shape, sizes below 1, or a matrix that cannot be inverted.

    Source: S2DC (arXiv:2507.02581), the supervision of patch-to-patch matching, in three dimensions and with the exact
    inverse (its released code neither turns nor scales the translation).

    Example:
        >>> shift = torch.eye(3, 4)
        >>> shift[2, 3] = 8.0  # the copy shows what lies 8 voxels further along W
        >>> correspondence(shift, grid=(1, 1, 3), cell=(8, 8, 8)).int()
        tensor([[0, 0, 0],
                [1, 0, 0],
                [0, 1, 0]], dtype=torch.int32)
    """
    if matrix.ndim not in (2, 3) or matrix.shape[-2:] != (3, 4):
        raise ValueError(f"matrix must have shape (3, 4) or (B, 3, 4), got {tuple(matrix.shape)}.")
    for name, sizes in {"grid": grid, "cell": cell}.items():
        if len(sizes) != 3 or min(sizes) < 1:
            raise ValueError(f"{name} must be three whole numbers of at least 1, along D, H, W, got {tuple(sizes)}.")
    matrices = matrix.detach().double().reshape(-1, 3, 4)
    linear, translation = matrices[:, :, :3], matrices[:, :, 3:]
    determinant = torch.linalg.det(linear)
    if not (matrices.isfinite().all() and determinant.abs().min() > 0):
        raise ValueError(f"matrix must be finite and invertible, got {matrix.tolist()}.")

    centres = _centres(grid, cell, matrices)  # (3, N)
    origin = _cell_numbers(linear @ centres + translation, grid, cell)  # (B, N), of each cell of the copy
    target = _cell_numbers(torch.linalg.solve(linear, centres - translation), grid, cell)  # (B, N), of the volume
    numbers = torch.arange(centres.shape[1], device=matrix.device)
    pairs = (target[:, :, None] == numbers) & (origin[:, None, :] == numbers[:, None])  # (B, N, N)
    return pairs.reshape(*matrix.shape[:-2], *pairs.shape[1:])


def patch_correspondence(
    angle_deg: float, scale: float, translation: Sequence[float], grid: int, cell: int, exact: bool = True
) -> Tensor:
    """Mutually nearest cells of a square grid in the plane: :func:`correspondence` as S2DC states it.

    The copy shows at ``p`` what lies at ``scale · R · p + translation``, about the centre, with the rotation
    ``R = [[cos, sin], [-sin, cos]]``.

    Args:
        angle_deg: degrees.
        scale: Factor, not 0.
        translation: Shift in voxels, two numbers, along the first and second axis.
        grid: Cells along each axis.
        cell: Voxels of a cell along each axis.
        exact: Otherwise the translation is neither turned nor scaled on its way back, as in the released code: a fifth
            of the pairs of its training distribution are then wrong.

    Returns:
        Bool, shape ``(grid², grid²)``, on the CPU; rows are source, columns augmented cells, the number of a cell is
        ``gx · grid + gy``.

    Raises:
        ValueError: for a translation that is not two numbers, sizes below 1, or a scale of 0.

    Source: S2DC (arXiv:2507.02581), the supervision of patch-to-patch matching.

    Example:
        >>> patch_correspondence(0.0, 1.0, (0.0, 0.0), grid=2, cell=8).equal(torch.eye(4, dtype=torch.bool))
        True
    """
    if len(translation) != 2:
        raise ValueError(f"translation must be two numbers, in voxels, got {tuple(translation)}.")
    angle = math.radians(angle_deg)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    linear = torch.tensor([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, scale]], dtype=torch.float64)
    shift = torch.tensor([*translation, 0.0], dtype=torch.float64)
    if not exact:
        shift = linear @ shift
    return correspondence(torch.cat([linear, shift[:, None]], dim=1), (grid, grid, 1), (cell, cell, 1))


def _centres(grid: Sequence[int], cell: Sequence[int], like: Tensor) -> Tensor:
    """Return the centres (3, N) of the cells, in voxels about the centre of the volume."""
    axes = [
        (torch.arange(count, dtype=like.dtype, device=like.device) - (count - 1) / 2) * side
        for count, side in zip(grid, cell, strict=True)
    ]
    return torch.stack(torch.meshgrid(axes, indexing="ij")).flatten(1)


def _cell_numbers(points: Tensor, grid: Sequence[int], cell: Sequence[int]) -> Tensor:
    """Return the index (B, N) of the cell that holds each point (B, 3, N; voxels about the centre); -1 outside."""
    counts = torch.tensor(grid, device=points.device).view(3, 1)
    sides = torch.tensor(cell, device=points.device).view(3, 1)
    index = (points / sides + counts / 2).floor()  # (B, 3, N)
    inside = ((index >= 0) & (index < counts)).all(dim=1)
    d, h, w = index.unbind(1)
    return torch.where(inside, (d * grid[1] + h) * grid[2] + w, -1).long()
