"""Views, corruption and spatial augmentation; matrices and warps come from ``geometry``."""

from ..geometry import affine_matrix, warp_affine, warp_flow
from .appearance import AppearanceAugmentation
from .block_mask import BlockMask, FillBlocksd, HideBlocksd
from .loading import LoadVolumed, named_by_case
from .registration import OnGridOfd, SaveRegistrationd, WarpOntoFixedd
from .saving import FileOrderWriter
from .spatial import LoggedSpatialPadd, SafeSpacingd, ValidMaskd
from .spatial_augmentation import SpatialAugmentation
from .views import MaskedViews, PairViews

__all__ = [
    "AppearanceAugmentation",
    "BlockMask",
    "FileOrderWriter",
    "FillBlocksd",
    "HideBlocksd",
    "LoadVolumed",
    "LoggedSpatialPadd",
    "MaskedViews",
    "OnGridOfd",
    "PairViews",
    "SafeSpacingd",
    "SaveRegistrationd",
    "SpatialAugmentation",
    "ValidMaskd",
    "WarpOntoFixedd",
    "affine_matrix",
    "named_by_case",
    "warp_affine",
    "warp_flow",
]
