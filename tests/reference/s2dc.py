"""S2DC in plain slow code: what the released implementation does, written anew from its formulas (loops over items)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ITERATIONS = 100
BOUND = 1e-6


def optimal_transport(scores: Tensor, dustbin: float | Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Log plan (M+1, N+1) of one item's scores (M, N), scaled by M + N."""
    m, n = scores.shape
    alpha = torch.as_tensor(dustbin).to(scores)
    z = torch.cat([torch.cat([scores, alpha.expand(m, 1)], 1), alpha.expand(1, n + 1)], 0)
    norm = -math.log(m + n)
    log_mu = torch.cat([scores.new_full((m,), norm), scores.new_tensor([math.log(n) + norm])])
    log_nu = torch.cat([scores.new_full((n,), norm), scores.new_tensor([math.log(m) + norm])])
    u, v = torch.zeros_like(log_mu), torch.zeros_like(log_nu)
    for _ in range(iterations):
        u = log_mu - torch.logsumexp(z + v[None, :], dim=1)
        v = log_nu - torch.logsumexp(z + u[:, None], dim=0)
    return z + u[:, None] + v[None, :] - norm


def match_loss(confidence: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Positive and negative term of one item's confidence (M, N)."""
    c = confidence.clamp(BOUND, 1 - BOUND)
    zero = confidence.sum() * 0
    positive = -c[truth].log().mean() if truth.any() else zero
    negative = -(1 - c[~truth]).log().mean() if (~truth).any() else zero
    return positive, negative


def patch_matching(query: Tensor, key: Tensor, truth: Tensor, matcher: str = "sinkhorn", iterations: int = ITERATIONS):
    """Loss of a batch of tokens (B, N, C), item by item."""
    losses = []
    for q, k, y in zip(query, key, truth.bool(), strict=True):
        scores = q @ k.T
        if matcher == "sinkhorn":
            confidence = optimal_transport(scores, 1.0, iterations)[:-1, :-1].exp()
        else:
            confidence = scores.softmax(0) * scores.softmax(1)
        losses.append(sum(match_loss(confidence, y)))
    return torch.stack(losses).mean()


def structure_consistency(query: Tensor, key: Tensor, truth: Tensor) -> Tensor:
    """Loss of a batch of tokens (B, N, C), item by item, pair by pair."""
    losses = []
    for q, k, y in zip(query, key, truth.bool(), strict=True):
        a = (1 + q @ k.T) / 2
        columns = ((a.amax(0) - a.mean(0)) / a.std(0)).softmax(0)
        rows = ((a.amax(1) - a.mean(1)) / a.std(1)).softmax(0)
        a = a.clamp(BOUND, 1 - BOUND)
        loss = a.sum() * 0
        for i, j in y.nonzero().tolist():
            loss = loss - 0.5 * (columns[j] + rows[i]) * a[i, j].log()
        if (~y).any():
            loss = loss - (1 - a[~y]).log().mean()
        losses.append(loss)
    return torch.stack(losses).mean()


def projection_head(x: Tensor, weights: list[tuple[Tensor, Tensor]], eps: float = 1e-5) -> Tensor:
    """The release's MLP: batch normalisation over axis 1, be it features (N, C) or, in (N, slabs, C), the slabs."""
    for number, (weight, bias) in enumerate(weights):
        x = x @ weight.T + bias
        if number < len(weights) - 1:
            x = F.relu(F.batch_norm(x, None, None, training=True, eps=eps))
    return x


def released_correspondence(angle: float, scale: float, translation: tuple[float, float], grid: int, cell: int):
    """Pairs (source, augmented) of the release, which neither turns nor scales the translation."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    middle = grid * cell / 2

    def centre(index: int) -> tuple[float, float]:
        return (index // grid + 0.5) * cell - middle, (index % grid + 0.5) * cell - middle

    def index_of(x: float, y: float) -> int | None:
        gx, gy = math.floor((x + middle) / cell), math.floor((y + middle) / cell)
        return gx * grid + gy if 0 <= gx < grid and 0 <= gy < grid else None

    def forward(index: int) -> int | None:
        x, y = centre(index)
        return index_of((cos * x - sin * y) / scale - translation[0], (sin * x + cos * y) / scale - translation[1])

    def backward(index: int) -> int | None:
        x, y = centre(index)
        x, y = x + translation[0], y + translation[1]
        return index_of(scale * (cos * x + sin * y), scale * (-sin * x + cos * y))

    pairs = [(source, forward(source)) for source in range(grid**2)]
    return [(source, target) for source, target in pairs if target is not None and backward(target) == source]
