"""Keep size, voxel size and intensities of each image file from the reading that checks it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

from ..files import folders
from ..files.content import Memo, identity
from .volume import Volume

LEVELS = (0, 0.5, 1, 50, 99, 99.5, 100)  # percent
SAMPLE = 1_000_000  # largest number of voxels to compute percentiles from
VERSION = 1  # raise it when ScanFacts changes, so that files are read anew
WORLD = {"L": 0, "R": 0, "P": 1, "A": 1, "I": 2, "S": 2}  # letter of an axis -> axis of the world


class ScanFacts(NamedTuple):
    """Facts about an image file.

    Attributes:
        axes: Directions of the stored axes, such as ``"LPS"``.
        size: Voxels along the stored axes.
        spacing: Mm along the stored axes.
        channels: Length of the fourth axis; 1 for a 3D file.
        values: Intensities at ``LEVELS``; minimum and maximum are exact, the others are of at most ``SAMPLE`` voxels.
    """

    axes: str
    size: list[int]
    spacing: list[float]
    channels: int
    values: list[float]

    def at(self, percent: float) -> float:
        """Return the intensity at a percentile, interpolated between ``LEVELS``."""
        return float(np.interp(percent, LEVELS, self.values))

    def turned(self, axes: str | None) -> tuple[np.ndarray, np.ndarray]:
        """Return size and spacing (3,) along ``axes``, such as ``"RAS"``; None: along the stored axes."""
        order = [0, 1, 2]
        if axes is not None and set(self.axes + axes) <= set(WORLD):
            stored = [WORLD[letter] for letter in self.axes]
            order = [stored.index(WORLD[letter]) for letter in axes]
        return np.array(self.size)[order], np.array(self.spacing, dtype=float)[order]


def scan_facts(volume: Volume, sample: np.ndarray | None = None) -> ScanFacts:
    """Return the facts of a volume in memory; ``sample`` is the result of :func:`sampled`, if already computed."""
    ends = sorted(volume.scaled(np.array([volume.array.min(), volume.array.max()])).tolist())  # a slope may be negative
    with np.errstate(invalid="ignore"):  # of Inf, which the checks report
        inner = np.percentile(sampled(volume) if sample is None else sample, LEVELS[1:-1]).tolist()
    channels = volume.array.shape[3] if volume.array.ndim == 4 else 1
    grid = volume.grid
    return ScanFacts(grid.axes, list(grid.shape), grid.spacing.tolist(), channels, [ends[0], *inner, ends[1]])


def keep_facts(path: str | Path, volume: Volume, cache_dir: str | Path | None = None) -> None:
    """Store the facts of a file that was just read; they are valid until the file changes."""
    _memo(cache_dir).set(identity(path), scan_facts(volume))


def kept_facts(path: str | Path, cache_dir: str | Path | None = None) -> ScanFacts | None:
    """Return the facts of a file that was checked before; None if it was never checked or has changed since."""
    try:
        return _memo(cache_dir).get(identity(path), _restored)
    except OSError:
        return None


def sampled(volume: Volume) -> np.ndarray:
    """Sample the real values of at most ``SAMPLE`` voxels, at places that do not depend on the stored orientation."""
    array = canonical(volume)
    shape = array.shape
    step = math.ceil(array.size / SAMPLE)
    while math.gcd(step, math.prod(shape[:2])) > 1:  # else it would hit the same columns in each slice
        step += 1
    places = np.arange(0, array.size, step)
    return volume.scaled(array[np.unravel_index(places, shape, order="F")])


def canonical(volume: Volume) -> np.ndarray:
    """Return a view of the stored voxels with axes turned to R, A, S."""
    return nib.apply_orientation(volume.array, nib.io_orientation(volume.grid.affine))


def image_files(item: Mapping[str, Any], keys: Sequence[str] = ("image", "fixed", "moving")) -> list[str]:
    """List the paths of the images of a datalist item or of a pair."""
    found = []
    for value in (item[key] for key in keys if key in item):
        found += [str(path) for path in (value if isinstance(value, (list, tuple)) else [value])]
    return found


def _memo(cache_dir: str | Path | None) -> Memo:
    return Memo(folders.cache_dir(cache_dir) / "scans" / str(VERSION))


def _restored(kept: Any) -> ScanFacts:
    facts = ScanFacts(*kept)
    if len(facts.size) != 3 or len(facts.spacing) != 3 or len(facts.values) != len(LEVELS):
        raise ValueError("not the facts of a scan")
    return facts
