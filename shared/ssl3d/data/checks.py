"""Check one case: its image, its label, and whether the two match."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files.content import identity, remember
from ..files.texts import printable
from ..imaging.dicom.volume import read_series
from ..imaging.grid import Grid
from ..imaging.nifti import SHIFT, is_nifti, read_volume, short
from ..imaging.volume import BadFileError, Volume
from .label_ids import keep_ids

RESAMPLE = "Resample one onto the grid of the other, labels with nearest neighbour"


class Fault(NamedTuple):
    """Fault of a file.

    Attributes:
        file: Path of the file.
        problem: Short description of the fault.
        remedy: Advice on how to fix the fault.
        fatal: False for a fault that only causes a warning.
    """

    file: str
    problem: str
    remedy: str
    fatal: bool = True

    def __str__(self) -> str:
        return printable(f"{self.file}: {self.problem}. {self.remedy}.")


def check_item(
    item: Mapping[str, Any],
    *,
    channels: int | None = 1,
    label_ids: Iterable[int] | None = None,
    require_label: bool = False,
    cache_dir: str | Path | None = None,
    seen: Callable[[str, Volume], None] | None = None,
) -> list[Fault]:
    """Find all faults of a datalist item. Each file is read once, and one volume is in memory at a time.

    Args:
        item: Item with ``image``: a path, or a list with one path per channel, of NIfTI files or of DICOM folders;
            ``series`` (optional): the DICOM series to read; ``label`` (optional): a class number, or the path of a
            label map, whose axes may be stored in another order or direction than the image's.
        channels: Required number of channels, as 3D files or as the last axis of one 4D file; None: any number.
        label_ids: Values that a label may hold (the keys of a mapping); None: any integer from 0.
        require_label: Whether an item without label is a fault.
        cache_dir: Folder that keeps the SHA-256 of the files read here (see ``ssl3d.data.cache_dir``).
        seen: Function to call with the path and the volume of each readable file, before its values are checked.
    """
    faults: list[Fault] = []

    def checked(path: str, check: Callable[[Volume], Any]) -> Any:
        """Return the result of ``check`` for a file; None if the file has a fault."""
        try:
            volume = _read(path, item.get("series"), cache_dir)
            if seen is not None:
                seen(path, volume)
            result = check(volume)
            if volume.doubt is not None:
                faults.append(Fault(path, volume.doubt.problem, volume.doubt.remedy, fatal=False))
            return result
        except BadFileError as fault:
            faults.append(Fault(path, fault.problem, fault.remedy))
            return None

    images = [str(path) for path in _as_list(item["image"])]
    parts: list[Part] = []
    for path in images:
        part = checked(path, partial(_check_image, first=parts[0] if parts else None))
        parts += [part] if part else []
    found = sum(part.channels for part in parts)
    if len(parts) == len(images) and channels is not None and found != channels:
        remedy = (
            f'Give {channels} 3D file(s) as the item\'s "image", one per channel, or set the channels of the network'
        )
        problem = f"{found} channels (4D, or a list of files) where {channels} is expected"
        faults.append(Fault(images[0], problem, remedy))

    ids = None if label_ids is None else {int(value) for value in label_ids}
    label = item.get("label")
    if label is None:
        if require_label:
            faults.append(missing_label(images[0]))
    elif isinstance(label, Integral):
        if ids is not None and int(label) not in ids:
            faults.append(Fault(images[0], f"label {label} is not one of {sorted(ids)}", "Correct the datalist"))
    else:
        found_ids = checked(str(label), lambda volume: _check_label(volume, parts[0].grid if parts else None, ids))
        if found_ids is not None:
            keep_ids(str(label), found_ids[0], cache_dir)
            faults += [Fault(str(label), *doubt, fatal=False) for doubt in _label_doubts(*found_ids)]
    return faults


def _label_doubts(ids: set[int], uneven: float | None) -> Iterator[tuple[str, str]]:
    if ids == {0}:
        yield "background only", "No action is needed if the structure is really absent"
    if uneven is not None:
        problem = f"label values such as {uneven:.8g} are rounded to whole numbers"
        yield problem, "No action is needed; integers with slope 1 and intercept 0 avoid this warning"


def missing_label(image: str) -> Fault:
    """Return the fault of an image that should have a label."""
    return Fault(image, "no label", "Add a label of the same name, or leave the image out")


class Part(NamedTuple):
    """One file of an image: its grid, its channels, and whether these are a fourth axis."""

    grid: Grid
    channels: int
    is_4d: bool


def _as_list(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _read(path: str, series: str | None, cache_dir: str | Path | None) -> Volume:
    if is_nifti(path):
        volume = read_volume(Path(path))
    elif os.path.isdir(path):
        volume = read_series(Path(path), series, cache_dir)
    else:
        raise BadFileError("not a NIfTI file by its name", "Convert it to .nii.gz, or correct the datalist")
    if series is None:  # else the folder may hold other series as well
        remember(identity(path), volume.sha256, cache_dir)
    return volume


def _check_image(volume: Volume, first: Part | None) -> Part:
    """Check one image file against the item's ``first`` file, with which MONAI stacks it; raise BadFileError."""
    stored = np.array([volume.array.min(), volume.array.max()])  # NaN and Inf show here, without a copy of the volume
    if not np.isfinite(stored).all():
        raise BadFileError("NaN or Inf among the voxels", "Replace them, for instance by numpy.nan_to_num")
    real = volume.scaled(stored)
    with np.errstate(over="ignore"):
        low, high = real.astype(np.float32)  # MONAI loads float32
    if not (np.isfinite(low) and np.isfinite(high)):
        problem = f"values such as {max(real, key=abs):g}, which float32 cannot hold: MONAI loads Inf"
        raise BadFileError(problem, "Clip or rescale them")
    if low == high:
        raise BadFileError(f"constant image: every voxel is {low:g}", "Leave it out or export it again")
    is_4d = volume.array.ndim == 4
    if first is None:
        return Part(volume.grid, volume.array.shape[3] if is_4d else 1, is_4d)
    _check_shape(first.grid, volume.grid, "channels")
    if not np.allclose(volume.grid.affine, first.grid.affine):  # MONAI's own test, stricter than that of this package
        raise BadFileError(
            _difference(first.grid, volume.grid, "channels"), "Save them with one affine, after resampling if need be"
        )
    if is_4d or first.is_4d:
        raise BadFileError("a 4D file among several files: MONAI cannot stack them", "Give 3D files, one per channel")
    return Part(volume.grid, 1, is_4d)


