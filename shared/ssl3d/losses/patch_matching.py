"""Match the patches of two views of one volume by optimal transport, supervised by the known correspondence."""

import torch
from torch import Tensor, nn

from .optimal_transport import check_transport, log_optimal_transport
from .token_pairs import TokenPairs, check_unit_norm, pair_mean, token_pairs

BOUND = 1e-6  # confidences are kept this far from 0 and 1


class PatchMatchingLoss(nn.Module):
    """Cross-entropy of the matching of two sets of tokens: every patch must find its partner among all others.

    With the confidence ``c`` of each pair, bounded to [1e-6, 1 - 1e-6], the loss of an item is ``mean(-log c)`` over
    the corresponding pairs plus ``mean(-log(1 - c))`` over all other pairs. Items are averaged. An empty set counts 0.

    ``c`` is the optimal transport plan of cosines and dustbin without the dustbins (:func:`log_optimal_transport`), or
    the product of the softmax over the rows and that over the columns. At the published ``temperature`` 1 and
    ``dustbin`` 1 more than half of each token's mass stays in the dustbin even for a perfect match. The loss then stays
    far from 0 and does not measure accuracy.

    After a call ``parts`` holds the two terms, ``positive`` and ``negative``, and ``unmatched`` the share of the valid
    query tokens' mass that was matched to no key. Both are detached.

    Args:
        matcher: ``"sinkhorn"`` (optimal transport) or ``"dual_softmax"``.
        dustbin: Score of having no partner, on the scale of the cosines.
        num_iterations: Number of Sinkhorn iterations; at temperature 1, 20 give the same as 100 in float64.
        temperature: Divisor of cosines and dustbin.

    Raises:
        ValueError: for settings of another form; in a call, for a wrong shape or tokens that are not of norm 1.

    Source: S2DC (arXiv:2507.02581), patch-to-patch matching, as its released code computes it.

    Example:
        >>> tokens = torch.eye(8)[None]
        >>> PatchMatchingLoss()(tokens, tokens, torch.eye(8))
        tensor(2.2308)
    """

    def __init__(
        self, matcher: str = "sinkhorn", dustbin: float = 1.0, num_iterations: int = 20, temperature: float = 1.0
    ) -> None:
        super().__init__()
        if matcher not in ("sinkhorn", "dual_softmax"):
            raise ValueError(f"matcher must be 'sinkhorn' or 'dual_softmax', got {matcher!r}.")
        check_transport(dustbin, num_iterations, temperature)
        self.matcher = matcher
        self.dustbin = dustbin
        self.num_iterations = int(num_iterations)
        self.temperature = temperature
        self.parts: dict[str, Tensor] = {}
        self.unmatched = torch.zeros(())

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        correspondence: Tensor,
        query_valid: Tensor | None = None,
        key_valid: Tensor | None = None,
    ) -> Tensor:
        """Match unit-norm tokens.

        Args:
            query: Shape ``(B, M, C)``.
            key: Shape ``(B, N, C)``.
            correspondence: Shape ``(B, M, N)`` or ``(M, N)``, bool or 0/1 of any dtype, rows = query.
            query_valid: Shape ``(B, M)``, bool or 0/1; an invalid token is left out, as if it were absent.
            key_valid: Shape ``(B, N)``, same for the key.

        Returns:
            A scalar in the dtype of ``query``, float32 at least.
        """
        pairs = token_pairs(query, key, correspondence, query_valid, key_valid)
        check_unit_norm("query", query, query_valid)
        check_unit_norm("key", key, key_valid)
        return self.of(pairs)

    def of(self, pairs: TokenPairs) -> Tensor:
        """Return the loss of pairs of tokens, which other losses of the same tokens may share."""
        confidence = self.confidence(pairs)
        positive, negative = matching_entropy(confidence, pairs.positive, pairs.negative)
        self.parts = {"positive": positive.detach(), "negative": negative.detach()}
        matched = (confidence.detach().sum(dim=2) * pairs.query_valid).sum()
        self.unmatched = 1 - matched / pairs.query_valid.sum().clamp(min=1)
        return positive + negative

    def confidence(self, pairs: TokenPairs) -> Tensor:
        """Return the confidence (B, M, N) of each pair, in [0, 1]."""
        scores = pairs.cosine / self.temperature
        if self.matcher == "sinkhorn":
            plan = log_optimal_transport(
                scores,
                self.dustbin / self.temperature,
                self.num_iterations,
                query_valid=pairs.query_valid,
                key_valid=pairs.key_valid,
            )
            return plan[:, :-1, :-1].exp()
        valid = pairs.query_valid[:, :, None] & pairs.key_valid[:, None, :]
        scores = scores.masked_fill(~valid, torch.finfo(scores.dtype).min)  # finite, also for rows without valid keys
        return scores.softmax(dim=1) * scores.softmax(dim=2) * valid


def matching_entropy(confidence: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two scalar terms of the loss, of positive and of negative pairs; all arguments are (B, M, N)."""
    bounded = confidence.clamp(BOUND, 1 - BOUND)
    entropy = -torch.where(positive, bounded, 1 - bounded).log()
    return pair_mean(entropy, positive).mean(), pair_mean(entropy, negative).mean()
