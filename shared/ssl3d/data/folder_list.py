"""List a folder that has no JSON file: find images, labels and channels, and the section of each case."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..files.texts import printable
from ..imaging.dicom.cases import list_studies
from ..imaging.nifti import CONVERT, is_nifti, is_other_image
from .channels import group_channels
from .nested import list_nested
from .splits import SECTIONS, case_name

logger = logging.getLogger(__name__)

SHOWN = 10  # names in a message
ENDINGS = {  # of folders such as imagesTr
    "training": r"tr|train|training",
    "validation": r"va|val|valid|validation",
    "test": r"ts|te|test|testing",
}


def list_folder(
    folder: Path,
    cache_dir: str | Path | None = None,
    declared_channels: int | None = None,
    expected_channels: int | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """List the images of a folder by section: section -> entries.

    ``imagesTr`` or other folders ``images*`` are for training, ``imagesVa`` (``imagesVal``) for validation and
    ``imagesTs`` for test; labels of the same names lie in ``labels*``. A folder whose only images are those of one
    section, and a folder without ``images*``, hold all cases.

    Args:
        folder: Folder of the data set.
        cache_dir: See ``list_studies``.
        declared_channels: Number of channels that the data set declares, see ``group_channels``.
        expected_channels: Number of channels that the network takes, see ``group_channels``.

    Raises:
        ValueError, FileNotFoundError, ImportError: See ``nifti_files``, ``list_studies`` and ``list_nested``.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    folders = _image_folders(folder)
    for section, places in folders.items():
        entries: list[dict[str, Any]] = []
        for place in places:
            entries += list(_list_images(place, folder, cache_dir, declared_channels, expected_channels))
        if entries:
            found[section] = entries
    _tell_apart([entry for entries in found.values() for entry in entries])
    if found and not folders["training"]:  # a folder with one section only, as for inference
        return {"training": [entry for entries in found.values() for entry in entries]}
    return found


def _tell_apart(entries: list[dict[str, Any]]) -> None:
    """Prefix case names that occur in several folders, such as ``imagesTr`` and ``imagesTs``, with the folder."""
    given = Counter(entry["name"] for entry in entries if "name" in entry)
    for entry in entries:
        if given[entry.get("name")] > 1:
            image = entry["image"] if isinstance(entry["image"], str) else entry["image"][0]
            entry["name"] = f"{Path(image).parent.name}_{entry['name']}"


def _image_folders(folder: Path) -> dict[str, list[Path]]:
    places = sorted(path for path in folder.glob("images*") if path.is_dir())
    sections = {section: [p for p in places if _is_for(p, section)] for section in SECTIONS}
    others = [path for path in places if not any(path in found for found in sections.values())]
    if sections["training"] and others:
        names = ", ".join(path.name for path in others)
        logger.warning("%s: %s not read, since imagesTr holds the cases. List them in a dataset.json.", folder, names)
    sections["training"] = sections["training"] or others
    return sections if any(sections.values()) else {"training": [folder]}


def _is_for(path: Path, section: str) -> bool:
    return re.fullmatch(rf"images[_-]?({ENDINGS[section]})", path.name, re.IGNORECASE) is not None


def _list_images(
    place: Path, folder: Path, cache_dir: str | Path | None, declared: int | None, expected: int | None
) -> Iterator[dict[str, Any]]:
    own = [folder / place.name.replace("images", "labels", 1)]
    label_folders = [path for path in (own if place != folder else folder.glob("labels*")) if path.is_dir()]
    labels = nifti_files(label_folders)
    images = nifti_files([place])
    _say_unread(place, bool(images))
    if not images:
        studies = list_studies(place, cache_dir)
        for name, path, patient in studies:
            known = {"patient": patient} if patient else {}
            yield _labelled({"image": str(path), "name": name, **known}, labels)
        if not studies:
            for nested in list_nested(place, label_folders):
                yield _labelled(nested, labels)
    for name, files in group_channels(images, labels, declared, expected).items():
        paths = [str(file) for file in files]
        entry: dict[str, Any] = {"image": paths if len(paths) > 1 else paths[0]}
        yield _labelled({**entry, "name": name} if name != case_name(paths[0]) else entry, labels, name)


def _labelled(entry: dict[str, Any], labels: dict[str, Path], name: str | None = None) -> dict[str, Any]:
    label = labels.get(entry["name"] if name is None else name)
    return entry if label is None else {**entry, "label": str(label)}


def nifti_files(folders: Iterable[Path]) -> dict[str, Path]:
    """Map case names to NIfTI files. Hidden files are ignored (macOS writes ``._x.nii.gz`` beside ``x.nii.gz``).

    Raises:
        ValueError: two files differ only in their folder or ending.
    """
    files = sorted(file for folder in folders for file in folder.iterdir())
    files = [file for file in files if is_nifti(file) and file.name[0] != "."]
    names = Counter(map(case_name, files))
    twice = [str(file) for file in files if names[case_name(file)] > 1]
    if twice:
        raise ValueError(
            f"Files of the same name that differ only in folder or ending: {shortened(twice)}. Remove or "
            "rename the files that do not belong, or list the cases in a dataset.json."
        )
    return {case_name(file): file for file in files}


def unread_images(folder: Path, with_nifti: bool = True) -> list[Path]:
    """List image files of other formats in a folder. DICOM files are read, unless the folder has NIfTI files."""
    files = sorted(file for file in folder.iterdir() if is_other_image(file) and file.name[0] != ".")
    return [file for file in files if with_nifti or file.suffix.lower() not in (".dcm", ".ima")]


@cache  # warn once, although a training lists the folder for each section
def _say_unread(folder: Path, with_nifti: bool) -> None:
    files = unread_images(folder, with_nifti)
    if files:
        logger.warning(
            "%d file(s) in %s look like images and are not read: %s. %s.",
            len(files),
            printable(folder),
            shortened([printable(file.name) for file in files]),
            CONVERT,
        )


def shortened(names: Sequence[str]) -> str:
    """Join at most ``SHOWN`` names, and say how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
