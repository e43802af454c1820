"""Collect facts of one case: geometry, intensities, label ids, and hashes to find copies. Each file is read once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..data.checks import Fault, check_item, missing_label
from ..imaging.scan_facts import LEVELS, ScanFacts, canonical, sampled, scan_facts
from ..imaging.volume import BadFileError, Volume

PERCENTILES = LEVELS[1:-1]
FEW_IDS, LARGEST_ID, EQUAL_NEIGHBOURS = 64, 255, 0.8  # limits of label maps


class ImageFacts(NamedTuple):
    """Facts about an image file.

    Attributes:
        file: Path of the file.
        sha256: SHA-256 of its bytes.
        voxels: SHA-256 of its values in RAS order: equal for equal images, however they are stored.
        channels: Length of the fourth axis; 1 for 3D files.
        kind: Data type, such as ``"int16"``.
        axes: Directions of the stored axes, such as ``"LPS"``.
        size, spacing: Voxels and mm, from left to right, back to front, feet to head.
        percentiles: Those of ``PERCENTILES``, over at most ``SAMPLE`` voxels.
        extremes: Lowest and highest value.
        like_labels: Number of distinct values if they look like the ids of a label map; else 0.
    """

    file: str
    sha256: str
    voxels: str
    channels: int
    kind: str
    axes: str
    size: list[int]
    spacing: list[float]
    percentiles: list[float]
    extremes: list[float]
    like_labels: int

    @property
    def scan(self) -> ScanFacts:
        """Facts in the form for the checks of a run."""
        values = [self.extremes[0], *self.percentiles, self.extremes[1]]
        return ScanFacts("RAS", self.size, self.spacing, self.channels, values)


class LabelFacts(NamedTuple):
    """Facts about a label map: path, hash of its voxels, id -> number of voxels (empty if its values are no ids)."""

    file: str
    voxels: str
    ids: dict[int, int]


@dataclass
class Case:
    """One case of a data set.

    Attributes:
        name, section: Name and section of the case in the data set.
        entry: Files and other properties of the case in the data set.
        images: Facts of the image files that are whole.
        label: Facts of its label map; None if there is none.
        foreground: Percentiles 0.5 and 99.5 of the first image within its label; None if the label is empty or missing.
        faults: Faults of its files.
    """

    name: str
    section: str
    entry: Mapping[str, Any]
    images: list[ImageFacts] = field(default_factory=list)
    label: LabelFacts | None = None
    foreground: tuple[float, float] | None = None
    faults: list[Fault] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the case can be trained on."""
        return not self.broken

    @property
    def broken(self) -> set[str]:
        """Files of the case that have a fatal fault."""
        return {fault.file for fault in self.faults if fault.fatal}

    @property
    def files(self) -> list[str]:
        """Image files of the case."""
        image = self.entry["image"]
        return list(image) if isinstance(image, list) else [image]


def examine_case(
    entry: Mapping[str, Any], section: str, *, label_ids: list[int] | None = None, require_label: bool = False
) -> Case:
    """Check one entry of a data set and note what its files hold; ``check_item`` explains the arguments."""
    case = Case(str(entry["name"]), section, entry)
    images = set(case.files)
    sample: list[np.ndarray] = []  # of the first image, until its label is there

    def note(file: str, volume: Volume) -> None:
        if file in images:
            values = sampled(volume)
            case.images.append(_image_facts(file, volume, values))
            sample[:] = sample or [values]
        else:
            case.label = _label_facts(file, volume)
            labels = sampled(volume)
            if sample and sample[0].size == labels.size and np.any(labels > 0):
                low, high = np.percentile(sample[0][labels > 0], (PERCENTILES[0], PERCENTILES[-1]))
                case.foreground = (float(low), float(high))

    case.faults += check_item(entry, channels=None, label_ids=label_ids, seen=note)
    case.images = [image for image in case.images if image.file not in case.broken]
    if require_label and entry.get("label") is None:
        case.faults.append(missing_label(case.files[0]))
    return case


def _image_facts(file: str, volume: Volume, values: np.ndarray) -> ImageFacts:
    scan = scan_facts(volume, values)
    size, spacing = scan.turned("RAS")
    array = volume.array
    return ImageFacts(
        file,
        volume.sha256,
        voxel_hash(volume),
        scan.channels,
        array.dtype.newbyteorder("=").name,
        scan.axes,
        size.tolist(),
        spacing.tolist(),
        scan.values[1:-1],
        [scan.values[0], scan.values[-1]],
        _like_labels(volume, values),
    )


def _like_labels(volume: Volume, values: np.ndarray) -> int:
    """Return the number of distinct values if they look like label ids: few, whole, small, smooth; else 0."""
    found = np.unique(values)
    if not 1 < len(found) <= FEW_IDS or (found != np.rint(found)).any() or found[0] < 0 or found[-1] > LARGEST_ID:
        return 0
    equal = np.mean([np.mean(np.diff(volume.array, axis=axis) == 0) for axis in range(3)])
    return len(found) if equal > EQUAL_NEIGHBOURS else 0


def _label_facts(file: str, volume: Volume) -> LabelFacts:
    try:
        ids = volume.ids
    except BadFileError:  # which the checks report
        ids = {}
    return LabelFacts(file, voxel_hash(volume), ids)


def voxel_hash(volume: Volume) -> str:
    """Hash shape and values (as float32), axes turned to R, A, S, so that compression and header do not matter."""
    array = canonical(volume)
    digest = hashlib.sha256(repr(array.shape).encode())
    for plane in np.moveaxis(array, 2, 0):
        with np.errstate(over="ignore"):
            digest.update(volume.scaled(plane).astype(np.float32).tobytes(order="F"))
    return digest.hexdigest()
