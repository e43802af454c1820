"""Align the tokens of two views by cross-attention: the CASA module of Alice."""

import torch.nn.functional as F
from torch import Tensor, nn


class CrossAttentionAlignment(nn.Module):
    """Fills in a context for each query token: attention to the context, then a feed-forward layer.

    ``Y = norm1(X + out(softmax(Q Kᵀ / √head_dim) V))`` and ``Z = norm2(Y + linear2(relu(linear1(Y))))``, with ``Q`` of
    the queries ``X``, ``K`` and ``V`` of the context. The result is aligned with the queries, token by token: two
    contexts read with the same queries can be compared.

    Args:
        dim: Length of the tokens.
        num_heads, head_dim: Number and width of the attention heads; ``num_heads · head_dim`` may differ from ``dim``.
        ffn_dim: Width of the feed-forward layer.
        dropout: Dropout rate of the attention weights and of both branches, in [0, 1).

    Raises:
        ValueError: an argument outside these bounds; in a call, a wrong shape.

    Source: Alice (ICCV 2023, arXiv:2302.05615), the conditional anatomical semantic alignment, without the four linear
    layers of the release that never run.

    Example:
        >>> CrossAttentionAlignment(32, 4, 8, 64)(torch.zeros(2, 5, 32), torch.zeros(2, 9, 32)).shape
        torch.Size([2, 5, 32])
    """

    def __init__(
        self, dim: int = 512, num_heads: int = 8, head_dim: int = 64, ffn_dim: int = 2048, dropout: float = 0.1
    ) -> None:
        super().__init__()
        for name, value in {"dim": dim, "num_heads": num_heads, "head_dim": head_dim, "ffn_dim": ffn_dim}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}.")
        self.num_heads = num_heads
        self.dropout = dropout
        width = num_heads * head_dim
        self.query = nn.Linear(dim, width, bias=False)
        self.key = nn.Linear(dim, width, bias=False)
        self.value = nn.Linear(dim, width, bias=False)
        self.out = nn.Linear(width, dim, bias=False)
        self.linear1 = nn.Linear(dim, ffn_dim)
        self.linear2 = nn.Linear(ffn_dim, dim)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """Return (B, Nq, dim) for ``query`` (B, Nq, dim) and ``context`` (B, Nk, dim)."""
        dim = self.query.in_features
        for name, tokens in (("query", query), ("context", context)):
            if tokens.ndim != 3 or tokens.shape[2] != dim or len(tokens) != len(query):
                raise ValueError(
                    f"{name} must have shape (B, N, {dim}) with one B for both, got {tuple(tokens.shape)}."
                )
        attended = F.scaled_dot_product_attention(
            self._heads(self.query(query)),
            self._heads(self.key(context)),
            self._heads(self.value(context)),
            dropout_p=self.dropout if self.training else 0.0,
        )  # (B, num_heads, Nq, head_dim)
        attended = self.out(attended.transpose(1, 2).flatten(2))  # (B, Nq, dim)
        aligned = self.norm1(query + F.dropout(attended, self.dropout, self.training))
        forwarded = self.linear2(F.relu(self.linear1(aligned)))
        return self.norm2(aligned + F.dropout(forwarded, self.dropout, self.training))

    def _heads(self, tokens: Tensor) -> Tensor:
        """Reshape (B, N, num_heads · head_dim) to (B, num_heads, N, head_dim)."""
        return tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
