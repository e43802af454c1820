"""Views, corruption and spatial augmentation; matrices and warps come from ``geometry``."""

from ..geometry import affine_matrix, correspondence, patch_correspondence, warp_affine, warp_flow
from ..upstream.file_order import FileOrderWriter
from .affine_augmentation import AffineAugmentation
from .appearance import AppearanceAugmentation
from .block_mask import BlockMask, FillBlocksd, HideBlocksd
from .crop_grid import join_crops, split_crops
from .intensity import ScalePercentiles, ScalePercentilesd
from .loading import LoadVolumed, named_by_case
from .spatial import KeepAffined, LoggedSpatialPadd, SafeSpacingd, ValidMaskd
from .spatial_augmentation import SpatialAugmentation
from .views.alice import MatchedViews
from .views.anatomical_embedding import EmbeddingViews, TwoWindows
from .views.pairs import MaskedViews, PairViews
from .views.s2dc import CorrespondenceViews

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
    "PairViews",
    "SafeSpacingd",
    "ScalePercentiles",
    "ScalePercentilesd",
    "SpatialAugmentation",
    "TwoWindows",
    "ValidMaskd",
    "affine_matrix",
    "correspondence",
    "join_crops",
    "named_by_case",
    "patch_correspondence",
    "split_crops",
    "warp_affine",
    "warp_flow",
]
