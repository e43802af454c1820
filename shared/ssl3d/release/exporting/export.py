"""Export the networks of bundles as TorchScript and ONNX, check them against PyTorch, and compare their times."""

import json
import logging
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from ... import weights
from ..bench.machine import machine
from ..packing.pack import chosen
from .runtimes import FIXED, Runtime, check_packages, sizes, to_onnx, to_torchscript

logger = logging.getLogger(__name__)

LIMIT = 1e-4  # of a difference; of the largest output where that is above 1
WARM_UP = 2


class Row(NamedTuple):
    """A runtime in the table.

    Attributes:
        runtime: Runtime that was measured.
        difference: Largest absolute difference to PyTorch.
        relative: Difference over the largest output, or over 1 if no output is above 1.
        seconds: Time of each run over one window.
    """

    runtime: Runtime
    difference: float
    relative: float
    seconds: list[float]

    @property
    def good(self) -> bool:
        """Whether the file exists and its results equal those of PyTorch."""
        return self.runtime.call is not None and self.relative <= LIMIT  # NaN is no good


class Exported(NamedTuple):
    """Result of ``export`` for a bundle: the table (Markdown), and whether every runtime agrees with PyTorch."""

    table: str
    good: bool


def export(
    bundles: Path, output_dir: Path, names: Sequence[str] = (), repeats: int = 10, any_size: bool = True
) -> list[Exported]:
    """Write ``<output_dir>/<name>/model.ts`` and ``model.onnx`` for bundles: the network that ``inference.json`` runs.

    Each file is loaded again and compared with PyTorch on random images: a window, and where other sizes are allowed
    two items of another size. A file that differs by more than 1e-4 of the largest output (of 1, where no output is
    larger) is removed and the table says so. The bound is relative since float32 carries 7 digits: for logits of 49
    (``abdominal_ct_segmentation``) PyTorch itself is 1.7e-4 away from its own result in float64.

    Args:
        bundles: Folder of bundles.
        output_dir: Created; files of the same name are replaced.
        names: Names of bundles; all when empty.
        repeats: Timed runs of each runtime, in turn.
        any_size: False writes ONNX for windows alone, which takes a fraction of the time.

    Raises:
        ImportError: without the packages of ONNX.
        ValueError: an unknown bundle, a bundle without ``inference.json``, ``repeats`` below 1.
        OSError: no weights, or a folder that cannot be written.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}.")
    check_packages()
    return [export_bundle(bundles / name, output_dir / name, repeats, any_size) for name in chosen(bundles, names)]


def export_bundle(bundle: Path, folder: Path, repeats: int, any_size: bool = True) -> Exported:
    """Write, check and time the files of one bundle, see ``export``."""
    load = os.getloadavg()[0]
    metadata = (bundle / "configs" / "metadata.json").read_text(encoding="utf-8")
    image = json.loads(metadata)["network_data_format"]["inputs"]["image"]
    with scripts_of(bundle):
        network, roi = read_network(bundle)
        folder.mkdir(parents=True, exist_ok=True)
        window = random_image(1, image["num_channels"], roi)
        logger.info(f"{bundle.name}: TorchScript")
        scripted = to_torchscript(network, window, folder / "model.ts", metadata)
        logger.info(f"{bundle.name}: ONNX (up to a minute)")
        onnx = to_onnx(network, window, folder / "model.onnx", metadata, any_size)
        rows = compare(network, window, (scripted, onnx), repeats)
    for row in rows:
        if not row.good and row.runtime.file is not None:
            row.runtime.file.unlink()
    lines = [
        f"{bundle.name}, window of {' x '.join(map(str, roi))} voxels, channels: {image['num_channels']}; "
        f"{repeats} runs each, in turn",
        machine(load),
        "",
        *table(rows, roi),
    ]
    return Exported("\n".join(lines), all(row.good for row in rows))


def compare(network: nn.Module, window: Tensor, runtimes: Sequence[Runtime], repeats: int) -> list[Row]:
    """Differences of runtimes to ``network`` on random images, and times on ``window`` (1, C, D, H, W); PyTorch first.

    The runtimes take turns, so that a load from outside meets all of them.
    """
    with torch.inference_mode():
        rows = [Row(Runtime("PyTorch", network), 0.0, 0.0, [])]
        rows += [Row(runtime, *differences(network, window, runtime), []) for runtime in runtimes]
        for number in range(WARM_UP + repeats):
            for row in rows:
                if row.runtime.call is not None:
                    start = perf_counter()
                    row.runtime.call(window)
                    row.seconds.extend([perf_counter() - start] * (number >= WARM_UP))
    return rows


def differences(network: nn.Module, window: Tensor, runtime: Runtime) -> tuple[float, float]:
    """Largest difference to ``network``, absolute and relative (see ``Row``), on a window and another size."""
    if runtime.call is None:
        return 0.0, 0.0
    images = [window]
    if runtime.step != FIXED:  # two items, about half as large
        sides = [-((1 - side // 2) // runtime.step) * runtime.step for side in window.shape[2:]]
        images.append(random_image(2, window.shape[1], sides))
    found = []
    for image in images:
        expected, given = network(image), runtime.call(image)
        if given.shape != expected.shape:
            return float("inf"), float("inf")
        difference = (given - expected).abs().max().item()
        found.append((difference, difference / max(1.0, expected.abs().max().item())))
    return max(pair[0] for pair in found), max(pair[1] for pair in found)


def table(rows: Sequence[Row], window: Sequence[int]) -> Iterator[str]:
    """Lines of the table; a runtime that is not there or differs says so instead of its times."""
    yield "| runtime | largest difference (relative) | ms a window: median (fastest) | times PyTorch | size of input |"
    yield "|---|---|---|---|---|"
    whole = statistics.median(rows[0].seconds)
    notes = []
    for row in rows:
        runtime, difference = row.runtime, f"{row.difference:.1e} ({row.relative:.1e})"
        if runtime.call is None:
            yield f"| {runtime.name} | none: {runtime.note} | | | |"
        elif not row.good:
            yield f"| {runtime.name} | **{difference}: too large, the file was removed** | | | |"
        else:
            median = statistics.median(row.seconds)
            yield (
                f"| {runtime.name} | {difference} | {1e3 * median:.1f} ({1e3 * min(row.seconds):.1f}) | "
                f"{median / whole:.2f} | {sizes(runtime.step, window)} |"
            )
        if runtime.note and runtime.call is not None:
            notes.append(f"{runtime.name}: {runtime.note}")
    if notes:
        yield from ("", *notes)


def read_network(bundle: Path) -> tuple[nn.Module, list[int]]:
    """Build the network of ``inference.json`` with its weights on the CPU; return it and the size of a window.

    The window is ``roi_size`` of ``inference.json``; a bundle that takes whole volumes was trained on the ``roi_size``
    of its passport.

    Raises:
        ValueError: no ``inference.json``, or no size.
        OSError: no weights.
    """
    file = bundle / "configs" / "inference.json"
    if not file.is_file():
        raise ValueError(f"{file} does not exist: {bundle.name} has no network to export.")
    parser = ConfigParser()
    parser.read_config(str(file))
    parser["bundle_root"], parser["device"] = str(bundle), "cpu"
    network = parser.get_parsed_content("network")
    passport = weights.passport_of(parser.get_parsed_content("weights"))
    roi = parser.get("roi_size") or (passport and passport.roi_size)
    if not roi:
        raise ValueError(f"{bundle.name}: neither inference.json nor the passport of its weights has a roi_size.")
    return network, list(roi)


@contextmanager
def scripts_of(bundle: Path) -> Iterator[None]:
    """Import ``scripts`` from ``bundle`` while the block runs, and unload them afterwards."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
            del sys.modules[name]

    path = str(bundle.resolve())
    forget()
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.path.remove(path)
        forget()


def random_image(items: int, channels: int, size: Sequence[int]) -> Tensor:
    """Return a fixed random image (items, channels, *size) in [0, 1], like the output of the preprocessing."""
    return torch.rand(items, channels, *size, generator=torch.Generator().manual_seed(0))
