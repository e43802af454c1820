"""Inputs, weights and statistics of the golden cases, from the formulas that the files state."""

import json
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

DATA = Path(__file__).parent / "data"


@cache
def cases(method: str) -> dict[str, dict]:
    """All golden cases of a method by their id."""
    return {case["id"]: case for case in json.loads((DATA / f"{method}.json").read_text())["cases"]}


def wave(shape: tuple[int, int, int, int, int], phase: float = 0.0) -> Tensor:
    """The input S of golden/gvsl.json: (N, C, D, H, W), float64."""
    n, c, i, j, k = torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in shape), indexing="ij")
    return torch.sin(0.37 * i + 0.11 * j + 0.05 * k * k + 0.7 * c + 1.3 * n + phase)


def unit_wave(shape: tuple[int, int, int, int, int], phase: float = 0.0) -> Tensor:
    """The input U of golden/gvsl.json, in [0, 1]."""
    return 0.5 + 0.5 * wave(shape, phase)


def hash_uniform(count: int, position: int) -> Tensor:
    """``count`` numbers in [-1, 1] for the parameter at ``position`` of the weight order, float64."""
    n = torch.arange(count, dtype=torch.int64)
    h = (n * 2654435761 + position * 40503 + 12345) % 2**32
    for _ in range(2):
        h ^= h >> 16
        h = (h % 2**32 * 0x45D9F3B) % 2**32
    h ^= h >> 16
    return h.double() / 2**31 - 1


def golden_weight(shape: torch.Size, position: int, name: str) -> Tensor:
    """Weight of the golden network for one parameter; ``name`` is its name in the reference."""
    u = hash_uniform(shape.numel(), position).reshape(shape)
    if len(shape) >= 2:
        scale = 0.3 if name.startswith("fc_") else 0.5 if name.startswith("out_flow") else 1.0
        return u * scale * (6 / shape[1:].numel()) ** 0.5
    return 1 + 0.1 * u if name.endswith("weight") else 0.05 * u  # one-dimensional weights are group norms'


def statistics(values: Tensor) -> dict[str, float]:
    """The numbers that a golden case keeps of a tensor, beside single elements."""
    flat = values.detach().double().flatten()
    return {
        "sum": flat.sum().item(),
        "abs_sum": flat.abs().sum().item(),
        "l2": flat.norm().item(),
        "min": flat.min().item(),
        "max": flat.max().item(),
        "wsum": (flat * torch.cos(0.01 * torch.arange(flat.numel(), dtype=torch.float64))).sum().item(),
    }


def assert_statistics(actual: Tensor, expected: dict, rtol: float, atol: float) -> None:
    """Compare a tensor with the statistics that a golden case keeps of it."""
    assert list(actual.shape) == expected["shape"]
    scale = {"wsum": expected["abs_sum"], "sum": expected["abs_sum"]}
    for key, value in statistics(actual).items():
        tolerance = rtol * scale.get(key, abs(expected[key])) + atol
        assert abs(value - expected[key]) <= tolerance, (key, value, expected[key])
    flat, largest = actual.detach().flatten(), max(abs(expected["min"]), abs(expected["max"]))
    for index, value in expected["flat_elems"].items():
        assert abs(flat[int(index)].item() - value) <= rtol * largest + atol, (index, value)
