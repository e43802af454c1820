"""Measure the cost of a pre-training step: time, compared with the networks alone, and memory."""

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch
from monai.bundle import ConfigParser
from torch import Tensor

from ...engines import flag
from ...engines.network_parts import method_of
from ...engines.preflight import check_overrides
from ...upstream.memory import keep_freed_memory
from .machine import GIB, machine, peak

# Before the clock runs: at least so many steps, and seconds. Small steps are slower until the heap has stopped growing.
WARM_UP, WARM_UP_SECONDS = 3, 5.0


class Costs(NamedTuple):
    """Median seconds of the parts of a step, and the peak memory.

    Attributes:
        floor: Passes of the networks alone, forward and backward, from given views.
        views: Making the views of a batch.
        passes: Passes of the networks and losses, forward and backward.
        optimiser: Step of the optimiser.
        whole: Whole step, views included.
        memory: Peak of the resident set in GiB: before the network was built, and after whole steps.
    """

    floor: float
    views: float
    passes: float
    optimiser: float
    whole: float
    memory: tuple[float, float]


def bench(
    bundle: str | Path,
    size: int | Sequence[int] | None = None,
    batch_size: int | None = None,
    paper: bool | str = False,
    repeats: int = 5,
    device: str = "cpu",
    overrides: Mapping[str, Any] | None = None,
) -> str:
    """Measure a step of a pre-training bundle, and compare it with the floor: the time of its networks alone.

    Network, views, loss and optimiser are those of ``configs/train.json``; the volumes are random, no data are read.
    The floor is forward and backward through backbone and heads, for GVSL with the warp of features and the
    composition of the field, to the mean square of what they give. Both are timed in turn.

    Args:
        bundle: Folder of the bundle.
        size: Size of the volumes in voxels, one number or (D, H, W); the bundle's ``roi_size`` when not given.
        batch_size: The bundle's when not given.
        paper: Take the publication's settings, ``paper.json``.
        repeats: Timed steps.
        device: ``cpu``, ``cuda``.
        overrides: Further values of the config by their ids, such as ``{"crops": (1, 1, 1)}``.

    Returns:
        The table, Markdown.

    Raises:
        ValueError: a folder that is no pre-training bundle, a size of another form, an
            override that no config of the bundle knows.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}.")
    keep_freed_memory()  # as a training does
    parser = read(Path(bundle), flag(paper))
    parser["device"] = device
    if batch_size is not None:
        parser["batch_size"] = batch_size
    for key, value in (overrides or {}).items():
        parser[key] = list(value) if isinstance(value, tuple) else value
    check_overrides(parser.get(), Path(bundle) / "configs")
    if size is not None:
        parser["roi_size"] = [size] * 3 if isinstance(size, int) else list(size)
    roi, count = parser.get("roi_size"), parser.get("batch_size")
    if len(roi) != 3 or any(not isinstance(side, int) or side < 1 for side in [*roi, count]):
        raise ValueError(f"size and batch_size are whole numbers of 1 or more, (D, H, W) and one, got {roi}, {count}.")

    load = os.getloadavg()[0]
    costs = measure(parser, repeats)
    lines = [
        f"{Path(bundle).resolve().name}{' at paper settings' if flag(paper) else ''}, "
        f"{' x '.join(map(str, roi))} voxels, batch {count}, {device}; median of {repeats}",
        "",
        "| part | seconds | share of the step |",
        "|---|---|---|",
        *(
            f"| {name} | {seconds:.3f} | {seconds / costs.whole:.1%} |"
            for name, seconds in (
                ("floor: networks, forward and backward", costs.floor),
                ("views", costs.views),
                ("losses, with the warp of images (the rest)", costs.passes - costs.floor),
                ("optimiser", costs.optimiser),
                ("whole step", costs.whole),
            )
        ),
        "",
        f"Whole step / floor: {costs.whole / costs.floor:.2f}",
        f"Peak memory of the process: {costs.memory[1]:.2f} GiB after whole steps; {costs.memory[0]:.2f} GiB before "
        "the network was built (imports)",
        *([f"Peak memory on the device: {torch.cuda.max_memory_allocated() / GIB:.2f} GiB"] if device != "cpu" else []),
        machine(load),
    ]
    return "\n".join(lines)


def read(bundle: Path, paper: bool) -> ConfigParser:
    """Read the config of a pre-training bundle, and make its ``scripts`` importable.

    Raises:
        ValueError: no such config, or one without views: no pre-training bundle.
    """
    files = [bundle / "configs" / name for name in ("train.json", *(["paper.json"] if paper else []))]
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file} does not exist: {bundle} is not a bundle, or has no such settings.")
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    if "views" not in parser or "network_def" not in parser:
        raise ValueError(f"{bundle} is no pre-training bundle: its train.json has no views.")
    parser["bundle_root"] = str(bundle)
    sys.path.insert(0, str(bundle.resolve()))  # scripts, which the config names
    return parser


def measure(parser: ConfigParser, repeats: int) -> Costs:
    """Time steps of a config, in turn with passes of the networks alone.

    Raises:
        ValueError: The network is no pre-training method.
    """
    before = peak()
    parser.get_parsed_content("initialize")  # seeds, as in a run
    keys = ("network", "views", "loss", "optimizer")
    network, views, loss, optimiser = (parser.get_parsed_content(key) for key in keys)
    method = method_of(network)
    if method is None:
        raise ValueError(f"{type(network).__name__} is no pre-training method.")
    device, count = torch.device(parser.get("device")), parser.get("batch_size")
    # what the views are cut from, where that is more than the network sees
    size = parser.get_parsed_content("region_size" if "region_size" in parser else "roi_size")
    to_none = bool(parser.get("train::trainer").get("optim_set_to_none", False))  # as MONAI's trainer has it
    network.train()

    pairs = str(parser.get("train::dataset").get("_target_")).endswith("MatchedPairDataset")

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return perf_counter()

    def step(number: int) -> tuple[dict[str, Tensor], list[float]]:
        batch = random_batch(number, count, size, pairs)
        times = [now()]
        inputs, target = views(batch, device)
        times.append(now())
        optimiser.zero_grad(set_to_none=to_none)
        loss(network(inputs), target).backward()
        times.append(now())
        optimiser.step()
        times.append(now())
        return inputs, times

    def floor(inputs: dict[str, Tensor]) -> float:
        start = now()
        optimiser.zero_grad(set_to_none=to_none)
        outputs = method.passes(inputs)
        torch.stack([output.square().mean() for output in outputs]).sum().backward()
        return now() - start

    number, start = 0, now()
    while number < WARM_UP or now() - start < WARM_UP_SECONDS:
        inputs, _ = step(number)
        number += 1
    memory = before, peak()  # of whole steps alone: the floor has not run
    floor(inputs)
    floors, parts = [], []
    for later in range(repeats):
        floors.append(floor(inputs))
        inputs, times = step(number + later)
        parts.append([times[1] - times[0], times[2] - times[1], times[3] - times[2], times[3] - times[0]])
    return Costs(statistics.median(floors), *map(statistics.median, zip(*parts, strict=True)), memory)  # type: ignore


def random_batch(number: int, count: int, roi: Sequence[int], pairs: bool = False) -> dict[str, Tensor]:
    """Return a random batch with the keys of ``DrawDataset`` (``image``, ``valid``) and of ``PairDataset``.

    With ``pairs`` it has those of ``MatchedPairDataset``: two crops in each ``image``.
    """
    if pairs:
        both, one = torch.rand(count, 2, 1, *roi), torch.ones(count)
        draw = torch.arange(number * count, (number + 1) * count)
        return {"image": both, "valid": torch.ones_like(both), "score": one, "copy": 0 * one, "draw": draw}
    image = {key: torch.rand(count, 1, *roi) for key in ("image", "fixed", "moving")}
    valid = {key: torch.ones(count, 1, *roi, dtype=torch.uint8) for key in ("valid", "fixed_valid", "moving_valid")}
    draw = torch.arange(number * count, (number + 1) * count)
    return {**image, **valid, "draw": draw, "copy": torch.zeros_like(draw)}
