"""Matrices and warps of volumes in one convention (torch only): the floor that every other part stands on."""

from .matrices import affine_matrix
from .warp import affine_flow, compose_flow, jacobian_determinant, warp_affine, warp_flow

__all__ = ["affine_flow", "affine_matrix", "compose_flow", "jacobian_determinant", "warp_affine", "warp_flow"]
