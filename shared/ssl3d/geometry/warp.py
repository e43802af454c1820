"""Warping volumes by matrices and by displacement fields.

One convention: a matrix or a field maps output to input coordinates (the direction of sampling), in voxels, in the
order (D, H, W) of a ``(B, C, D, H, W)`` tensor. Torch's own normalised (x, y, z) frame is met in this file only.
"""

from typing import List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


def warp_affine(image: Tensor, matrix: Tensor, mode: str = "bilinear", exact: bool = True) -> Tensor:
    """Sample ``out(p) = image(A (p - c) + c + t)`` with ``matrix = [A | t]`` and the centre ``c = (size - 1) / 2``.

    Differentiable in both arguments; the identity returns ``image`` to 1e-6.

    Args:
        image: Shape ``(B, C, D, H, W)``; integers (label maps) are allowed with ``mode="nearest"``.
        matrix: Shape ``(B, 3, 4)``; ``t`` in voxels. See :func:`~ssl3d.geometry.affine_matrix`.
        mode: ``"bilinear"`` (trilinear) or ``"nearest"``. Outside of ``image`` lie zeros.
        exact: Read in float64; otherwise in float32, up to 1e-5 voxels beside the position, with half of the memory,
            which is enough for feature maps.

    Returns:
        Shape and dtype of ``image``.

    Raises:
        ValueError: for any other shape or mode, or for integers with ``mode="bilinear"``.

    Source: the affine sampler of GVSL (arXiv:2303.00874), with true voxel units on every axis.
    """
    if not torch.jit.is_scripting():
        _check_volume("image", image)
        _check_matrix(matrix, image)
    matrix = matrix.to(image.device, torch.float64)
    if exact or image.dtype == torch.float64:
        grid = _voxel_grid(list(image.shape[2:]), matrix)
        return sample(image, _transform(matrix, grid[None]), mode)
    if not torch.jit.is_scripting():
        _check_mode(mode, image)
        if _faster_by_index(image, matrix, mode) and matrix.isfinite().all():  # without numbers there is no index
            return _sample_by_index(image, matrix)
    # Torch's frame is about the centre too, in halves of the size.
    half = torch.tensor(image.shape[2:], dtype=torch.float64, device=image.device) / 2
    to_xyz = (matrix / half[:, None]).flip(1)  # (B, 3, 4), rows W H D
    grid = torch.stack(_affine_points(to_xyz, list(image.shape[2:])), dim=-1)
    return F.grid_sample(image.float(), grid, mode=mode, padding_mode="zeros", align_corners=False).to(image.dtype)


def affine_flow(matrix: Tensor, size: Tuple[int, int, int], flow: Tensor | None = None) -> Tensor:
    """Return the displacement field of an affine map, or of an affine warp followed by the warp of a field.

    ``warp_flow(image, affine_flow(matrix, size))`` equals ``warp_affine(image, matrix)``. With a field it is
    ``A (p + flow(p) - c) + c + t - p``, so that ``warp_flow(warp_affine(image, matrix), flow)`` is had with one
    resampling instead of two.

    Args:
        matrix: Shape ``(B, 3, 4)``, ``[A | t]``, see :func:`warp_affine`.
        size: (D, H, W) in voxels.
        flow: Shape ``(B, 3, D, H, W)``, displacement in voxels; None: zero.

    Returns:
        Shape ``(B, 3, D, H, W)``, in the dtype and on the device of ``matrix``.

    Raises:
        ValueError: for any other shape.

    Source: GVSL (arXiv:2303.00874), equation 12.
    """
    if not torch.jit.is_scripting():
        if matrix.ndim != 3 or matrix.shape[1:] != (3, 4):
            raise ValueError(f"matrix must have shape (B, 3, 4), got {tuple(matrix.shape)}.")
        if flow is not None:
            _check_flow("flow", flow, (matrix.shape[0], 3, *size))
    grid = _voxel_grid(list(size), matrix)
    points = grid[None] if flow is None else grid + flow.to(matrix)
    return _transform(matrix, points) - grid


