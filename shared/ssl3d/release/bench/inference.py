"""Measure the cost of segmenting a large volume: time by stage, compared with the network alone, and memory."""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from monai.bundle import ConfigParser
from monai.data import decollate_batch, list_data_collate
from monai.transforms import AsDiscreted, Invertd, LoadImaged, Orientationd, SaveImaged, Spacingd
from torch import Tensor

from .machine import GIB, machine, peak

# name of a stage by the type of the transform; any other is an operation on intensities, or is named by its class
STAGES = (
    (LoadImaged, "read"),
    (Orientationd, "orient"),
    (Spacingd, "resample"),
    (AsDiscreted, "argmax"),
    (Invertd, "invert"),
    (SaveImaged, "write"),
)
CHECK, WINDOWS, CALLS = "check of the file", "windows", "of which network calls"


def bench_inference(
    bundle: str | Path,
    size: int | Sequence[int] | None = None,
    spacing: Sequence[float] = (0.75, 0.75, 1.5),
    repeats: int = 3,
    device: str = "cpu",
) -> str:
    """Segment an artificial CT with a bundle, and compare the time of each stage with that of the network's calls.

    Every stage is the component of ``configs/inference.json`` itself: the check of the file, each transform before and
    after, the inferer. The CT, smooth tissue with noise in int16 as gzip-compressed NIfTI, lies in a temporary folder.

    Args:
        bundle: Folder of a segmentation bundle.
        size: Size of the CT in voxels, one number or three; 512 x 512 x 300 when not given.
        spacing: Voxel size of the CT, three numbers in mm.
        repeats: Number of runs; the fastest time of each stage counts.
        device: ``cpu``, ``cuda``.

    Returns:
        The table, Markdown.

    Raises:
        ValueError: a folder that is no segmentation bundle; a size or spacing of another form.
    """
    shape = (512, 512, 300) if size is None else (size,) * 3 if isinstance(size, int) else tuple(size)
    if len(shape) != 3 or any(not isinstance(side, int) or side < 2 for side in shape):
        raise ValueError(f"size is one or three whole numbers of 2 or more, got {shape}.")
    if len(spacing) != 3 or not all(side > 0 for side in spacing):
        raise ValueError(f"spacing is three positive numbers, got {spacing}.")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}.")
    config = read_inference(Path(bundle)).get()
    load = os.getloadavg()[0]
    runs, before = [], peak()
    with tempfile.TemporaryDirectory(prefix="ssl3d_bench_") as folder:
        scan = Path(folder) / "scans" / "ct.nii.gz"
        scan.parent.mkdir()
        megabytes = write_ct(scan, shape, spacing)
        for number in range(repeats):
            parser = ConfigParser({**config, "dataset_dir": str(scan.parent), "device": device})
            parser["output_dir"] = f"{folder}/{number}"
            parser["dataset::data::cache_dir"] = f"{folder}/cache{number}"  # or a second run would know the file
            runs.append(measure_stages(parser) if number == 0 else _quietly(measure_stages, parser))
    seconds = {name: min(run[name] for run in runs) for name in runs[0]}
    whole = sum(seconds.values()) - seconds[CALLS]
    lines = [
        f"{Path(bundle).resolve().name}, CT of {' x '.join(map(str, shape))} voxels ({megabytes:.0f} MB), "
        f"{' x '.join(f'{side:g}' for side in spacing)} mm, {device}; fastest of {repeats}",
        "",
        "| stage | seconds | share of the run | times the network calls |",
        "|---|---|---|---|",
        *(
            f"| {name} | {time:.3f} | {time / whole:.1%} | {time / seconds[CALLS]:.2f} |"
            for name, time in {**seconds, "whole run": whole}.items()
        ),
        "",
        f"Windows / network calls: {seconds[WINDOWS] / seconds[CALLS]:.2f}",
        f"Whole run / network calls: {whole / seconds[CALLS]:.2f}",
        f"Peak memory of the process: {peak():.2f} GiB; {before:.2f} GiB before (imports)",
        *([f"Peak memory on the device: {torch.cuda.max_memory_allocated() / GIB:.2f} GiB"] if device != "cpu" else []),
        machine(load),
    ]
    return "\n".join(lines)


