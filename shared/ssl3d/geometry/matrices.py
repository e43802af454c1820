"""Affine matrices from rotation, scale, translation and shear."""

from typing import List

import torch
from torch import Tensor


def affine_matrix(rotation: Tensor, scale: Tensor, translation: Tensor, shear: Tensor) -> Tensor:
    """Build the matrices ``[H · S · Rz · Ry · Rx | translation]`` of a batch, differentiable in all four arguments.

    The axes x, y, z are rows 0, 1, 2, which are the axes D, H, W of a ``(B, C, D, H, W)`` tensor. Read by
    :func:`~ssl3d.geometry.warp_affine`, a matrix maps output to input coordinates about the centre of the volume.

    Args:
        rotation: shape ``(B, 3)``, angles about x, y, z in radians.
        scale: shape ``(B, 3)``, factors along x, y, z.
        translation: shape ``(B, 3)``, in voxels; neither scaled nor rotated.
        shear: shape ``(B, 6)``, angles xy, xz, yx, yz, zx, zy in radians, of which the tangent is taken.

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


def _matrix(entries: List[Tensor]) -> Tensor:
    """Nine tensors of shape ``(B,)``, row by row, as a batch of matrices ``(B, 3, 3)``."""
    return torch.stack(entries, dim=1).reshape(-1, 3, 3)


def _check_shapes(parts: dict[str, Tensor]) -> None:
    batch = parts["rotation"].shape[0] if parts["rotation"].ndim else 0
    for name, value in parts.items():
        width = 6 if name == "shear" else 3
        if value.ndim != 2 or value.shape != (batch, width):
            raise ValueError(f"{name} must have shape (B, {width}) with one B for all, got {tuple(value.shape)}.")
