"""Contrast whole crops with crops of other volumes of this step and of past steps."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .masked_mean import at_least_float32


class QueueContrastiveLoss(nn.Module):
    """InfoNCE: cross-entropy of finding the positive among all negatives, by dot products over the temperature.

    Only ``query`` receives a gradient, because the keys come from a teacher.

    Args:
        temperature: Divisor of the dot products. The published 0.9 is for features without normalisation; 0.1 is usual
            for unit-norm features.

    Raises:
        ValueError: a temperature that is not positive; in a call, for a wrong shape.

    Source: S2DC (arXiv:2507.02581), global contrast, as its released code computes it, after He et al., MoCo
    (arXiv:1911.05722), equation 1.

    Example:
        >>> QueueContrastiveLoss()(torch.eye(2), torch.eye(2), torch.zeros(5, 2)).shape
        torch.Size([])
    """

    def __init__(self, temperature: float = 0.9) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature must be a positive number, got {temperature}.")
        self.temperature = temperature

    def forward(self, query: Tensor, positive: Tensor, negatives: Tensor) -> Tensor:
        """Compare embeddings.

        Args:
            query: Shape ``(B, C)``.
            positive: Shape ``(B, C)``, the partner of each query.
            negatives: Shape ``(K, C)``, shared by all queries.

        Returns:
            A scalar in the dtype of ``query``, float32 at least: the mean over the queries.
        """
        if query.ndim != 2 or 0 in query.shape:
            raise ValueError(f"query must have shape (B, C), both above 0, got {tuple(query.shape)}.")
        if positive.shape != query.shape:
            raise ValueError(f"positive must be {tuple(query.shape)} like query, got {tuple(positive.shape)}.")
        if negatives.ndim != 2 or negatives.shape[1] != query.shape[1]:
            raise ValueError(f"negatives must have shape (K, C) = (K, {query.shape[1]}), got {tuple(negatives.shape)}.")
        query = at_least_float32(query)
        positive, negatives = positive.detach().to(query), negatives.detach().to(query)
        with torch.autocast(query.device.type, enabled=False):
            right = (query * positive).sum(dim=1, keepdim=True)  # (B, 1)
            wrong = query @ negatives.T  # (B, C) @ (C, K) -> (B, K)
            logits = torch.cat([right, wrong], dim=1) / self.temperature
            return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))
