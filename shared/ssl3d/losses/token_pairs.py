"""Compare tokens for several losses: checks, cosines in full precision, positive and negative pairs."""

from typing import NamedTuple

import torch
from torch import Tensor

from .masked_mean import at_least_float32

NORM = 0.02  # tolerance of norms around 1; rounding errors of half precision are a tenth of it


class TokenPairs(NamedTuple):
    """All pairs of a query and a key token of each item.

    Attributes:
        cosine: (B, M, N), float32 at least; 0 for pairs with an invalid token.
        positive: (B, M, N), bool, the corresponding pairs of valid tokens.
        negative: (B, M, N), bool, all other pairs of valid tokens.
        query_valid: (B, M), bool.
        key_valid: (B, N), bool.
    """

    cosine: Tensor
    positive: Tensor
    negative: Tensor
    query_valid: Tensor
    key_valid: Tensor


def token_pairs(
    query: Tensor,
    key: Tensor,
    correspondence: Tensor,
    query_valid: Tensor | None = None,
    key_valid: Tensor | None = None,
) -> TokenPairs:
    """Compare every query token with every key token of its item.

    Args:
        query: Shape ``(B, M, C)``, unit-norm; values of invalid tokens are ignored, and need not be finite.
        key: Shape ``(B, N, C)``, same for the key.
        correspondence: Shape ``(B, M, N)`` or ``(M, N)``, bool or 0/1 of any dtype, rows = query.
        query_valid: Shape ``(B, M)``, bool or 0/1; ``None``: all are valid.
        key_valid: Shape ``(B, N)``, same for the key.

    Raises:
        ValueError: for any other shape.
    """
    for name, tokens in {"query": query, "key": key}.items():
        if tokens.ndim != 3 or 0 in tokens.shape or not tokens.is_floating_point():
            raise ValueError(
                f"{name} must be floating-point tokens of shape (B, N, C), no size 0, got {tuple(tokens.shape)} "
                f"of {tokens.dtype}."
            )
    if (key.shape[0], key.shape[2]) != (query.shape[0], query.shape[2]):
        raise ValueError(f"query and key must share B and C, got {tuple(query.shape)} and {tuple(key.shape)}.")
    shape = (query.shape[0], query.shape[1], key.shape[1])
    if tuple(correspondence.shape) not in (shape, shape[1:]):
        raise ValueError(
            f"correspondence must have shape (B, M, N) = {shape} or (M, N) = {shape[1:]}, got "
            f"{tuple(correspondence.shape)}."
        )
    query_valid = token_mask("query_valid", query_valid, query)
    key_valid = token_mask("key_valid", key_valid, key)

    query, key = at_least_float32(query), key.to(torch.promote_types(query.dtype, torch.float32))
    # Replace invalid tokens by zeros before the product, so that they affect neither value nor gradient.
    query = query.masked_fill(~query_valid[:, :, None], 0)
    key = key.masked_fill(~key_valid[:, :, None], 0)
    with torch.autocast(query.device.type, enabled=False):  # autocast would round the cosines to half precision
        cosine = query @ key.transpose(1, 2)  # (B, M, C) @ (B, C, N) -> (B, M, N)
    both = query_valid[:, :, None] & key_valid[:, None, :]
    matched = correspondence.to(query.device).bool().expand(shape)
    return TokenPairs(cosine, matched & both, ~matched & both, query_valid, key_valid)


def check_unit_norm(name: str, tokens: Tensor, valid: Tensor | None = None) -> None:
    """Check that tokens (B, N, C) have norm 1, since their dot products are used as cosines.

    Exceptions are tokens of norm 0 (normalised zeros), tokens that ``valid (B, N)`` leaves out, and tokens that are not
    finite, which show in the loss.

    Raises:
        ValueError: a norm differs from 1; the message gives the worst one.
    """
    norms = torch.linalg.vector_norm(tokens.detach().float(), dim=-1)
    off = (norms - 1).abs().nan_to_num(0, 0, 0).masked_fill(norms == 0, 0)
    if valid is not None and valid.shape == off.shape:
        off = off.masked_fill(~valid.to(off.device).bool(), 0)
    place = off.argmax()
    if off.flatten()[place] > NORM:
        raise ValueError(
            f"{name} must have tokens of norm 1, got one of norm {norms.flatten()[place].item():.4g}. Normalise the "
            "tokens with torch.nn.functional.normalize(tokens, dim=-1)."
        )


def token_mask(name: str, valid: Tensor | None, tokens: Tensor) -> Tensor:
    """Convert ``valid`` to bool, shape ``(B, N)`` for ``tokens (B, N, ...)``; all True for ``None``.

    Raises:
        ValueError: for any other shape.
    """
    wanted = tuple(tokens.shape[:2])
    if valid is None:
        return torch.ones(wanted, dtype=torch.bool, device=tokens.device)
    if tuple(valid.shape) != wanted:
        raise ValueError(f"{name} must have shape {wanted}, one value for each token, got {tuple(valid.shape)}.")
    return valid.to(tokens.device).bool()


def pair_mean(values: Tensor, pairs: Tensor) -> Tensor:
    """Average ``values (B, M, N)`` over the chosen ``pairs`` of each item, ``(B,)``; an item without pairs counts 0."""
    return (values * pairs).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)).clamp(min=1)
