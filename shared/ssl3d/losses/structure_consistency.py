"""Attract matching patches of two views, with more weight the sharper the match is."""

import torch
from torch import Tensor, nn

from .patch_matching import BOUND
from .token_pairs import TokenPairs, check_unit_norm, pair_mean, token_pairs

SMALLEST_STD = 1e-12


class StructureConsistencyLoss(nn.Module):
    """Attraction of corresponding patches, weighted by the sharpness of their similarities, and repulsion of others.

    With ``A = (1 + cosine) / 2``, the sharpness of a token is ``(max - mean) / std`` of ``A`` over all tokens of the
    other view. A patch of a large homogeneous structure resembles many patches and has a flat distribution, so it is
    attracted less to its one exact partner. The softmax of the sharpness over the tokens of a view gives weights that
    sum to 1. The loss of an item is::

        ½ Σ_positive (w_column + w_row) · (-log A)  +  mean_negative(-log(1 - A))

    with ``A`` bounded to [1e-6, 1 - 1e-6]. A term without pairs is 0. The gradient flows through the weights. The
    standard deviation is unbiased, and bounded below by 1e-12 and by the rounding of its dtype, so that collapsed
    features, which are equally similar to all others, have a finite value and gradient.

    Raises:
        ValueError: in a call, for a wrong shape or tokens that are not of norm 1.

    Source: S2DC (arXiv:2507.02581), patch-to-structure consistency, as its released code computes it.

    Example:
        >>> tokens = torch.eye(4)[None]
        >>> StructureConsistencyLoss()(tokens, tokens, torch.eye(4))  # orthogonal negatives cost log 2
        tensor(0.6931)
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        correspondence: Tensor,
        query_valid: Tensor | None = None,
        key_valid: Tensor | None = None,
    ) -> Tensor:
        """Compare unit-norm tokens of two views with equally many tokens.

        Args:
            query: Shape ``(B, N, C)``.
            key: Shape ``(B, N, C)``.
            correspondence: Shape ``(B, N, N)`` or ``(N, N)``, bool or 0/1 of any dtype, rows = query.
            query_valid: Shape ``(B, N)``, bool or 0/1; an invalid token is left out of softmax, mean, std and pairs.
            key_valid: Same for the key.

        Returns:
            A scalar in the dtype of ``query``, float32 at least.
        """
        pairs = token_pairs(query, key, correspondence, query_valid, key_valid)
        if query.shape[1] != key.shape[1]:
            raise ValueError(
                f"query and key must have equally many tokens, got {tuple(query.shape)} and {tuple(key.shape)}."
            )
        check_unit_norm("query", query, query_valid)
        check_unit_norm("key", key, key_valid)
        return self.of(pairs)

    def of(self, pairs: TokenPairs) -> Tensor:
        """Return the loss of pairs of tokens, which other losses of the same tokens may share."""
        similarity = (1 + pairs.cosine) / 2
        rows = _sharpness_weights(similarity, pairs.query_valid, pairs.key_valid)[:, :, None]
        columns = _sharpness_weights(similarity.transpose(1, 2), pairs.key_valid, pairs.query_valid)[:, None, :]
        bounded = similarity.clamp(BOUND, 1 - BOUND)
        attraction = ((rows + columns) / 2 * -bounded.log() * pairs.positive).sum(dim=(1, 2))
        repulsion = pair_mean(-(1 - bounded).log(), pairs.negative)
        return (attraction + repulsion).mean()


def _sharpness_weights(similarity: Tensor, valid: Tensor, others: Tensor) -> Tensor:
    """Return weights (B, M) of ``valid`` tokens (B, M) from their similarity (B, M, N) to ``others`` (B, N)."""
    others = others[:, None, :]
    count = others.sum(dim=2)  # (B, 1)
    largest = similarity.masked_fill(~others, similarity.detach().amin()).amax(dim=2)  # (B, M)
    mean = (similarity * others).sum(dim=2) / count.clamp(min=1)
    deviation = (similarity - mean[:, :, None]) * others
    variance = deviation.square().sum(dim=2) / (count - 1).clamp(min=1)
    # Bound the variance before the root, whose gradient at 0 is infinite.
    std = variance.clamp(min=max(SMALLEST_STD, torch.finfo(variance.dtype).eps) ** 2).sqrt()
    sharpness = (largest - mean) / std
    return sharpness.masked_fill(~valid, torch.finfo(sharpness.dtype).min).softmax(dim=1)