def _quietly(measure: Callable[[ConfigParser], dict[str, float]], parser: ConfigParser) -> dict[str, float]:
    """Measure without the log lines, which the first run has shown."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        return measure(parser)
    finally:
        logging.disable(before)


def read_inference(bundle: Path) -> ConfigParser:
    """Read the inference config of a segmentation bundle, and make its ``scripts`` importable.

    Raises:
        ValueError: no such config, or one that reads no folder of scans or makes no labels.
    """
    file = bundle / "configs" / "inference.json"
    if not file.is_file():
        raise ValueError(f"{file} does not exist: {bundle} is not a bundle.")
    parser = ConfigParser()
    parser.read_config(str(file))
    if "dataset_dir" not in parser or "AsDiscreted" not in str(parser.get("postprocessing")):
        raise ValueError(f"{bundle} is no segmentation bundle: its inference.json makes no labels.")
    parser["bundle_root"] = str(bundle)
    sys.path.insert(0, str(bundle.resolve()))  # scripts, which the config names
    return parser


def measure_stages(parser: ConfigParser) -> dict[str, float]:
    """Return the seconds of each stage for the first scan, in order; the windows include the network's calls."""
    device = torch.device(parser.get_parsed_content("device"))
    network, inferer, before, after = (
        parser.get_parsed_content(key) for key in ("network", "inferer", "preprocessing", "postprocessing")
    )
    seconds: dict[str, float] = {}

    def timed(name: str, stage: Callable[..., Any], *arguments: Any) -> Any:
        start = _now(device)
        result = stage(*arguments)
        seconds[name] = seconds.get(name, 0.0) + _now(device) - start
        return result

    def call(windows: Tensor) -> Tensor:
        return timed(CALLS, network, windows)

    dataset = timed(CHECK, parser.get_parsed_content, "dataset")
    item = dict(dataset.data[0])
    for transform in before.transforms:
        item = timed(stage_of(transform), transform, item)
    batch = list_data_collate([item])  # as the data loader and the evaluator do
    del item
    image = batch["image"].to(device)
    with torch.no_grad():
        network(torch.zeros(1, image.shape[1], *parser.get_parsed_content("roi_size"), device=device))  # warm
        pred = timed(WINDOWS, inferer, image, call)
    (output,) = decollate_batch({"image": image, "pred": pred})
    del pred
    for transform in after.transforms:
        output = timed(stage_of(transform), transform, output)
    calls = seconds.pop(CALLS)
    return {name: time for stage, value in seconds.items() for name, time in _with_calls(stage, value, calls)}


def stage_of(transform: Any) -> str:
    """Return the name of a transform's stage."""
    for kind, name in STAGES:
        if isinstance(transform, kind):
            return name
    name = type(transform).__name__
    return "intensity" if "Intensity" in name or name.startswith("Scale") else name


def write_ct(path: Path, shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Write an artificial CT: smooth tissue in an ellipse, air around it, noise of 12 HU everywhere.

    Args:
        path: Path of the NIfTI file.
        shape: Voxels (D, H, W).
        spacing: mm.

    Returns:
        Its size in MB.
    """
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.normal(size=(1, 1, 12, 12, 8)).astype(np.float32))
    tissue = F.interpolate(coarse, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0].numpy()
    x, y = (np.linspace(-1, 1, side)[:, None] for side in shape[:2])
    body = (x / 0.85) ** 2 + (y.T / 0.65) ** 2 < 1
    voxels = np.empty(shape, np.int16, order="F")
    for number in range(shape[2]):
        noise = random.normal(scale=12, size=shape[:2])
        voxels[..., number] = np.where(body, 40 + 100 * tissue[..., number], -1000) + noise
    nib.save(nib.Nifti1Image(voxels, np.diag([-spacing[0], -spacing[1], spacing[2], 1])), path)
    return path.stat().st_size / 1e6


def _with_calls(stage: str, value: float, calls: float) -> list[tuple[str, float]]:
    return [(stage, value), (CALLS, calls)] if stage == WINDOWS else [(stage, value)]


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()
