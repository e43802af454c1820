"""Cost of Alice's cross-attention (CASA) and losses beside a plain version, and of finding a point; no data are read.

    OMP_NUM_THREADS=2 python tools/bench_alice.py

The plain version is that of ``tests/reference``: no masks, attention weights as a matrix, the target's tokens with a
graph, as in the release. Both give the same loss and gradient. Each time, forward and backward, is the fastest of the
repeats, the two taking turns. Close other programs first; CPU time suffers less from them.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from reference import alice as plain

from ssl3d.losses import RestorationLoss, SelfDistillationLoss
from ssl3d.matching.points import embed_scan, match_points
from ssl3d.networks import AnatomicalEmbeddingNet, CrossAttentionAlignment, UNet3d
from ssl3d.release.bench.machine import machine

TEMPERATURE = 0.008  # of the teacher, at the start
MIB = 2**20


def main(arguments: list[str] | None = None) -> None:
    """Print a table of both versions, and the time to find a point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--query", type=int, default=216, help="tokens of the encoder, of each crop")
    parser.add_argument("--context", type=int, default=1728, help="tokens of the decoder")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--crop", type=int, default=96, help="side of the crops that are filled in")
    parser.add_argument("--scan", type=int, default=128, help="side of the scan that a point is found in")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--peak", choices=("ours", "plain"), help="print the memory of one of them and stop")
    given = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    sizes = given.query, given.context, given.dim, given.crop
    if given.peak:
        print(grown(Case(*sizes), given.peak))
        return
    case = Case(*sizes)
    results = {name: case.step(name) for name in ("ours", "plain")}
    times = fastest({name: lambda name=name: case.step(name) for name in results}, given.repeats)
    rows = {
        "time, ms": [f"{1e3 * times[name][0]:.0f}" for name in results],
        "CPU time, ms": [f"{1e3 * times[name][1]:.0f}" for name in results],
        "peak of the resident set, MiB more than before": [f"{peak_of(name, sizes):.0f}" for name in results],
        "kept for the backward pass, MiB": [f"{case.kept(name) / MIB:.0f}" for name in results],
        "loss": [f"{loss:.6f}" for loss, _ in results.values()],
    }
    print(f"1 pair: {given.query} tokens read {given.context}, {given.dim} channels; crops of {given.crop}\u00b3\n")
    print("| CASA and losses | ours | plain |")
    print("|---|---|---|")
    for name, (ours, other) in rows.items():
        print(f"| {name} | {ours} | {other} |")
    one, other = (gradient for _, gradient in results.values())
    difference = ((one - other).abs().max() / other.abs().max()).item()
    print(f"\nGradients of all outputs and weights differ by {difference:.1e} of the largest.")
    wall, cpu = search(given.scan, given.repeats)
    print(f"A point in an embedded scan of {given.scan}\u00b3: {1e3 * wall:.1f} ms ({1e3 * cpu:.1f} ms of CPU).")
    print(f"\n{machine(load)}")


class Case:
    """Random outputs of student and teacher for one pair of crops, and both ways from them to the loss."""

    def __init__(self, query: int, context: int, dim: int, side: int) -> None:
        generator = torch.Generator().manual_seed(0)

        def random(*shape: int) -> Tensor:
            return torch.randn(2, *shape, generator=generator)

        torch.manual_seed(0)
        self.casa = CrossAttentionAlignment(dim, dropout=0.0)
        student = {"whole": random(dim), "encoder": random(query, dim), "decoder": random(context, dim)}
        self.student = {**student, "restored": random(1, side, side, side)}
        self.inputs = [*(output.requires_grad_() for output in self.student.values()), *self.casa.parameters()]
        self.teacher = {"whole": 0.1 * random(dim), "decoder": random(context, dim)}
        self.image, self.hidden = random(1, side, side, side), torch.ones(2, 1, side, side, side)
        self.cells = torch.ones(2, query)
        self.inter, self.intra = (SelfDistillationLoss(dim, pairing=pairing) for pairing in ("cross", "same"))
        self.restoration = RestorationLoss()

    def ours(self) -> Tensor:
        """The loss as the method has it."""
        student, teacher = self.student, self.teacher
        completed = self.casa(student["encoder"], student["decoder"])
        with torch.no_grad():
            target = self.casa(student["encoder"], teacher["decoder"])
        return (
            self.inter(student["whole"], teacher["whole"], teacher_temperature=TEMPERATURE)
            + self.intra(completed, target, teacher_temperature=TEMPERATURE, valid=self.cells)
            + self.restoration(student["restored"], self.image, self.hidden)
        )

    def plain(self) -> Tensor:
        """The same in plain code."""
        student, weights = {**self.student, "image": self.image}, dict(self.casa.named_parameters())
        centers = self.inter.center.float(), self.intra.center.float()
        return plain.losses(student, self.teacher, weights, self.casa.num_heads, TEMPERATURE, centers)[0]

    def forward(self, name: str) -> Tensor:
        """One of the two, with centres at zero: each call moves ours."""
        self.inter.center.zero_()
        self.intra.center.zero_()
        loss: Tensor = getattr(self, name)()
        return loss

    def step(self, name: str) -> tuple[float, Tensor]:
        """Loss, and gradients of all outputs and weights as one vector."""
        loss = self.forward(name)
        gradients = torch.autograd.grad(loss, self.inputs)
        return loss.item(), torch.cat([gradient.flatten() for gradient in gradients])

    def kept(self, name: str) -> int:
        """Bytes that the graph holds until the backward pass, inputs and weights left out."""
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = self.forward(name)  # in a name, so that no storage is freed and its address used again
        given = [*self.inputs, *self.teacher.values(), self.image, self.hidden, self.cells]
        for tensor in given:
            storages.pop(tensor.untyped_storage().data_ptr(), None)
        del loss
        return sum(storages.values())


def fastest(versions: dict[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """Seconds of each and of its CPU time, the smallest of the repeats; they take turns."""
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in versions}
    for _ in range(repeats):
        for name, run in versions.items():
            wall, cpu = perf_counter(), process_time()
            run()
            measured[name].append((perf_counter() - wall, process_time() - cpu))
    return {name: (min(w for w, _ in of), min(c for _, c in of)) for name, of in measured.items()}


def grown(case: Case, name: str) -> float:
    """MiB by which the resident set's peak grows in a step, once a small step has loaded all code; on Linux."""
    Case(4, 4, 16, 4).step(name)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: importing torch has a higher one
    before = high_water()
    case.step(name)
    return high_water() - before


def high_water() -> float:
    """Peak of the resident set, MiB. That of ``getrusage`` would begin at the peak of the process that started this."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def peak_of(name: str, sizes: tuple[int, ...]) -> float:
    """The same in a process of its own, whose allocator has nothing left over from other steps."""
    options = [f"--{key}={size}" for key, size in zip(("query", "context", "dim", "crop"), sizes, strict=True)]
    command = [sys.executable, "-W", "ignore", __file__, "--peak", name, *options]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def search(side: int, repeats: int) -> tuple[float, float]:
    """Seconds, and of CPU time, to find one point of an embedded scan in another."""
    torch.manual_seed(0)
    network = AnatomicalEmbeddingNet(UNet3d()).eval()
    scans = [embed_scan(network, torch.rand(1, side, side, side), torch.eye(4)) for _ in range(2)]
    point = torch.full((1, 3), side / 3)
    return fastest({"search": lambda: match_points(scans[0], point, scans[1])}, repeats)["search"]


if __name__ == "__main__":
    main()
