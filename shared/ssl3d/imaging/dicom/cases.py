"""Find the cases in a folder of DICOM files, and make a folder with the chosen series of each."""

import errno
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...files import folders
from ...files.content import identity
from ..volume import BadFileError
from .headers import Header, read_headers
from .series import LABELS, NIFTI_LABELS, group_series, indented
from .volume import find_volume

logger = logging.getLogger(__name__)

SHOWN = 20  # lines in a message


class Study(NamedTuple):
    """A case of DICOM files.

    Attributes:
        name: Name of the case.
        folder: Folder of its files.
        patient: Digest of the PatientID. Empty if the PatientID does not help to group studies: all studies have the
            same or none, as after anonymisation, or no two studies share one.
    """

    name: str
    folder: Path
    patient: str = ""


def list_studies(folder: Path, cache_dir: str | Path | None = None) -> list[Study]:
    """List each study that holds a volume, and each folder of damaged files, as a case.

    A case is named after its folders below ``folder``, with as many levels as it takes to tell the studies apart:
    ``patient01`` if each folder ``patient*`` holds one study, else ``patient01_before`` and ``patient01_after``. A
    single study whose files lie directly in ``folder`` gets its name. Studies without a volume are left out with a
    warning.

    Raises:
        FileNotFoundError: there are DICOM files, and no volume among them.
        ValueError: the files of several studies lie in one folder.
        ImportError: there are DICOM files, and pydicom is not installed.
    """
    studies: dict[str, list[Header]] = defaultdict(list)
    damaged: list[Header] = []
    for header in read_headers(folder, cache_dir):
        if header.problem:
            damaged.append(header)
        else:
            studies[header.study].append(header)
    volumes, left_out = {}, []
    for study, headers in studies.items():
        series = group_series(headers)
        if all(one.excluded for one in series):
            left_out += [f"{os.path.dirname(one.first.path)}: {one.describe()}: {one.excluded}" for one in series]
        else:
            volumes[study] = headers
    cases = _named(volumes, folder)
    for place in sorted({Path(header.path).parent for header in damaged}):
        if not any(case.folder == place or case.folder in place.parents for case in cases):
            cases.append(Study("_".join(place.relative_to(folder).parts) or folder.name, place))
    text = indented(left_out)
    if left_out and not cases:
        labels_only = all(header.kind in LABELS for headers in studies.values() for header in headers)
        remedy = f"\n{NIFTI_LABELS}." if labels_only else ""
        raise FileNotFoundError(f"No volume of CT, MR or PET among the DICOM files in {folder}:{text}{remedy}")
    if left_out:
        logger.warning("Left out, since they are no volumes of CT, MR or PET:%s", text)
    return cases


def _named(studies: Mapping[str, Sequence[Header]], folder: Path) -> list[Study]:
    parts = {}
    for study, headers in studies.items():
        common = Path(os.path.commonpath([os.path.dirname(header.path) for header in headers]))
        parts[study] = common.relative_to(folder).parts
    shared = Counter(own[:level] for own in parts.values() for level in range(1, len(own) + 1))
    patients = {study: headers[0].patient for study, headers in studies.items()}
    told = 1 < len(set(patients.values())) < len(studies) and all(patients.values())
    cases = []
    for study, own in parts.items():
        level = next((level for level in range(1, len(own) + 1) if shared[own[:level]] == 1), None)
        if level is None and len(parts) > 1:
            mixed = [studies[one] for one, other in parts.items() if other[: len(own)] == own]
            listed = [series.describe() for headers in mixed for series in group_series(headers)]
            raise ValueError(
                f"The files of several studies lie in {folder.joinpath(*own)}, so that folders do not tell them apart:"
                + indented(listed, SHOWN)
                + "\nPut each study into a folder of its own, or list the cases in a JSON file, each with "
                '"name", "image" (the folder) and "series" (the SeriesInstanceUID).'
            )
        name = "_".join(own[:level]) or folder.name
        cases.append(Study(name, folder.joinpath(*own[:level]), patients[study] if told else ""))
    return sorted(cases)


def with_series(item: dict[str, Any], series: str | None, cache_dir: str | Path | None = None) -> dict[str, Any]:
    """Return the item with each folder of DICOM files replaced by the folder of the chosen series.

    If no series can be chosen, the item keeps its folder, and the validation reports it with all other faults.

    Args:
        item: Item with ``image`` (path, or list of paths, one per channel), ``name`` and, optionally, ``series``.
        series: Series for items without ``series``, see ``choose_series``.
        cache_dir: See ``series_folder``.

    Raises:
        ImportError, OSError: see ``series_folder``.
    """
    images = item["image"] if isinstance(item["image"], list) else [item["image"]]
    if not any(map(os.path.isdir, images)):
        return item
    item = {"series": series, **item}
    try:
        paths = [str(series_folder(Path(image), item["name"], item["series"], cache_dir)) for image in images]
    except BadFileError:
        return item
    del item["series"]
    return {**item, "image": paths if isinstance(item["image"], list) else paths[0]}


def series_folder(folder: Path, name: str, wanted: str | None = None, cache_dir: str | Path | None = None) -> Path:
    """Make a folder, named by the case, that links to the files of one series in the order of their positions.

    The folder serves as the path of the case's image: any program can read it, the path changes when a file changes,
    and MONAI names results after it (without the ending ``.dicom``).

    Args:
        folder: Folder of the case.
        name: Name of the case.
        wanted: Series to choose, see ``choose_series``.
        cache_dir: Parent of the new folder, see ``ssl3d.data.cache_dir``.

    Raises:
        BadFileError: see ``find_volume``.
        ImportError: pydicom is not installed, or no decoder for the images' compression.
        OSError: no links can be made there.
    """
    slices, _ = find_volume(folder, wanted, cache_dir)
    files = [os.path.abspath(header.path) for header in slices]
    key = hashlib.sha256(json.dumps([identity(file) for file in files]).encode()).hexdigest()[:20]
    target = folders.cache_dir(cache_dir) / "dicom" / key / f"{name.replace(os.sep, '_')}.dicom"
    if not target.is_dir():
        _link(files, target)
    return target


def _link(files: list[str], target: Path) -> None:
    temporary = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        temporary.mkdir(parents=True)
        for number, file in enumerate(files):
            (temporary / f"{number:05d}.dcm").symlink_to(file)
        temporary.rename(target)
    except OSError as error:
        if not target.is_dir():  # else another process has made it
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            why = "the disk or its quota is full" if full else str(error)
            remedy = "Free space there, or set" if full else "Set"
            where = "another disk" if full else "a disk that holds links"
            raise OSError(
                f"No links to DICOM files can be made in {target.parent}: {why}. {remedy} the environment variable "
                f"SSL3D_CACHE to a folder on {where}."
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
