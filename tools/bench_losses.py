"""Time of the token losses beside plain loops over the items, forward and backward; random tokens, no data are read.

    OMP_NUM_THREADS=2 python tools/bench_losses.py

The plain matching is that of ``tests/reference``: 100 Sinkhorn iterations, item by item. Both give the same value. Each
figure is the fastest of the repeats, the two taking turns. Close other programs first.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from reference.s2dc import patch_matching, structure_consistency

from ssl3d.losses import PatchMatchingLoss, StructureConsistencyLoss
from ssl3d.release.bench.machine import machine


def main() -> None:
    """Print a table: loss, milliseconds of ours and of the loop, how many times as fast, difference of the values."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=144)
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    generator = torch.Generator().manual_seed(0)
    query, key = (
        F.normalize(torch.randn(given.items, given.tokens, given.channels, generator=generator), dim=-1)
        for _ in range(2)
    )
    truth = torch.eye(given.tokens, dtype=torch.bool)[torch.randperm(given.tokens, generator=generator)]
    truth = truth.expand(given.items, -1, -1)
    print(f"{given.items} items of {given.tokens} tokens of {given.channels} channels, fastest of {given.repeats}\n")
    print("| loss | ours, ms | plain loop, ms | times as fast | difference |")
    print("|---|---|---|---|---|")
    for name, ours, loop in (
        ("matching", PatchMatchingLoss(), patch_matching),
        ("consistency", StructureConsistencyLoss(), structure_consistency),
    ):
        print(f"| {name} | {compare(ours, loop, (query, key, truth), given.repeats)} |")
    print(f"\n{machine(load)}")


def compare(ours: Callable[..., Tensor], loop: Callable[..., Tensor], tokens: tuple, repeats: int) -> str:
    """Cells of a row."""
    times: tuple[list[float], list[float]] = ([], [])
    values = [0.0, 0.0]
    for _ in range(repeats):
        for which, loss in enumerate((ours, loop)):
            query, key = (given.clone().requires_grad_() for given in tokens[:2])
            start = perf_counter()
            value = loss(query, key, tokens[2])
            value.backward()
            times[which].append(perf_counter() - start)
            values[which] = value.item()
    fast, slow = (1e3 * min(measured) for measured in times)
    return f"{fast:.1f} | {slow:.1f} | {slow / fast:.1f} | {abs(values[0] - values[1]):.1e}"


if __name__ == "__main__":
    main()
