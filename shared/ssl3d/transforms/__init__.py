"""Views, corruption and spatial augmentation; matrices and warps come from ``geometry``."""

from ..geometry import affine_matrix, warp_affine, warp_flow
from .spatial import LoggedSpatialPadd, SafeSpacingd, ValidMaskd

__all__ = ["LoggedSpatialPadd", "SafeSpacingd", "ValidMaskd", "affine_matrix", "warp_affine", "warp_flow"]
