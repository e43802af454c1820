"""Affine matrices from rotation, scale, translation and shear."""

from typing import List

import torch
from torch import Tensor


def affine_matrix(rotation: Tensor, scale: Tensor, translation: Tensor, shear: Tensor) -> Tensor:
    """Build the matrices ``[H · S · Rz · Ry · Rx | translation]`` of a batch, differentiable in all four arguments.

    The axes x, y, z are rows 0, 1, 2, which are the axes D, H, W of a ``(B, C, D, H, W)`` tensor. Read by
    :func:`~ssl3d.geometry.warp_affine`, a matrix maps output to input coordinates about the centre of the volume.

    Args:
        rotation: Shape ``(B, 3)``, angles about x, y, z in radians.
        scale: Shape ``(B, 3)``, factors along x, y, z.
        translation: Shape ``(B, 3)``, in voxels; neither scaled nor rotated.
        shear: Shape ``(B, 6)``, angles xy, xz, yx, yz, zx, zy in radians, of which the tangent is taken.

    Returns:
        Shape ``(B, 3, 4)``, in the dtype of ``rotation``.

    Raises:
        ValueError: if a shape differs from the above, or the batch sizes differ.

    Source: GVSL (arXiv:2303.00874), appendix B: the composition of its released code.

    Example:
        >>> zeros = torch.zeros(1, 3)
        >>> affine_matrix(zeros, torch.ones(1, 3), zeros, torch.zeros(1, 6))[0, 0]
        tensor([1., 0., 0., 0.])
    """
    if not torch.jit.is_scripting():
        _check_shapes({"rotation": rotation, "scale": scale, "translation": translation, "shear": shear})
    scale, translation, shear = scale.to(rotation), translation.to(rotation), shear.to(rotation)

    cx, cy, cz = rotation.cos().unbind(1)
    sx, sy, sz = rotation.sin().unbind(1)
    one, zero = torch.ones_like(cx), torch.zeros_like(cx)
    rx = _matrix([one, zero, zero, zero, cx, -sx, zero, sx, cx])
    ry = _matrix([cy, zero, sy, zero, one, zero, -sy, zero, cy])
    rz = _matrix([cz, -sz, zero, sz, cz, zero, zero, zero, one])
    xy, xz, yx, yz, zx, zy = shear.tan().unbind(1)
    shearing = _matrix([one, xy, xz, yx, one, yz, zx, zy, one])
    linear = shearing @ torch.diag_embed(scale) @ rz @ ry @ rx
    return torch.cat([linear, translation[:, :, None]], dim=2)


def voxel_matrix(matrix: Tensor, spacing: Tensor) -> Tensor:
    """Convert a matrix about the centre of a volume from mm to voxels.

    A rotation in mm stays a rotation of the patient at any spacing. In voxels of unequal sides it is no pure rotation.

    Args:
        matrix: Shape ``(B, 3, 4)``, output to input coordinates in mm along D, H, W, such as :func:`affine_matrix`
            gives for a translation in mm.
        spacing: Shape ``(3,)`` or ``(B, 3)``, mm per voxel along D, H, W.

    Returns:
        Shape ``(B, 3, 4)``, what :func:`~ssl3d.geometry.warp_affine` and :func:`~ssl3d.geometry.correspondence` read.

    Raises:
        ValueError: for any other shape, or spacing that is not positive.

    Example:
        >>> shift = torch.cat([torch.eye(3), torch.full((3, 1), 6.0)], dim=1)[None]  # 6 mm along each axis
        >>> voxel_matrix(shift, torch.tensor([1.0, 2.0, 3.0]))[0, :, 3]
        tensor([6., 3., 2.])
    """
    if matrix.ndim != 3 or matrix.shape[1:] != (3, 4):
        raise ValueError(f"matrix must have shape (B, 3, 4), got {tuple(matrix.shape)}.")
    if spacing.shape not in ((3,), (matrix.shape[0], 3)) or not (spacing > 0).all():
        raise ValueError(
            f"spacing must be positive, of shape (3,) or (B, 3) = ({matrix.shape[0]}, 3), got {spacing.tolist()} of "
            f"shape {tuple(spacing.shape)}."
        )
    spacing = spacing.to(matrix).expand(matrix.shape[0], 3)
    along = torch.cat([spacing, torch.ones_like(spacing[:, :1])], dim=1)  # the translation is no factor of positions
    return matrix * along[:, None, :] / spacing[:, :, None]


def _matrix(entries: List[Tensor]) -> Tensor:
    """Nine tensors of shape ``(B,)``, row by row, as a batch of matrices ``(B, 3, 3)``."""
    return torch.stack(entries, dim=1).reshape(-1, 3, 3)


def _check_shapes(parts: dict[str, Tensor]) -> None:
    batch = parts["rotation"].shape[0] if parts["rotation"].ndim else 0
    for name, value in parts.items():
        width = 6 if name == "shear" else 3
        if value.ndim != 2 or value.shape != (batch, width):
            raise ValueError(f"{name} must have shape (B, {width}) with one B for all, got {tuple(value.shape)}.")
