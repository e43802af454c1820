"""Choose the volume among the DICOM series in a folder."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from ..nifti import SPACING_RANGE
from ..volume import BadFileError
from .headers import Header

logger = logging.getLogger(__name__)

IMAGES = {
    "CT Image Storage",
    "MR Image Storage",
    "Positron Emission Tomography Image Storage",
    "Enhanced CT Image Storage",
    "Enhanced MR Image Storage",
    "Enhanced PET Image Storage",
    "Legacy Converted Enhanced CT Image Storage",
    "Legacy Converted Enhanced MR Image Storage",
    "Legacy Converted Enhanced PET Image Storage",
}
LABELS = {"Segmentation Storage", "RT Structure Set Storage", "Label Map Segmentation Storage"}
LOCALIZER = re.compile(r"locali[sz]er|scout|topogram|surview|survey", re.IGNORECASE)
PROJECTION = re.compile(r"\b(mip|min ?ip|max ?ip|projection|vrt|volume rendering)\b", re.IGNORECASE)
FEWEST = 4  # slices of a volume
FINER = 1.5  # ratio of numbers of slices above which the thin slices of a CT are preferred to the thick ones
OTHER_PLANE = 1e-2  # difference between direction cosines, far above rounding errors
WHERE = '--series of the bundle for all cases, or "series" in the entry of one in the datalist'
NIFTI_LABELS = "Convert it to a NIfTI file of the case's name in the folder labels: ssl3d reads no DICOM labels"


@dataclass(frozen=True, eq=False)
class Series:
    """Slices of one series in the order of their files; localizers of the same UID form a series of their own."""

    slices: list[Header]

    @property
    def first(self) -> Header:
        return self.slices[0]

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(header.frames for header in self.slices)

    @property
    def normals(self) -> np.ndarray:
        """Normals of the slices (orientations, 3), without near duplicates."""
        found: list[np.ndarray] = []
        for orientation in {header.orientation for header in self.slices if header.orientation}:
            normal = np.cross(orientation[:3], orientation[3:])
            if all(np.abs(normal - other).max() > OTHER_PLANE for other in found):
                found.append(normal)
        return np.array(found).reshape(-1, 3)

    @property
    def plane(self) -> str:
        """Nearest of ``axial``, ``coronal`` and ``sagittal``; empty for none or several orientations."""
        normals = self.normals
        return ("sagittal", "coronal", "axial")[int(np.abs(normals[0]).argmax())] if len(normals) == 1 else ""

    @property
    def distance(self) -> float:
        """Median distance between neighbouring slices in mm; 0 if unknown."""
        normals = self.normals
        positions = [header.position for header in self.slices if header.position]
        if len(normals) != 1 or not positions:
            return 0.0
        steps = np.diff(np.sort(np.array(positions) @ normals[0]))
        return float(np.median(steps[steps > SPACING_RANGE[0]])) if (steps > SPACING_RANGE[0]).any() else 0.0

    @property
    def excluded(self) -> str:
        """Reason why this series is no volume; empty if it may be one."""
        if self.first.kind not in IMAGES:
            return self.first.kind or "of unknown kind"
        if _is_localizer(self.first) or LOCALIZER.search(self.first.description):
            return "localizer"
        if PROJECTION.search(" ".join((*self.first.image_type, self.first.description)).replace("_", " ")):
            return "projection"
        if len(self.normals) > 1:
            return f"slices of {len(self.normals)} orientations"
        return f"fewer than {FEWEST} slices" if self.count < FEWEST else ""

    def describe(self) -> str:
        """Describe the series for a user who must choose: number, description, size, UID."""
        first = self.first
        distance = f" of {self.distance:.3g} mm" if self.distance else ""
        images = "slice" if first.kind in IMAGES else "file"
        count = f"{self.count} {images}{'s' if self.count > 1 else ''}{distance}"
        parts = [first.modality, count, self.plane, "\\".join(first.image_type[:3])]
        number = "" if first.number is None else f"{first.number} "
        return f"{number}{first.description!r} ({', '.join(filter(None, parts))}), {first.series}"


def group_series(headers: Iterable[Header]) -> list[Series]:
    """Group the readable files into series, sorted by series number."""
    groups: dict[tuple, list[Header]] = {}
    for header in headers:
        if not header.problem:
            groups.setdefault((header.series, header.kind, _is_localizer(header)), []).append(header)
    return sorted(map(Series, groups.values()), key=lambda series: (series.first.number or 0, series.first.series))


def choose_series(headers: Iterable[Header], wanted: str | None = None) -> Series:
    """Choose the volume among the files of a case, and log the reason.

    Localizers, projections such as MIPs, secondary captures, dose reports and other objects that are no volume are
    never chosen. Original images are preferred to derived ones. For CT, axial slices are preferred, then a series with
    at least 1.5 times as many slices as any other (thin slices beside thick ones). MR contrasts, phases of equal
    sampling and the parts of a PET-CT are left for the user to choose from.

    Args:
        headers: Headers of one case.
        wanted: A SeriesInstanceUID, or a description, in which ``*`` matches any text and letter case is ignored.

    Raises:
        BadFileError: there is no volume, no series matches ``wanted``, or several do; the message lists the series.
    """
    wanted = None if wanted is None else str(wanted)  # command lines and JSON files make numbers of some descriptions
    every = group_series(headers)
    series = [one for one in every if wanted is None or _matches(one.first, wanted)]
    if not series:
        remedy = f"Correct {WHERE}" if every else "Correct the path in the datalist, or dataset_dir"
        raise BadFileError(
            f"no series {wanted!r} among{_lines(every)}" if every else "a folder without DICOM files", remedy
        )
    usable = [one for one in series if not one.excluded]
    if not usable and len(series) == 1 and series[0].first.kind in IMAGES:
        usable = series  # selected by the user, or the only series in the folder
    if not usable:
        labels = all(one.first.kind in LABELS for one in series)
        remedy = NIFTI_LABELS if labels else f"To use one of them anyway, select it with {WHERE}, or leave it out"
        raise BadFileError(f"no volume of CT, MR or PET among{_lines(series)}", remedy)
    best = _preferred(usable)
    if len(best) > 1:
        raise BadFileError(
            f"{len(best)} series may be meant:{_lines(best)}",
            f"Select one by its SeriesInstanceUID or description (with * for any text), with {WHERE}",
        )
    if len(every) > 1:
        others = [one for one in every if one is not best[0]]
        logger.info("Taken: %s. Left out:%s", best[0].describe(), _lines(others))
    return best[0]


def _preferred(usable: Sequence[Series]) -> list[Series]:
    """Return the best series, or all series that qualify equally."""
    best = [one for one in usable if one.first.image_type[:1] != ("DERIVED",)] or list(usable)
    if {one.first.modality for one in best} != {"CT"}:
        return best
    best = [one for one in best if one.plane == "axial"] or best
    best.sort(key=lambda one: -one.count)
    return best[:1] if len(best) == 1 or best[0].count >= FINER * best[1].count else best


def _matches(header: Header, wanted: str) -> bool:
    description = header.description.lower()
    return wanted == header.series or wanted.lower() == description or fnmatchcase(description, wanted.lower())


def _is_localizer(header: Header) -> bool:
    return "LOCALIZER" in header.image_type


def _lines(series: Iterable[Series]) -> str:
    return indented([f"{one.describe()}{f': {one.excluded}' if one.excluded else ''}" for one in series])


def indented(lines: Sequence[str], most: int | None = None) -> str:
    """Indent lines below the first line of a message; show at most ``most``, and the number of the others."""
    left = 0 if most is None else max(0, len(lines) - most)
    return "".join(f"\n    {line}" for line in [*lines[:most], *([f"and {left} more"] if left else [])])
