"""Parts of Alice in plain code of our own, written from a description of the method, for comparison."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def self_distillation(
    student: Tensor, teacher: Tensor, center: Tensor, pairing: str, student_temperature: float, temperature: float
) -> Tensor:
    """Mean cross entropy, row by row; ``student``, ``teacher`` (2 B, ..., C), query views first."""
    rows = len(student)
    losses = []
    for row in range(rows):
        source = (row + rows // 2) % rows if pairing == "cross" else row
        outputs, targets = student[row].reshape(-1, len(center)), teacher[source].reshape(-1, len(center))
        for output, target in zip(outputs, targets, strict=True):
            p = [math.exp(v) for v in ((target - center) / temperature).log_softmax(0)]
            q = (output / student_temperature).log_softmax(0)
            losses.append(-sum(a * b for a, b in zip(p, q, strict=True)))
    return torch.stack(losses).mean()


def attention_weights(query: Tensor, context: Tensor, query_weight: Tensor, key_weight: Tensor, heads: int) -> Tensor:
    """(B, heads, Nq, Nk) of ``query`` (B, Nq, dim) and ``context`` (B, Nk, dim); weights (heads · head_dim, dim)."""
    q, k = query @ query_weight.T, context @ key_weight.T
    q, k = (t.view(*t.shape[:2], heads, -1).transpose(1, 2) for t in (q, k))
    return torch.softmax((q / math.sqrt(q.shape[-1])) @ k.transpose(2, 3), dim=-1)


def cross_attention(query: Tensor, context: Tensor, weights: dict[str, Tensor], heads: int) -> Tensor:
    """CASA, (B, Nq, dim), without dropout; ``weights`` as in the state of ``CrossAttentionAlignment``."""
    attention = attention_weights(query, context, weights["query.weight"], weights["key.weight"], heads)
    v = context @ weights["value.weight"].T
    v = v.view(*v.shape[:2], heads, -1).transpose(1, 2)
    attended = (attention @ v).transpose(1, 2).reshape(*query.shape[:2], -1) @ weights["out.weight"].T
    y = layer_norm(query + attended, weights["norm1.weight"], weights["norm1.bias"])
    hidden = torch.relu(y @ weights["linear1.weight"].T + weights["linear1.bias"])
    z = y + hidden @ weights["linear2.weight"].T + weights["linear2.bias"]
    return layer_norm(z, weights["norm2.weight"], weights["norm2.bias"])


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Over the last axis, with eps = 1e-6."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight + bias


def cross_entropy(student: Tensor, teacher: Tensor, center: Tensor, temperature: float) -> Tensor:
    """Mean cross entropy between equal rows of two tensors (..., C), as the release has it: whole tensors, no mask."""
    target = torch.softmax((teacher - center) / temperature, dim=-1).detach()
    return -(target * torch.log_softmax(student / 0.1, dim=-1)).sum(-1).mean()


def losses(
    student: dict[str, Tensor],
    teacher: dict[str, Tensor],
    weights: dict[str, Tensor],
    heads: int,
    temperature: float,
    centers: tuple[Tensor, Tensor],
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Sum of the three losses, and the new centres, as the release computes them: one CASA for both branches.

    The target's tokens are computed with a graph that the loss then cuts. ``student`` and ``teacher`` hold ``whole``
    (2 B, C) and ``decoder`` (2 B, Ns, C); ``student`` also ``encoder`` (2 B, Nq, C), ``restored`` and ``image``.
    """
    completed = cross_attention(student["encoder"], student["decoder"], weights, heads)
    target = cross_attention(student["encoder"], teacher["decoder"], weights, heads)
    other = torch.cat(teacher["whole"].chunk(2)[::-1])
    loss = cross_entropy(student["whole"], other, centers[0], temperature)
    loss = loss + cross_entropy(completed, target, centers[1], temperature)
    loss = loss + (student["image"] - student["restored"]).square().mean()
    means = teacher["whole"].mean(0), target.detach().mean((0, 1))
    return loss, tuple(0.9 * center + 0.1 * mean for center, mean in zip(centers, means, strict=True))


def hidden_cells(random: np.random.RandomState, cells: int = 4, ratio: float = 0.75) -> np.ndarray:
    """The release's mask, (cells, cells), 1 where hidden: the same along the third axis."""
    mask = np.zeros(cells * cells, dtype=int)
    mask[random.permutation(cells * cells)[: math.ceil(ratio * cells * cells)]] = 1
    return mask.reshape(cells, cells)


def cosine_schedule(base: float, final: float, steps: int, warmup_steps: int = 0) -> list[float]:
    """The release's schedule of rates and momenta: a line from 0 to ``base``, both reached, then half a cosine, which
    stops one step before ``final``.
    """
    line = [base * step / max(warmup_steps - 1, 1) for step in range(warmup_steps)]
    rest = steps - warmup_steps
    return line + [final + (base - final) * (1 + math.cos(math.pi * step / rest)) / 2 for step in range(rest)]


def released_cell(point: tuple[int, int, int], ratio: list[float]) -> tuple[int, int, int]:
    """Cell (z, y, x) of the fine map that the release takes for a voxel (x, y, z); ``ratio`` its spacing over 2 mm."""
    x, y, z = (int(at * scale / 2) for at, scale in zip(point, ratio, strict=True))
    return z, y, x


def released_voxel(cell: tuple[int, int, int], ratio: list[float], shape: list[int]) -> list[int]:
    """Voxel (x, y, z) that the release takes for a cell (z, y, x); ``shape`` (1, Y, X, Z): its clipping mixes axes."""
    voxel = (int((2 * at + 0.5) / scale) for at, scale in zip(cell[::-1], ratio, strict=True))
    return [min(at, side) for at, side in zip(voxel, shape[1:], strict=True)]


def best_cell(query: tuple[Tensor, Tensor], cell: tuple[int, int, int], key: tuple[Tensor, Tensor]) -> tuple:
    """Cell (z, y, x) of ``key`` that is most similar to one of ``query``, and how similar.

    Both are the fine and the coarse map of a volume, (C, z, y, x), unit vectors.
    """
    similarity = torch.zeros(())
    for ours, theirs in zip(query, key, strict=True):
        one, other = (
            F.normalize(F.interpolate(of[None], maps[0].shape[1:], mode="trilinear", align_corners=False)[0], dim=0)
            for of, maps in ((ours, query), (theirs, key))
        )
        similarity = similarity + torch.einsum("c,czyx->zyx", one[(slice(None), *cell)], other) / 2
    index = np.unravel_index(int(similarity.argmax()), similarity.shape)
    return tuple(int(at) for at in index), similarity.max().item()
