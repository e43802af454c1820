"""Measure the 95th percentile of the surface distance, with a clear value for classes that were missed."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from monai.handlers import IgniteMetricHandler
from monai.metrics import HausdorffDistanceMetric
from torch import Tensor

MEANINGLESS = (r"(the prediction|the ground truth) of class", r"monai\.metrics\.utils get_mask_edges")


class SurfaceDistance95(IgniteMetricHandler):
    """Metric of an evaluator: MONAI's 95th percentile of the Hausdorff distance, in voxels, without background.

    The distance of a class that the prediction misses is infinity, and so is each mean that includes it. The distance
    of a class that the ground truth lacks is nan. MONAI mixes up the two cases, and returns 0 for their mean.

    Args:
        output_transform: Function of the evaluator's output that returns one-hot predictions and labels.
    """

    def __init__(self, output_transform: Callable) -> None:
        super().__init__(metric_fn=_Distance(percentile=95), output_transform=output_transform, save_details=True)


class _Distance(HausdorffDistanceMetric):
    def _compute_tensor(self, y_pred: Tensor, y: Tensor, **kwargs: Any) -> Tensor:  # type: ignore[override]
        with warnings.catch_warnings():
            for text in MEANINGLESS:
                warnings.filterwarnings("ignore", message=text)
            distance = super()._compute_tensor(y_pred, y, **kwargs)
        there, found = (one_hot[:, 1:].flatten(2).any(dim=2) for one_hot in (y, y_pred))
        distance[there & ~found] = torch.inf
        distance[~there] = torch.nan
        return distance

    def aggregate(self, reduction: Any = None) -> Any:
        scores = self.get_buffer()
        if isinstance(scores, Tensor) and scores.isnan().all():
            return torch.tensor(torch.nan)
        return super().aggregate(reduction)
