"""Loss functions, one idea a file: scalars with gradient out of volumes or tokens; padding does not count."""

from .flow_smoothness import FlowSmoothnessLoss
from .local_ncc import LocalNCCLoss
from .masked_mean import masked_mean
from .optimal_transport import log_optimal_transport
from .patch_matching import PatchMatchingLoss
from .queue_contrast import QueueContrastiveLoss
from .restoration import RestorationLoss
from .structure_consistency import StructureConsistencyLoss
from .weighted_sum import WeightedSum

__all__ = [
    "FlowSmoothnessLoss",
    "LocalNCCLoss",
    "PatchMatchingLoss",
    "QueueContrastiveLoss",
    "RestorationLoss",
    "StructureConsistencyLoss",
    "WeightedSum",
    "log_optimal_transport",
    "masked_mean",
]