def warp_flow(image: Tensor, flow: Tensor, released: bool = False, *, mode: str = "bilinear") -> Tensor:
    """Sample ``out(p) = image(p + flow(p))``, differentiable in both arguments.

    Zero flow returns ``image`` to 1e-6.

    Args:
        image: Shape ``(B, C, D, H, W)``; integers (label maps) are allowed with ``mode="nearest"``.
        flow: Shape ``(B, 3, D, H, W)``, displacement in voxels along D, H, W.
        released: Sample as GVSL's released code does, which its public weights were trained with: at
            ``(p + flow(p)) · size / (size - 1) - 1/2``. Zero flow is no identity then.
        mode: ``"bilinear"`` (trilinear) or ``"nearest"``. Outside of ``image`` lie zeros.

    Returns:
        Shape and dtype of ``image``.

    Raises:
        ValueError: for any other shape or mode, or for integers with ``mode="bilinear"``.

    Source: the spatial transformer of GVSL (arXiv:2303.00874), section 3.2, with one convention of the corners.
    """
    _check_volume("image", image)
    _check_flow("flow", flow, (image.shape[0], 3, *image.shape[2:]))
    flow = flow.to(image.device, torch.float64)
    positions = _voxel_grid(list(image.shape[2:]), flow) + flow
    if released:
        size = torch.tensor(image.shape[2:], dtype=flow.dtype, device=flow.device).view(3, 1, 1, 1)
        positions = positions * (size / (size - 1)) - 0.5
    return sample(image, positions, mode)


def compose_flow(first: Tensor, second: Tensor) -> Tensor:
    """Return the field that equals a warp by ``first`` and then by ``second``: ``second(p) + first(p + second(p))``.

    ``warp_flow(warp_flow(image, first), second)`` equals ``warp_flow(image, compose_flow(first, second))`` up to
    interpolation.

    Args:
        first: Shape ``(B, 3, D, H, W)``, displacement in voxels; beyond the volume it is zero.
        second: Shape ``(B, 3, D, H, W)``, displacement in voxels.

    Returns:
        Shape ``(B, 3, D, H, W)``, in the dtype of ``first``.

    Raises:
        ValueError: if a shape differs from the above.
    """
    _check_flow("first", first, (*first.shape[:1], 3, *first.shape[2:]))
    return second.to(first) + warp_flow(first, second)


def jacobian_determinant(flow: Tensor) -> Tensor:
    """Return the local volume ratio ``det(I + ∇flow)`` of the map ``p -> p + flow(p)``, positive if nothing folds.

    Central differences inside, one-sided ones at the border.

    Args:
        flow: Shape ``(B, 3, D, H, W)``, displacement in voxels, at least two voxels along each axis.

    Returns:
        Shape ``(B, 1, D, H, W)``.

    Raises:
        ValueError: for any other shape.
    """
    _check_flow("flow", flow, (*flow.shape[:1], 3, *flow.shape[2:]))
    if min(flow.shape[2:]) < 2:
        raise ValueError(f"flow needs at least two voxels along each axis, got shape {tuple(flow.shape)}.")
    # gradient[j][:, i] = d flow_i / d p_j
    gradient = torch.stack(torch.gradient(flow, dim=(2, 3, 4)), dim=2)  # (B, 3 components, 3 axes, D, H, W)
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(1) for row in gradient.unbind(1))
    a, e, i = a + 1, e + 1, i + 1
    return (a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)).unsqueeze(1)


def sample(image: Tensor, positions: Tensor, mode: str, exact: bool = True) -> Tensor:
    """Read ``image`` at ``positions (B, 3, D, H, W)``, voxels in (D, H, W) order, zeros outside."""
    if not torch.jit.is_scripting():
        _check_mode(mode, image)
    size = torch.tensor(image.shape[2:], dtype=positions.dtype, device=positions.device).view(3, 1, 1, 1)
    # The frame of align_corners=False also holds for axes of one voxel. Everything is float64 until the end: rounding
    # in the normalised frame would move float32 samples by 1e-5 voxels and break the identity; it costs 20 % more time.
    grid = (2 * positions + 1) / size - 1
    if not exact and image.dtype != torch.float64:
        grid = grid.float()
    grid = grid.flip(1).movedim(1, -1)  # (D, H, W) -> (x, y, z) = (W, H, D), last
    warped = F.grid_sample(image.to(grid), grid, mode=mode, padding_mode="zeros", align_corners=False)
    return warped.to(image.dtype)


def _faster_by_index(image: Tensor, matrix: Tensor, mode: str) -> bool:
    """Return whether reading by index is faster than torch's sampler, which on CPU reads one point after the other."""
    learns = torch.is_grad_enabled() and (image.requires_grad or matrix.requires_grad)
    plain = image.device.type == "cpu" and image.dtype == torch.float32 and mode == "bilinear"
    return plain and image.shape[1] <= 2 and not learns


