"""What a data set's folder or JSON file lists: cases with absolute paths and unique names."""

import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .dicom_cases import list_studies
from .nifti import CONVERT, is_nifti, is_other_image
from .splits import SECTIONS, case_name
from .texts import printable, read_json

logger = logging.getLogger(__name__)

CHANNEL = re.compile(r"(.+)_(\d{4})")  # nnU-Net: case_0000.nii.gz, case_0001.nii.gz are the channels of one case
SHOWN = 10  # names in a message


class Source(NamedTuple):
    """A data set as its files list it.

    Attributes:
        name: of the data set.
        licence: as its JSON file says under ``licence`` or ``license``; ``unknown`` where it does not.
        synthetic: whether its JSON file says ``"synthetic": true``.
        labels: id -> name of each structure, as its JSON file says; empty where it does not.
        listed: whether a JSON file lists the cases, not a folder.
        sections: section -> entries with ``image`` (absolute path or list of them), ``name``, optional ``label`` and
            whatever else the JSON gives; a folder lists all cases under ``training``.
    """

    name: str
    licence: str
    synthetic: bool
    labels: dict[int, str]
    listed: bool
    sections: dict[str, list[dict[str, Any]]]


def read_source(folder: Path, datalist: str | Path | None = None, cache_dir: str | Path | None = None) -> Source:
    """Read a Decathlon JSON file, or list a folder of NIfTI files or of DICOM files.

    Args:
        folder: holds ``dataset.json``, or images in ``imagesTr``, ``images*`` or the folder itself, with labels of the
            same names in ``labelsTr`` or ``labels*``; nnU-Net's ``case_0000`` files are taken as channels. Where there
            are no NIfTI images, DICOM files at any depth below are: the studies are the cases (``list_studies`` says
            how they are named), the image of each is its folder, its label a NIfTI file in ``labels*``.
        datalist: another JSON file, absolute or relative to ``folder``; paths inside it are relative to ``folder``.
        cache_dir: where the headers of DICOM files are kept (see ``ssl3d.data.cache_dir``).

    Raises:
        FileNotFoundError: ``datalist`` does not exist, or there are no images.
        ValueError: the JSON file is not valid or an entry lacks its image; a case is listed twice; two files
            of a folder differ in their ending alone; folders do not tell DICOM studies apart.
        ImportError: there are DICOM files, and pydicom is not installed.
    """
    file = folder / (datalist or "dataset.json")
    if datalist and not os.path.lexists(file):
        raise FileNotFoundError(f"The datalist {file} does not exist. Give its path absolute or relative to {folder}.")
    content = read_json(file) if os.path.lexists(file) else {}
    listed = bool(content.get("training") or datalist)
    if listed:
        sections = {
            section: _entries(content[section], folder, f"{file}: {section}")
            for section in SECTIONS
            if content.get(section)
        }
        if not sections.get("training"):
            raise ValueError(f'{file} lists nothing under "training".')
    else:
        sections = {"training": list(_list_folder(folder, cache_dir))}
        if not sections["training"]:
            raise FileNotFoundError(
                f"No dataset.json and no .nii, .nii.gz or DICOM images in {folder}, {folder / 'images'} or "
                f"{folder / 'imagesTr'}. Put the images there, or give a datalist."
            )
    _name_entries([entry for entries in sections.values() for entry in entries], folder)
    name, labels = name_of(content, folder), _labels(content.get("labels"))
    return Source(name, licence_of(content), content.get("synthetic") is True, labels, listed, sections)


def name_of(content: Mapping[str, Any], folder: Path) -> str:
    """The name of a data set, as its JSON file says; that of its folder where it does not."""
    return printable(str(content.get("name") or "").strip() or folder.name)


def licence_of(content: Mapping[str, Any]) -> str:
    """The licence of a data set, as its JSON file says; ``unknown`` where it does not."""
    found = (str(content.get(key) or "").strip() for key in ("licence", "license"))
    return printable(next(filter(None, found), "unknown"))


def read_labels(file: Path) -> dict[int, str]:
    """Return id -> name of each structure, as a data set's JSON file says; empty where it does not or is not there.

    Raises:
        ValueError: the file is not valid JSON; the message names it.
    """
    return _labels(read_json(file).get("labels")) if file.is_file() else {}


def _labels(labels: Any) -> dict[int, str]:
    """Id -> name, as a JSON file of the Decathlon (``{"1": "liver"}``) or of nnU-Net (``{"liver": 1}``) says."""
    pairs = labels.items() if isinstance(labels, dict) else ()
    try:
        return {
            int(key): str(value) for key, value in (pair if str(pair[0]).isdigit() else pair[::-1] for pair in pairs)
        }
    except (ValueError, TypeError):  # nnU-Net's regions: several ids a name
        return {}


