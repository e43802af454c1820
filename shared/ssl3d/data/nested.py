"""List NIfTI files in nested folders: one image per case folder, as in BIDS, KiTS and TotalSegmentator."""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..files.walk import walk_files
from ..imaging.nifti import OTHERS, is_nifti
from .patients import VISIT
from .splits import case_name

logger = logging.getLogger(__name__)

LABEL = re.compile(
    r"(^|[_.-])(seg|dseg|segs|segmentation|label|labels|labelmap|mask|aseg|gt|groundtruth)\d*($|[_.-])", re.I
)
LABEL_FOLDER = re.compile(r"segmentations?|labels?.*|masks?", re.IGNORECASE)
DATATYPES = {"anat", "func", "dwi", "pet", "fmap", "perf", "eeg", "meg", "ct", "mr", "mri"}  # folders of BIDS and alike
DERIVED = {"derivatives", "sourcedata", "code", "stimuli"}  # folders of BIDS that hold no scans of the data set


def list_nested(folder: Path, left_out: Collection[Path] = ()) -> list[dict[str, Any]]:
    """List the NIfTI files below ``folder``, if each case has a folder of its own with a single image.

    A case is named after its folders, with as many levels as it takes to tell cases apart: ``sub-01``, ``case_00000``,
    ``patient01_before``. Files named like a segmentation, and files in folders ``segmentations``, ``labels`` or
    ``masks``, are no images. A single such file beside the image is its label map.

    Args:
        folder: Folder without NIfTI files of its own.
        left_out: Folders to ignore, such as those of label maps.

    Returns:
        Entries with ``image``, ``name`` and, if there is one, ``label``; empty if there are no NIfTI files.

    Raises:
        ValueError: a case has several images, and it is not clear which one to read.
    """
    images: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    labels: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for files in walk_files(folder):
        parts = files[0].parent.relative_to(folder).parts
        if DERIVED & set(parts) or any(files[0].parent == place or place in files[0].parents for place in left_out):
            continue
        inner = next((level for level, part in enumerate(parts) if level and LABEL_FOLDER.fullmatch(part)), None)
        for file in files:
            if is_nifti(file):
                is_label = inner is not None or LABEL.search(case_name(file))
                (labels if is_label else images)[_case(parts[:inner])].append(file)
    if not images:
        return []
    levels = Counter(own[:level] for own in images for level in range(1, len(own) + 1))
    cases: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for own, files in images.items():
        level = next((level for level in range(1, len(own) + 1) if levels[own[:level]] == 1), len(own))
        cases[own[:level]] += files
    _refuse_unclear(cases, folder)
    entries = []
    for own, files in sorted(cases.items()):
        entry = {"image": str(files[0]), "name": "_".join(own) or folder.name}
        maps = [file for place, found in labels.items() if place[: len(own)] == own for file in found]
        if len(maps) == 1:
            entry["label"] = str(maps[0])
        entries.append((entry, maps))
    several = [maps for _, maps in entries if len(maps) > 1]
    if several:
        logger.warning(
            "%d case(s) have several label files (%d beside the first image, such as %s), which are not read. Merge "
            "them into one label map per case to train on them.",
            len(several),
            len(several[0]),
            several[0][0],
        )
    logger.info(
        "%s: %d NIfTI images in folders of their own, each a case named by its folder, such as %s (%s).",
        folder,
        len(entries),
        entries[0][0]["name"],
        entries[0][0]["image"],
    )
    return [entry for entry, _ in entries]


def _case(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the folders of a case, without a last folder that names the kind of data."""
    return parts[:-1] if len(parts) > 1 and parts[-1].lower() in DATATYPES else parts


def _refuse_unclear(cases: dict[tuple[str, ...], list[Path]], folder: Path) -> None:
    several = [own for own, files in cases.items() if len(files) > 1]
    last = Counter(own[-1] for own in cases if len(own) > 1)
    kinds = [name for name, count in last.items() if count > 1 and not VISIT.fullmatch(re.split(r"[-_]", name)[0])]
    if not (several or kinds):
        return
    count = sum(map(len, cases.values()))
    first = min(min(files) for own, files in cases.items() if own in several or not several)
    reason = (
        f"{len(several)} folder(s) hold more than one, such as {folder.joinpath(*several[0])}"
        if several
        else f"each case has several folders, such as {kinds[0]}"
    )
    raise ValueError(
        f"{count} NIfTI files lie deeper in {folder}, for example {first.relative_to(folder)}, and {reason}, so "
        'that it is not clear which image is a case. List the cases in a dataset.json: {"training": [{"image": '
        f'"{first.relative_to(folder)}"}}, ...]}}, or put one image per case into {folder / "images"}.'
    )


def endings_found(folder: Path) -> str:
    """Describe in a sentence the images of other formats below ``folder``; empty if there are none."""
    found = Counter(
        ending
        for files in walk_files(folder)
        for file in files
        for ending in OTHERS
        if file.name.lower().endswith(ending)
    )
    if not found:
        return ""
    listed = ", ".join(f"{count} {ending}" for ending, count in found.most_common())
    return f" Found instead: {listed}. Convert them to .nii.gz, for instance with SimpleITK."
