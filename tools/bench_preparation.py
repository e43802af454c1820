"""Time of checking and preparing volumes with one and with two workers, and memory; no data are read.

    python tools/bench_preparation.py bundles/hippocampus_mri_segmentation --cases 200 --size 96

The preparation is that of the bundle's train.json: ``validate`` and the data loader over its deterministic transforms.
Each measurement is a process of its own with a cache of its own. Close other programs first.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import nibabel as nib
import numpy as np
from monai.bundle import ConfigParser
from monai.data import DataLoader

from ssl3d.data import PreparedDataset, validation


def main() -> None:
    """Print a table: workers, cases, seconds of the check and of the preparation, peak memory of the processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--size", type=int, default=96, help="voxels along an axis")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # the folder, in the process that measures
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(*measure(arguments.bundle, arguments.measure, arguments.cases, arguments.workers))
        return
    print(f"{arguments.bundle.resolve().name}, {arguments.size}^3 voxels; load average {os.getloadavg()[0]:.1f}\n")
    print("| workers | cases | check, s | preparation, s | memory, main, GiB | memory, worker, GiB |")
    print("|---|---|---|---|---|---|")
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), arguments.cases, arguments.size)
        for workers, cases in ((1, arguments.cases), (2, arguments.cases), (2, max(1, arguments.cases // 4))):
            options = ["--measure", folder, "--workers", str(workers), "--cases", str(cases)]
            command = [sys.executable, __file__, str(arguments.bundle), *options]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            check, preparation, *memory = map(float, output.split()[-4:])
            seconds[workers, cases] = check, preparation
            print(f"| {workers} | {cases} | {check:.2f} | {preparation:.2f} | {memory[0]:.2f} | {memory[1]:.2f} |")
    (check, preparation), (check2, preparation2) = seconds[1, arguments.cases], seconds[2, arguments.cases]
    print(f"\nOne worker / two: preparation {preparation / preparation2:.2f}, check {check / check2:.2f}")


def write(folder: Path, cases: int, size: int) -> None:
    """Images and labels of noise, int16 and uint8."""
    for number in range(cases):
        random = np.random.default_rng(number)
        image = random.normal(scale=50, size=(size,) * 3).astype(np.int16)
        for name, array in (("image", image), ("label", (image > 60).astype(np.uint8))):
            nib.save(nib.Nifti1Image(array, np.diag([0.8, 0.8, 1.5, 1.0])), folder / f"{name}_{number:04d}.nii.gz")


def measure(bundle: Path, folder: Path, cases: int, workers: int) -> tuple[float, ...]:
    """Seconds of the check and of the preparation, peak memory in GiB of this process and of its largest worker."""
    sys.path.insert(0, str(bundle.resolve()))
    config = ConfigParser()
    config.read_config(str(bundle / "configs" / "train.json"))
    transform = config.get_parsed_content("validate#preprocessing")
    files = [{key: str(folder / f"{key}_{n:04d}.nii.gz") for key in ("image", "label")} for n in range(cases)]
    validation.THREADS = workers
    with tempfile.TemporaryDirectory() as cache:
        start = perf_counter()
        items, _ = validation.validate(files, require_label=True, cache_dir=cache)
        checked = perf_counter()
        for _ in DataLoader(PreparedDataset(items, transform, cache), num_workers=workers):
            pass
        end = perf_counter()
    peaks = (resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return checked - start, end - checked, *peaks


if __name__ == "__main__":
    main()
