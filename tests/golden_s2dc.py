"""Inputs of tests/data/s2dc.json from the formulas that the file states, float64."""

import json
from functools import cache

import torch
import torch.nn.functional as F
from golden import DATA
from torch import Tensor


@cache
def section(method: str, name: str) -> dict:
    """A section of the golden file of a method."""
    return json.loads((DATA / f"{method}.json").read_text())[name]


def mesh(*sizes: int) -> tuple[Tensor, ...]:
    return torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in sizes), indexing="ij")


def scores() -> Tensor:
    """(2, 5, 7)."""
    b, i, j = mesh(2, 5, 7)
    return torch.sin(0.37 * i + 0.11 * j**2 + 0.73 * b)


def tokens(batch: int = 3, count: int = 8, channels: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Query and key (B, N, C), unit-norm, and the correspondence (B, N, N), bool."""
    b, i, c = mesh(batch, count, channels)
    raw = torch.sin(0.37 * b + 0.11 * i**2 + 0.73 * c + 0.05 * i * c)
    truth = torch.zeros(batch, count, count, dtype=torch.bool)
    key = torch.empty_like(raw)
    for item in range(batch):
        for column in range(count):
            row = (column + item + 1) % count
            key[item, column] = raw[item, row]
            truth[item, row, column] = column % 3 != 0
    key = key + 0.2 * torch.cos(0.91 * i + 0.53 * c)
    return F.normalize(raw, dim=2), F.normalize(key, dim=2), truth


def confidence() -> Tensor:
    """(1, 3, 4)."""
    _, i, j = mesh(1, 3, 4)
    return 0.5 + 0.49 * torch.sin(1.3 * i + 0.7 * j**2 + 0.2)


def embeddings() -> tuple[Tensor, Tensor]:
    """Queries (2, 8) and keys (13, 8)."""
    n, c = mesh(2, 8)
    j, d = mesh(13, 8)
    return torch.sin(0.37 * n + 0.73 * c + 0.2), torch.cos(0.29 * j**2 + 0.41 * d)


def global_features() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of the full criterion: queries, positives and keys to enqueue (2, 4, 8), and the queue (6, 8)."""
    n, p, c = mesh(2, 4, 8)
    phase = 0.37 * n + 0.61 * p
    j, d = mesh(6, 8)
    queue = F.normalize(torch.cos(0.29 * j**2 + 0.41 * d), dim=1)
    return (
        torch.sin(phase + 0.73 * c),
        torch.sin(phase + 0.73 * c + 0.15 * p * c),
        torch.cos(phase + 0.5 * c),
        queue,
    )
