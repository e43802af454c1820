"""Warping volumes by matrices and by displacement fields.

One convention: a matrix or a field maps output to input coordinates (the direction of sampling), in voxels, in the
order (D, H, W) of a ``(B, C, D, H, W)`` tensor. Torch's own normalised (x, y, z) frame is met in this file only.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp_affine(image: Tensor, matrix: Tensor, mode: str = "bilinear") -> Tensor:
    """Sample ``out(p) = image(A (p - c) + c + t)`` with ``matrix = [A | t]`` and the centre ``c = (size - 1) / 2``.

    Differentiable in both arguments; the identity returns ``image`` to 1e-6.

    Args:
        image: shape ``(B, C, D, H, W)``; integers (label maps) are allowed with ``mode="nearest"``.
        matrix: shape ``(B, 3, 4)``; ``t`` in voxels. See :func:`~ssl3d.geometry.affine_matrix`.
        mode: ``"bilinear"`` (trilinear) or ``"nearest"``. Outside of ``image`` lie zeros.

    Returns:
        Shape and dtype of ``image``.

    Raises:
        ValueError: for any other shape or mode, or for integers with ``mode="bilinear"``.

    Source: the affine sampler of GVSL (arXiv:2303.00874), with true voxel units on every axis.
    """
    _check_volume("image", image)
    if matrix.shape != (image.shape[0], 3, 4):
        raise ValueError(
            f"matrix must have shape (B, 3, 4) = ({image.shape[0]}, 3, 4) for an image of shape "
            f"{tuple(image.shape)}, got {tuple(matrix.shape)}."
        )
    matrix = matrix.to(image.device, torch.float64)
    size = image.shape[2:]
    centre = torch.tensor([(s - 1) / 2 for s in size], dtype=matrix.dtype, device=matrix.device).view(3, 1, 1, 1)
    offsets = _voxel_grid(size, matrix) - centre
    positions = torch.einsum("bij,jdhw->bidhw", matrix[:, :, :3], offsets) + centre + matrix[:, :, 3, None, None, None]
    return _sample(image, positions, mode)


def warp_flow(image: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Sample ``out(p) = image(p + flow(p))``, differentiable in both arguments.

    Zero flow returns ``image`` to 1e-6.

    Args:
        image: shape ``(B, C, D, H, W)``; integers (label maps) are allowed with ``mode="nearest"``.
        flow: shape ``(B, 3, D, H, W)``, displacement in voxels along D, H, W.
        mode: ``"bilinear"`` (trilinear) or ``"nearest"``. Outside of ``image`` lie zeros.

    Returns:
        Shape and dtype of ``image``.

    Raises:
        ValueError: for any other shape or mode, or for integers with ``mode="bilinear"``.

    Source: the spatial transformer of GVSL (arXiv:2303.00874), with one convention of the corners throughout.
    """
    _check_volume("image", image)
    _check_flow("flow", flow, (image.shape[0], 3, *image.shape[2:]))
    flow = flow.to(image.device, torch.float64)
    return _sample(image, _voxel_grid(image.shape[2:], flow) + flow, mode)


def compose_flow(first: Tensor, second: Tensor) -> Tensor:
    """Return the one field that warps as ``first`` and then ``second`` do: ``second(p) + first(p + second(p))``.

    ``warp_flow(warp_flow(image, first), second)`` equals ``warp_flow(image, compose_flow(first, second))`` up to
    interpolation.

    Args:
        first, second: shape ``(B, 3, D, H, W)``, displacements in voxels; beyond the volume ``first`` is zero.

    Returns:
        Shape ``(B, 3, D, H, W)``, in the dtype of ``first``.

    Raises:
        ValueError: if a shape differs from the above.
    """
    _check_flow("first", first, (*first.shape[:1], 3, *first.shape[2:]))
    return second.to(first) + warp_flow(first, second)


def jacobian_determinant(flow: Tensor) -> Tensor:
    """Local volume ratio ``det(I + ∇flow)`` of the map ``p -> p + flow(p)``; where it is positive nothing folds.

    Central differences inside, one-sided ones at the border.

    Args:
        flow: shape ``(B, 3, D, H, W)``, displacement in voxels, at least two voxels along each axis.

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


def _sample(image: Tensor, positions: Tensor, mode: str) -> Tensor:
    """Read ``image`` at ``positions (B, 3, D, H, W)``, voxels in (D, H, W) order, zeros outside."""
    if mode not in ("bilinear", "nearest"):
        raise ValueError(f"mode must be 'bilinear' or 'nearest', got {mode!r}.")
    if mode == "bilinear" and not image.is_floating_point():
        raise ValueError(f"an image of {image.dtype} can only be warped with mode='nearest'.")
    size = torch.tensor(image.shape[2:], dtype=positions.dtype, device=positions.device).view(3, 1, 1, 1)
    # The frame of align_corners=False also holds for axes of one voxel. Everything is float64 until the end: rounding
    # in the normalised frame would move float32 samples by 1e-5 voxels and break the identity; it costs 20 % more time.
    grid = (2 * positions + 1) / size - 1
    grid = grid.flip(1).movedim(1, -1)  # (D, H, W) -> (x, y, z) = (W, H, D), last
    warped = F.grid_sample(image.to(grid), grid, mode=mode, padding_mode="zeros", align_corners=False)
    return warped.to(image.dtype)


def _voxel_grid(size: torch.Size, like: Tensor) -> Tensor:
    """Voxel coordinates, shape ``(3, D, H, W)``."""
    axes = [torch.arange(s, dtype=like.dtype, device=like.device) for s in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def _check_volume(name: str, volume: Tensor) -> None:
    if volume.ndim != 5:
        raise ValueError(f"{name} must have shape (B, C, D, H, W), got {tuple(volume.shape)}.")


def _check_flow(name: str, flow: Tensor, expected: tuple[int, ...]) -> None:
    if flow.ndim != 5 or tuple(flow.shape) != expected:
        wanted = f"{expected}" if len(expected) == 5 else "a field"
        raise ValueError(f"{name} must have shape (B, 3, D, H, W), here {wanted}, got {tuple(flow.shape)}.")