def _sample_by_index(image: Tensor, matrix: Tensor) -> Tensor:
    """Sample ``image`` at the points of ``matrix (B, 3, 4)`` as torch does, in half of the time, without gradient."""
    size = image.shape[2:]
    padded = F.pad(image, [1, 2, 1, 2, 1, 2])  # zeros where a point and its next voxel may lie outside
    corner = (torch.tensor(size) + 1) / 2  # from the centre to voxel 0 of the padded volume
    matrix = torch.cat([matrix[:, :, :3], matrix[:, :, 3:] + corner[:, None]], dim=2)
    index = torch.arange(len(image), dtype=torch.int32).view(-1, 1, 1, 1)
    weights = []
    for points, side in zip(_affine_points(matrix, list(size)), size, strict=True):
        below = points.clamp_(0, side + 1).int()
        weights.append(points.sub_(below))
        index = below.add_(index, alpha=side + 3)  # (B, D, H, W)
    index = index.flatten()
    row, plane = padded.shape[4], padded.shape[3] * padded.shape[4]

    def read(values: Tensor, axis: int) -> Tensor:
        """Values at each point, interpolated along ``axis`` and those behind it."""
        if axis == 3:
            return values.index_select(0, index).view_as(weights[0])
        beyond = values[(plane, row, 1)[axis] :]  # the same index reads the next voxel
        return read(values, axis + 1).lerp_(read(beyond, axis + 1), weights[axis])

    return torch.stack([read(padded[:, channel].flatten(), 0) for channel in range(image.shape[1])], dim=1)


def _affine_points(matrix: Tensor, size: List[int]) -> List[Tensor]:
    """Where ``matrix (B, R, 4)`` reads, about the centre, in float32: R tensors ``(B, D, H, W)``."""
    # A sum over the axes: a product with three columns takes many times as long.
    rows: List[Tensor] = []
    for row in matrix.float()[:, :, :, None, None, None].unbind(1):
        points = row[:, 3]
        for axis, side in enumerate(size):
            offsets = torch.arange(side, dtype=torch.float32, device=matrix.device) - (side - 1) / 2
            shape = [1, 1, 1]
            shape[axis] = side
            points = points + offsets.view(shape) * row[:, axis]  # (B, D, H, W)
        rows.append(points)
    return rows


def _transform(matrix: Tensor, points: Tensor) -> Tensor:
    """Return ``A (x - c) + c + t`` for ``points (B, 3, D, H, W)`` in voxels; c is the centre of their grid."""
    linear, translation = matrix[:, :, :3], matrix[:, :, 3]
    centre = torch.tensor([(side - 1) / 2 for side in points.shape[2:]], dtype=matrix.dtype, device=matrix.device)
    shift = centre + translation - linear @ centre  # (B, 3, 3) @ (3,) -> (B, 3)
    moved = linear @ points.flatten(2) + shift[:, :, None]  # (B, 3, 3) @ (B or 1, 3, D·H·W)
    return moved.unflatten(2, points.shape[2:])


def _voxel_grid(size: List[int], like: Tensor) -> Tensor:
    """Return voxel coordinates, shape ``(3, D, H, W)``."""
    axes = [torch.arange(s, dtype=like.dtype, device=like.device) for s in size]
    return torch.stack(torch.meshgrid(axes, indexing="ij"))


def _check_volume(name: str, volume: Tensor) -> None:
    if volume.ndim != 5:
        raise ValueError(f"{name} must have shape (B, C, D, H, W), got {tuple(volume.shape)}.")


def _check_matrix(matrix: Tensor, image: Tensor) -> None:
    if matrix.shape != (image.shape[0], 3, 4):
        raise ValueError(
            f"matrix must have shape (B, 3, 4) = ({image.shape[0]}, 3, 4) for an image of shape "
            f"{tuple(image.shape)}, got {tuple(matrix.shape)}."
        )


def _check_mode(mode: str, image: Tensor) -> None:
    if mode not in ("bilinear", "nearest"):
        raise ValueError(f"mode must be 'bilinear' or 'nearest', got {mode!r}.")
    if mode == "bilinear" and not image.is_floating_point():
        raise ValueError(f"an image of {image.dtype} can only be warped with mode='nearest'.")


def _check_flow(name: str, flow: Tensor, expected: tuple[int, ...]) -> None:
    if flow.ndim != 5 or tuple(flow.shape) != expected:
        wanted = f"{expected}" if len(expected) == 5 else "a field"
        raise ValueError(f"{name} must have shape (B, 3, D, H, W), here {wanted}, got {tuple(flow.shape)}.")
