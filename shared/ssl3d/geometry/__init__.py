"""Matrices and warps of volumes in one convention (torch only): the floor that every other part stands on."""

from .correspondence import correspondence, patch_correspondence
from .matrices import affine_matrix, voxel_matrix
from .warp import affine_flow, compose_flow, jacobian_determinant, warp_affine, warp_flow

__all__ = [
    "affine_flow",
    "affine_matrix",
    "compose_flow",
    "correspondence",
    "jacobian_determinant",
    "patch_correspondence",
    "voxel_matrix",
    "warp_affine",
    "warp_flow",
]
