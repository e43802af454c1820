"""Loss functions: scalars with gradient from volumes or tokens. Padding does not count."""

from .anatomical_embedding import AnatomicalEmbeddingLoss
from .flow_smoothness import FlowSmoothnessLoss
from .local_ncc import LocalNCCLoss
from .masked_mean import masked_mean
from .optimal_transport import log_optimal_transport
from .patch_matching import PatchMatchingLoss
from .queue_contrast import QueueContrastiveLoss
from .restoration import RestorationLoss
from .self_distillation import SelfDistillationLoss, teacher_temperature
from .structure_consistency import StructureConsistencyLoss
from .weighted_sum import WeightedSum

__all__ = [
    "AnatomicalEmbeddingLoss",
    "FlowSmoothnessLoss",
    "LocalNCCLoss",
    "PatchMatchingLoss",
    "QueueContrastiveLoss",
    "RestorationLoss",
    "SelfDistillationLoss",
    "StructureConsistencyLoss",
    "WeightedSum",
    "log_optimal_transport",
    "masked_mean",
    "teacher_temperature",
]
