"""Monitor tokens during training: matching accuracy and collapse."""

import torch
from torch import Tensor

from ..losses.token_pairs import TokenPairs


@torch.no_grad()
def matching_accuracy(pairs: TokenPairs) -> tuple[Tensor, Tensor]:
    """Return the share of query tokens whose most similar key is their partner, and the share expected by chance.

    Args:
        pairs: At most one of each query is positive.

    Returns:
        Two scalars; 0 where no token has a partner.
    """
    cosine = pairs.cosine.masked_fill(~pairs.key_valid[:, None, :], -torch.inf)
    found = pairs.positive.gather(2, cosine.argmax(dim=2, keepdim=True))[:, :, 0]  # (B, N)
    partnered = pairs.positive.any(dim=2)
    count = partnered.sum().clamp(min=1)
    chance = partnered / pairs.key_valid.sum(dim=1, keepdim=True).clamp(min=1)
    return (found & partnered).sum() / count, chance.sum() / count


@torch.no_grad()
def token_spread(tokens: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the standard deviation and the effective rank of unit-norm tokens. Both are small after a collapse.

    The standard deviation, over the tokens, is the root mean square over the channels times ``√C``, so that 1 means
    spread in all directions and 0 one single token. The second is their :func:`effective_rank`.

    Args:
        tokens: Shape ``(B, N, C)``.
        valid: Shape ``(B, N)``, bool.

    Returns:
        Two scalars.
    """
    vectors = tokens[valid].float()  # (n, C)
    if len(vectors) < 2:
        return vectors.new_zeros(()), vectors.new_ones(())
    distance = (vectors - vectors.mean(dim=0)).square().sum(dim=1)  # (n,), squared
    return distance.mean().sqrt(), effective_rank(vectors)


def effective_rank(vectors: Tensor) -> Tensor:
    """Return the effective number of directions of vectors (n, C): 1 after a collapse, at most C.

    ``exp`` of the entropy of the shares of their singular values about their mean, a scalar.

    Source: Roy and Vetterli, The effective rank, EUSIPCO 2007, definition 1.
    """
    if len(vectors) < 2:
        return vectors.new_ones(())
    vectors = vectors.double()  # for the squares
    vectors = vectors - vectors.mean(dim=0)
    values = torch.linalg.eigvalsh(vectors.T @ vectors).clamp(min=0).sqrt()  # (C,), those of the singular values
    shares = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return torch.special.entr(shares).sum().exp().float()
