"""What to watch of tokens while they are learnt: do they find their partner, do they collapse."""

import torch
from torch import Tensor


@torch.no_grad()
def matching_accuracy(
    query: Tensor, key: Tensor, correspondence: Tensor, query_valid: Tensor, key_valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Share of the query tokens with a partner whose most similar key is that partner; and the share by chance.

    Args:
        query, key: shape ``(B, N, C)``, unit-norm.
        correspondence: shape ``(B, N, N)``, bool, at most one key a query.
        query_valid, key_valid: shape ``(B, N)``, bool.

    Returns:
        Two scalars; 0 where no token has a partner.
    """
    pairs = correspondence & query_valid[:, :, None] & key_valid[:, None, :]
    cosine = (query.float() @ key.float().transpose(1, 2)).masked_fill(~key_valid[:, None, :], -torch.inf)
    found = pairs.gather(2, cosine.argmax(dim=2, keepdim=True))[:, :, 0]  # (B, N)
    partnered = pairs.any(dim=2)
    count = partnered.sum().clamp(min=1)
    chance = partnered / key_valid.sum(dim=1, keepdim=True).clamp(min=1)
    return (found & partnered).sum() / count, chance.sum() / count


@torch.no_grad()
def token_spread(tokens: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviation and effective rank of unit-norm tokens: both small where they collapse.

    The standard deviation, over the tokens, is the root mean square over the channels times ``√C``, so that 1 means
    spread in all directions and 0 one single token. The effective rank is ``exp`` of the entropy of the normalised
    eigenvalues of the covariance: 1 to C.

    Args:
        tokens: shape ``(B, N, C)``.
        valid: shape ``(B, N)``, bool.

    Returns:
        Two scalars.

    Source: Roy and Vetterli, The effective rank (EUSIPCO 2007), definition 1, of the covariance.
    """
    weight = (valid.float() / valid.sum().clamp(min=1))[:, :, None]
    tokens = tokens.float()
    deviation = (tokens - (weight * tokens).sum(dim=(0, 1))).flatten(0, 1)  # (B·N, C)
    with torch.autocast(tokens.device.type, enabled=False):
        covariance = deviation.T @ (weight.flatten(0, 1) * deviation)  # (C, C)
    eigenvalues = torch.linalg.eigvalsh(covariance).clamp(min=0)
    share = eigenvalues / eigenvalues.sum().clamp(min=torch.finfo(eigenvalues.dtype).tiny)
    return covariance.trace().clamp(min=0).sqrt(), torch.special.entr(share).sum().exp()