def _check_label(volume: Volume, image: Grid | None, label_ids: set[int] | None) -> tuple[set[int], float | None]:
    """Return the label ids, and a value that gets rounded to an id, if any; raise BadFileError for a bad label."""
    if image is not None:
        label = volume.grid.turned(image.axes)  # some programs flip the stored axes; the bundles reorient both files
        _check_shape(image, label, "image and label")
        if not image.shift(label.affine) < SHIFT:
            raise BadFileError(_difference(image, volume.grid, "image and label"), RESAMPLE)
    found = set(volume.ids)
    unknown = sorted(found - label_ids if label_ids is not None else {value for value in found if value < 0})
    if unknown:
        if label_ids is None:
            raise BadFileError(f"unknown label ids {unknown[:20]}: ids begin at 0", "Map the ids")
        raise BadFileError(
            f"unknown label ids {unknown[:20]}: expected {sorted(label_ids)}",
            "To train on other classes, name all of them: --label_names head,body,tail for ids 1, 2, 3. Else correct "
            "the label map",
        )
    return found, volume.uneven


def _check_shape(expected: Grid, found: Grid, pair: str) -> None:
    if expected.shape != found.shape:
        raise BadFileError(f"shape {found.shape} against {expected.shape}: {pair} differ", RESAMPLE)


def _difference(expected: Grid, found: Grid, pair: str) -> str:
    turned = found.turned(expected.axes)
    facts = {
        "axes": (found.axes, expected.axes),
        "spacing": (short(turned.spacing), short(expected.spacing)),
        "origin": (short(turned.affine[:3, 3]), short(expected.affine[:3, 3])),
    }
    parts = [f"{name} {one} against {other}" for name, (one, other) in facts.items() if one != other]
    return f"affine: {', '.join(parts) or 'small differences'}: {pair} differ"
