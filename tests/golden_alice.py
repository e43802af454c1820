"""Inputs of the golden cases of Alice, from the formulas that the file states."""

import json
from functools import cache
from math import prod

import pytest
import torch
import torch.nn.functional as F
from golden import DATA
from torch import Tensor


@cache
def section(method: str, case: str) -> dict:
    """One case of a golden file without a list of cases."""
    return json.loads((DATA / f"{method}.json").read_text())[case]


def sin(shape: tuple[int, ...], amplitude: float, frequency: float, phase: float = 0.0) -> Tensor:
    """``amplitude · sin(frequency · n + phase)``, n the flat index; float64."""
    n = torch.arange(prod(shape), dtype=torch.float64)
    return (amplitude * torch.sin(frequency * n + phase)).view(shape)


def cos(shape: tuple[int, ...], amplitude: float, frequency: float, phase: float = 0.0) -> Tensor:
    """The same with a cosine."""
    n = torch.arange(prod(shape), dtype=torch.float64)
    return (amplitude * torch.cos(frequency * n + phase)).view(shape)


def matching_maps(golden: dict) -> list[tuple[Tensor, ...]]:
    """Of ``sam_match``: fine and coarse map (C, z, y, x) of the volume with the points, and of the searched one."""
    maps = []
    for name, phase in (("query", 0.0), ("key", 0.7)):
        fine, coarse = (tuple(golden[name]["shapes"][of]) for of in ("fine", "coarse"))
        waves = sin(fine, 1, 0.013, phase) + cos(fine, 0.5, 1.7, phase), sin(coarse, 1, 0.9, 2 * phase)
        maps.append(tuple(F.normalize(one[0], dim=0) for one in waves))
    return maps


def assert_summary(actual: Tensor, expected: dict, rel: float = 1e-9) -> None:
    """Compare a tensor with the sums and first and last elements that a golden case keeps of it."""
    flat = actual.detach().double().flatten()
    weights = torch.cos(0.01 * torch.arange(len(flat), dtype=torch.float64))
    sums = {"sum": flat, "abs_sum": flat.abs(), "sq_sum": flat.square(), "dot_cos": flat * weights}
    for name, values in sums.items():
        if name in expected:
            scale = expected["sq_sum"] if name == "sq_sum" else expected["abs_sum"]
            assert abs(values.sum().item() - expected[name]) <= rel * scale + 1e-12, name
    assert flat[: len(expected["first8"])].tolist() == pytest.approx(expected["first8"], rel=rel, abs=1e-11)
    if "last4" in expected:
        assert flat[-len(expected["last4"]) :].tolist() == pytest.approx(expected["last4"], rel=rel, abs=1e-11)
    if "shape" in expected:
        assert list(actual.shape) == expected["shape"]
