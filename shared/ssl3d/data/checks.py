"""Is one case fit for training? Its image, its label, and whether they belong together."""

from collections.abc import Iterable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .content import identity, remember
from .nifti import EXTENSIONS, BadFileError, Volume, read_volume

TOLERANCE = 1e-3  # of the spacing, between the affines of an image and its label


class Fault(NamedTuple):
    """One fault of one file.

    Attributes:
        file: its path.
        problem: what is wrong.
        remedy: what to do.
        fatal: False for what is only worth a warning.
    """

    file: str
    problem: str
    remedy: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}. {self.remedy}."


class Grid(NamedTuple):
    """Where the voxels of a file are: spatial shape (3 ints), affine (4, 4) and spacing (3,) in mm."""

    shape: tuple[int, ...]
    affine: np.ndarray
    spacing: np.ndarray

    @classmethod
    def of(cls, volume: Volume) -> "Grid":
        return cls(volume.array.shape[:3], volume.affine, volume.spacing)


def check_item(
    item: Mapping[str, Any],
    *,
    channels: int | None = 1,
    label_ids: Iterable[int] | None = None,
    require_label: bool = False,
    cache_dir: str | Path | None = None,
) -> list[Fault]:
    """All faults of one datalist item; each file is read once and one volume is held at a time.

    Args:
        item: ``image``: a path, or a list with one path a channel; ``label`` (optional): a path, or a class number.
        channels: what the image must have, as that many 3D files or as the last axis of one 4D file; None: any number.
        label_ids: the values that a label may hold (the keys, where a mapping is given); None: any integer.
        require_label: an item without label is a fault.
        cache_dir: where the files' SHA-256, known from this reading, are kept (see ``ssl3d.data.cache_dir``).
    """
    faults: list[Fault] = []
    images = [str(path) for path in _as_list(item["image"])]
    grid, found = None, 0
    for path in images:
        try:
            volume = _read(path, cache_dir)
            _check_intensities(volume)
            grid = _check_grid(grid, Grid.of(volume), "channels")
            found += 1 if volume.array.ndim == 3 else volume.array.shape[3]
        except BadFileError as fault:
            faults.append(Fault(path, fault.problem, fault.remedy))
    if not faults and channels is not None and found != channels:
        remedy = (
            f'Give {channels} 3D file(s) as the item\'s "image", one a channel, or choose the channels of the network'
        )
        faults.append(
            Fault(images[0], f"{found} channels (4D, or a list of files) where {channels} is expected", remedy)
        )

    ids = None if label_ids is None else {int(value) for value in label_ids}
    label = item.get("label")
    if label is None:
        if require_label:
            faults.append(Fault(images[0], "no label", "Add a label of the same name, or leave the image out"))
    elif isinstance(label, Integral):
        if ids is not None and int(label) not in ids:
            faults.append(Fault(images[0], f"label {label} is not one of {sorted(ids)}", "Correct the datalist"))
    else:
        try:
            volume = _read(str(label), cache_dir)
            _check_grid(grid, Grid.of(volume), "image and label")
            background_only = _check_label(volume, ids)
        except BadFileError as fault:
            faults.append(Fault(str(label), fault.problem, fault.remedy))
        else:
            if background_only:
                remedy = "Nothing to do if the structure is really absent"
                faults.append(Fault(str(label), "background only", remedy, fatal=False))
    return faults


def _as_list(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _read(path: str, cache_dir: str | Path | None) -> Volume:
    if not path.endswith(EXTENSIONS):
        raise BadFileError("not a NIfTI file by its name", "Convert it to .nii.gz, or correct the datalist")
    volume = read_volume(Path(path))
    remember(identity(path), volume.sha256, cache_dir)
    return volume


def _check_intensities(volume: Volume) -> None:
    low, high = volume.array.min(), volume.array.max()  # carry NaN and Inf without a copy of the volume
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadFileError("NaN or Inf among the voxels", "Replace them, for instance by numpy.nan_to_num")
    if low == high:
        raise BadFileError(f"constant image: every voxel is {low}", "Leave it out or export it again")


def _check_grid(expected: Grid | None, found: Grid, pair: str) -> Grid:
    if expected is None:
        return found
    remedy = "Resample one onto the grid of the other, labels with nearest neighbour"
    if expected.shape != found.shape:
        raise BadFileError(f"shape {found.shape} against {expected.shape}: {pair} differ", remedy)
    if np.any(np.abs(expected.affine - found.affine)[:3] > TOLERANCE * expected.spacing.min()):
        raise BadFileError(
            f"affine {found.affine[:3].tolist()} against {expected.affine[:3].tolist()}: {pair} differ", remedy
        )
    return expected


def _check_label(volume: Volume, label_ids: set[int] | None) -> bool:
    """Whether the label holds background only; raises BadFileError."""
    if volume.array.ndim == 4:
        raise BadFileError(f"4D label of shape {volume.array.shape}", "Save one 3D map of integer ids")
    found: set[float] = set()
    for plane in np.moveaxis(volume.array, 2, 0):  # plane by plane: a sort of the whole volume is slow and large
        values = np.unique(plane) * volume.slope + volume.intercept
        if not np.isfinite(values).all():
            raise BadFileError("NaN or Inf among the voxels", "Replace them by label ids")
        if np.any(values != np.rint(values)):
            raise BadFileError(
                f"non-integer label values such as {values[values != np.rint(values)][0]:g}",
                "Save integer ids; was it resampled with interpolation, or is it a probability map?",
            )
        found.update(values.tolist())
    unknown = sorted(int(value) for value in found if label_ids is not None and int(value) not in label_ids)
    if unknown:
        known = sorted(label_ids or ())
        raise BadFileError(
            f"unknown label ids {unknown[:20]}: the map has {known}", "Map the ids, or correct the label map"
        )
    return found == {0.0}
