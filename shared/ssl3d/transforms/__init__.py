"""Views, corruption and spatial augmentation; matrices and warps come from ``geometry``."""

from ..geometry import affine_matrix, correspondence, patch_correspondence, warp_affine, warp_flow
from .affine_augmentation import AffineAugmentation
from .appearance import AppearanceAugmentation
from .block_mask import BlockMask, FillBlocksd, HideBlocksd
from .correspondence_views import CorrespondenceViews
from .crop_grid import join_crops, split_crops
from .embedding_views import EmbeddingViews, TwoWindows
from .intensity import ScalePercentiles, ScalePercentilesd
from .loading import LoadVolumed, named_by_case
from .matched_views import MatchedViews
from .registration import OnGridOfd, SaveRegistrationd, WarpOntoFixedd
from .saving import FileOrderWriter
from .scoring import ScoredClassesd
from .spatial import KeepAffined, LoggedSpatialPadd, SafeSpacingd, ValidMaskd
from .spatial_augmentation import SpatialAugmentation
from .structure_map import StructureMapd, TokenGridd
from .views import MaskedViews, PairViews

__all__ = [
    "AffineAugmentation",
    "AppearanceAugmentation",
    "BlockMask",
    "CorrespondenceViews",
    "EmbeddingViews",
    "FileOrderWriter",
    "FillBlocksd",
    "HideBlocksd",
    "KeepAffined",
    "LoadVolumed",
    "LoggedSpatialPadd",
    "MaskedViews",
    "MatchedViews",
    "OnGridOfd",
    "PairViews",
    "SafeSpacingd",
    "SaveRegistrationd",
    "ScalePercentiles",
    "ScalePercentilesd",
    "ScoredClassesd",
    "SpatialAugmentation",
    "StructureMapd",
    "TokenGridd",
    "TwoWindows",
    "ValidMaskd",
    "WarpOntoFixedd",
    "affine_matrix",
    "correspondence",
    "join_crops",
    "named_by_case",
    "patch_correspondence",
    "split_crops",
    "warp_affine",
    "warp_flow",
]