def _entries(listed: Any, folder: Path, where: str) -> list[dict[str, Any]]:
    if not isinstance(listed, list):
        raise ValueError(f"{where} must be a list of cases, not a {type(listed).__name__}.")
    try:
        return [_entry(entry, folder, f"{where} entry {number}") for number, entry in enumerate(listed, 1)]
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deep.") from error


def _entry(entry: Any, folder: Path, where: str) -> dict[str, Any]:
    entry = {"image": entry} if isinstance(entry, (str, list)) else entry
    image: Any = entry.get("image") if isinstance(entry, dict) else None
    paths = image if isinstance(image, list) else [image]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise ValueError(f'{where} must have an "image": a path or a list of paths, one a channel.')
    entry = {key: _absolute(value, folder) for key, value in entry.items() if value is not None}
    absolute = [str(folder / path) for path in paths]
    entry["image"] = absolute if isinstance(image, list) else absolute[0]
    return entry


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_absolute(element, folder) for element in value]
    if isinstance(value, str) and (is_nifti(value) or os.path.isfile(folder / value)):
        return str(folder / value)
    return value


def _images(*folders: Path) -> dict[str, Path]:
    """Case name -> file, of the NIfTI files that are not hidden (macOS leaves ``._x.nii.gz`` beside x)."""
    files = sorted(file for folder in folders for file in folder.iterdir())
    files = [file for file in files if is_nifti(file) and file.name[0] != "."]
    names = Counter(map(case_name, files))
    twice = [str(file) for file in files if names[case_name(file)] > 1]
    if twice:
        more = f" and {len(twice) - SHOWN} more" if len(twice) > SHOWN else ""
        raise ValueError(
            f"Files that are named alike but for their folder or ending: {', '.join(twice[:SHOWN])}{more}. Remove or "
            "rename what is not meant, or list the cases in a dataset.json."
        )
    return {case_name(file): file for file in files}


def unread_images(folder: Path, with_nifti: bool = True) -> list[Path]:
    """Files of a folder that look like images of formats that are not read there; DICOM is, where no NIfTI is."""
    files = sorted(file for file in folder.iterdir() if is_other_image(file) and file.name[0] != ".")
    return [file for file in files if with_nifti or file.suffix.lower() not in (".dcm", ".ima")]


@cache  # said once for a training, which lists the folder for each section
def _say_unread(folder: Path, with_nifti: bool) -> None:
    files = unread_images(folder, with_nifti)
    if files:
        more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        logger.warning(
            "%d file(s) in %s look like images and are not read: %s%s. %s.",
            len(files),
            printable(folder),
            ", ".join(printable(file.name) for file in files[:SHOWN]),
            more,
            CONVERT,
        )


def _list_folder(folder: Path, cache_dir: str | Path | None) -> Iterator[dict[str, Any]]:
    if (folder / "imagesTr").is_dir():
        image_folders = [folder / "imagesTr"]
    else:
        image_folders = sorted(path for path in folder.glob("images*") if path.is_dir()) or [folder]
    for image_folder in image_folders:
        own = [folder / image_folder.name.replace("images", "labels", 1)]
        label_folders = [path for path in (own if image_folder != folder else folder.glob("labels*")) if path.is_dir()]
        labels = _images(*label_folders)
        images = _images(image_folder)
        _say_unread(image_folder, bool(images))
        if not images:
            for name, path in list_studies(image_folder, cache_dir):
                yield {"image": str(path), "name": name, **({"label": str(labels[name])} if name in labels else {})}
        cases: dict[str, list[str]] = defaultdict(list)
        by_channel = bool(images) and all(CHANNEL.fullmatch(name) for name in images)
        for name, file in images.items():
            cases[name[:-5] if by_channel else name].append(str(file))
        for name, files in cases.items():
            entry: dict[str, Any] = {"image": files if len(files) > 1 else files[0]}
            if name in labels:
                entry["label"] = str(labels[name])
            if by_channel:
                entry["name"] = name
            yield entry


def _name_entries(entries: list[dict[str, Any]], folder: Path) -> None:
    """Give each entry a unique ``name``: its own, else its file's, else its path's where files share a name."""
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
            f"Cases are listed twice in {folder}: {', '.join(map(str, twice[:SHOWN]))}. Training, validation and test "
            "must not share a case, and names must differ."
        )
