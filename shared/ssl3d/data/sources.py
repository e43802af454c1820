"""Read the cases of a data set from its JSON file or folder, with absolute paths and unique names."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..files.texts import printable, read_json
from ..imaging.nifti import is_nifti
from .folder_list import list_folder, shortened
from .nested import endings_found
from .splits import SECTIONS, case_name

LISTS = {  # names of a section in JSON files of the Decathlon, of MONAI and of others
    "training": ("training", "train"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}
PATHS = ("image", "fixed", "moving")  # keys that mark the entries of a list as cases


UNNAMED = "unnamed"


class Source(NamedTuple):
    """Cases and properties of a data set.

    Attributes:
        name: Name of the data set.
        licence: Text of ``licence`` or ``license`` in its JSON file, else ``unknown``.
        synthetic: Whether its JSON file says ``"synthetic": true``.
        labels: Id -> name of each structure in its JSON file; empty without a JSON file.
        listed: Whether a JSON file lists the cases.
        sections: Section -> entries with ``image`` (absolute path or list of them), ``name``, optional ``label`` and
            other keys of the JSON file unchanged.
        folder: Folder of the data set.
        published_name: Name in its JSON file, given by the author, else ``unnamed``, since the name of a folder may be
            private.
    """

    name: str
    licence: str
    synthetic: bool
    labels: dict[int, str]
    listed: bool
    sections: dict[str, list[dict[str, Any]]]
    folder: Path
    published_name: str = UNNAMED


def read_source(
    folder: Path, datalist: str | Path | None = None, cache_dir: str | Path | None = None, channels: int | None = None
) -> Source:
    """Read a JSON file of the Decathlon or of MONAI, or list a folder of NIfTI files or of DICOM files.

    Args:
        folder: Folder with ``dataset.json``, or with images in ``imagesTr``, ``imagesVa``, ``imagesTs``, ``images*`` or
            directly, and labels of the same names in ``labelsTr`` or ``labels*``. For nnU-Net's ``case_0000`` files see
            ``group_channels``. Without NIfTI images there, the cases are the DICOM studies at any depth
            (``list_studies``: the image of each is its folder, its label a NIfTI file in ``labels*``), or the NIfTI
            files in case folders (``list_nested``).
        datalist: Another JSON file, absolute or relative to ``folder``; paths inside it are relative to ``folder``.
            Its lists are ``training`` (``train``), ``validation`` (``val``, ``valid``) and ``test`` (``testing``).
        cache_dir: Folder for the headers of DICOM files (see ``ssl3d.data.cache_dir``).
        channels: Number of channels that the network takes, if known; see ``group_channels``.

    Raises:
        FileNotFoundError: ``datalist`` does not exist, or there are no images.
        ValueError: the JSON file is not valid or has an unknown list; an entry lacks its image or has several labels;
            a case is listed twice; two files of a folder differ only in their ending; DICOM studies or nested images
            cannot be told apart by their folders.
        ImportError: there are DICOM files, and pydicom is not installed.
    """
    file = folder / (datalist or "dataset.json")
    if datalist and not os.path.lexists(file):
        raise FileNotFoundError(f"The datalist {file} does not exist. Give its path absolute or relative to {folder}.")
    content = read_json(file) if os.path.lexists(file) else {}
    lists = listed_sections(content, file)
    listed = bool(lists.get("training") or datalist)
    if listed:
        sections = {
            section: _entries(entries, folder, f"{file}: {section}") for section, entries in lists.items() if entries
        }
        if not sections.get("training"):
            raise ValueError(f'{file} lists nothing under "training".')
    else:
        sections = list_folder(folder, cache_dir, _declared_channels(content), channels)
        if not sections.get("training"):
            raise FileNotFoundError(
                f"No dataset.json and no .nii, .nii.gz or DICOM images in {folder}, {folder / 'images'} or "
                f"{folder / 'imagesTr'}. Put the images there, or give a datalist.{endings_found(folder)}"
            )
    _name_entries([entry for entries in sections.values() for entry in entries], folder)
    name, labels = name_of(content, folder), _labels(content.get("labels"))
    return Source(
        name,
        licence_of(content),
        content.get("synthetic") is True,
        labels,
        listed,
        sections,
        folder,
        published_name_of(content),
    )


def canonical_section(key: str) -> str | None:
    """Return the section that a key of a JSON file names; None if the key is unknown."""
    return next((section for section, names in LISTS.items() if str(key).lower() in names), None)


def listed_sections(content: Mapping[str, Any], file: Path) -> dict[str, list[Any]]:
    """Return section -> entries that the JSON file ``file`` lists.

    Raises:
        ValueError: a section is no list, or a list of cases has an unknown name.
    """
    sections: dict[str, list[Any]] = {}
    unknown = []
    for key, value in content.items():
        section = canonical_section(key)
        if section:
            if not isinstance(value, list | None):
                raise ValueError(f'{file}: "{key}" must be a list of cases, not a {type(value).__name__}.')
            sections[section] = [*sections.get(section, []), *(value or [])]
        elif isinstance(value, list) and value and all(map(_is_case, value)):
            unknown.append(f'"{key}" ({len(value)} cases)')
    if unknown:
        raise ValueError(
            f"{file} has lists of cases under names that are not known: {', '.join(unknown)}. Known are training "
            "(train), validation (val, valid) and test (testing). Rename or remove them."
        )
    return {section: sections[section] for section in SECTIONS if section in sections}


def _is_case(entry: Any) -> bool:
    if isinstance(entry, dict):
        return any(key in entry for key in PATHS)
    return isinstance(entry, str) and is_nifti(entry)


def _declared_channels(content: Mapping[str, Any]) -> int | None:
    """Count ``channel_names`` (nnU-Net v2) or ``modality`` (v1) in ``dataset.json``; None without them."""
    names = content.get("channel_names") or content.get("modality")
    return len(names) if isinstance(names, dict) and names else None


def name_of(content: Mapping[str, Any], folder: Path) -> str:
    """Return the name of a data set from its JSON file, else the name of its folder."""
    return printable(str(content.get("name") or "").strip() or folder.name)


def published_name_of(content: Mapping[str, Any]) -> str:
    """Return the name of a data set in its JSON file; ``unnamed`` without one."""
    return printable(str(content.get("name") or "").strip() or UNNAMED)


def licence_of(content: Mapping[str, Any]) -> str:
    """Return the licence of a data set from its JSON file, else ``unknown``."""
    found = (str(content.get(key) or "").strip() for key in ("licence", "license"))
    return printable(next(filter(None, found), "unknown"))


def read_labels(file: Path) -> dict[int, str]:
    """Return id -> name of each structure from a data set's JSON file; empty if the file or its labels are missing.

    Raises:
        ValueError: the file is not valid JSON; the message names it.
    """
    return _labels(read_json(file).get("labels")) if file.is_file() else {}


def _labels(labels: Any) -> dict[int, str]:
    """Return id -> name from a JSON file of the Decathlon (``{"1": "liver"}``) or of nnU-Net (``{"liver": 1}``)."""
    pairs = labels.items() if isinstance(labels, dict) else ()
    try:
        return {
            int(key): str(value) for key, value in (pair if str(pair[0]).isdigit() else pair[::-1] for pair in pairs)
        }
    except (ValueError, TypeError):  # nnU-Net's regions have several ids per name
        return {}


def _entries(listed: list[Any], folder: Path, where: str) -> list[dict[str, Any]]:
    try:
        return [_entry(entry, folder, f"{where} entry {number}") for number, entry in enumerate(listed, 1)]
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deep.") from error


def _entry(entry: Any, folder: Path, where: str) -> dict[str, Any]:
    entry = {"image": entry} if isinstance(entry, (str, list)) else entry
    image: Any = entry.get("image") if isinstance(entry, dict) else None
    paths = image if isinstance(image, list) else [image]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise ValueError(f'{where} must have an "image": a path or a list of paths, one per channel.')
    if isinstance(entry.get("label"), list):
        raise ValueError(
            f"{where} has {len(entry['label'])} labels. Several labels per case are not read: merge them into one "
            "label map."
        )
    entry = {key: _absolute(value, folder) for key, value in entry.items() if value is not None}
    absolute = [str(folder / portable(path, folder)) for path in paths]
    entry["image"] = absolute if isinstance(image, list) else absolute[0]
    return entry


def portable(path: str, folder: Path) -> str:
    """Replace Windows' ``\\`` in ``path`` by ``/``, unless a file of the given name exists."""
    if "\\" not in path or os.path.exists(folder / path):
        return path
    return re.sub(r"^(\./)+", "", path.replace("\\", "/"))


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_absolute(element, folder) for element in value]
    if isinstance(value, str):
        path = portable(value, folder)
        if is_nifti(path) or os.path.isfile(folder / path):
            return str(folder / path)
    return value


def _name_entries(entries: list[dict[str, Any]], folder: Path) -> None:
    """Give each entry a unique ``name``: its own, else that of its file, else its path if files share a name."""
    images = [entry["image"] if isinstance(entry["image"], str) else entry["image"][0] for entry in entries]
    files = Counter(case_name(image) for image in images)
    for entry, image in zip(entries, images, strict=True):
        stem = case_name(image)
        if files[stem] > 1:
            stem = os.path.relpath(Path(image).with_name(stem), folder).replace(os.sep, "_")
        entry["name"] = printable(str(entry.get("name", stem)))
    twice = [name for name, count in Counter(entry["name"] for entry in entries).items() if count > 1]
    if twice:
        raise ValueError(
            f"Cases are listed twice in {folder}: {shortened(twice)}. Training, validation and test "
            "must not share a case, and names must differ."
        )
