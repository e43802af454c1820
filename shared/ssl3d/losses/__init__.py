"""Loss functions, one idea a file: scalars with gradient out of volumes, masked where padding must not count."""

from .flow_smoothness import FlowSmoothnessLoss
from .local_ncc import LocalNCCLoss
from .masked_mean import masked_mean
from .restoration import RestorationLoss
from .weighted_sum import WeightedSum

__all__ = ["FlowSmoothnessLoss", "LocalNCCLoss", "RestorationLoss", "WeightedSum", "masked_mean"]
