"""Read the headers of DICOM files below a folder, without their pixels."""

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from ...files import folders
from ...files.content import Memo, identity
from ...files.stand_ins import ANNEX, LENGTH, stand_in
from ...files.walk import walk_files
from .start import begins_like_dicom, encoding

VERSION = 3  # raise it when Header changes, so that files are read anew
THREADS = 8  # reading in parallel hides the latency of network drives
SUFFIX = ".dcm"
TAGS = (
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "Modality",
    "ImageType",
    "PhotometricInterpretation",
    "SamplesPerPixel",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PatientID",
)
DIRECTORY = "Media Storage Directory Storage"  # DICOMDIR, the table of contents of a CD


class Header(NamedTuple):
    """Header of a DICOM file. Missing entries are empty, 0 or None.

    Attributes:
        path: Path of the file.
        position: (x, y, z) of the first voxel's centre in mm. As in all entries below, the axes are those of DICOM: x
            to the left, y to the back.
        problem: Reason why the file cannot be read, in which case all other entries are empty.
        study, series: UIDs; without a study UID, that of the series.
        number, description: Number and description of the series.
        modality: ``CT``, ``MR``, ``PT`` ...
        kind: Name of the SOP class, such as ``CT Image Storage``.
        image_type: Such as ``("ORIGINAL", "PRIMARY", "AXIAL")``.
        photometric, samples: ``MONOCHROME2`` and 1 for a grey image.
        frames: Images in the file.
        size: (rows, columns).
        spacing: (mm from row to row, mm from column to column).
        orientation: Direction along a row and along a column, 6 numbers.
        syntax: UID of the transfer syntax, which defines the compression of the pixels.
        patient: Digest of the PatientID (the PatientID is not kept); empty without a PatientID.
    """

    path: str
    position: tuple[float, ...] | None
    problem: str
    study: str = ""
    series: str = ""
    number: int | None = None
    description: str = ""
    modality: str = ""
    kind: str = ""
    image_type: tuple[str, ...] = ()
    photometric: str = ""
    samples: int = 0
    frames: int = 1
    size: tuple[int, int] = (0, 0)
    spacing: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    syntax: str = ""
    patient: str = ""


def read_headers(folder: Path, cache_dir: str | Path | None = None) -> list[Header]:
    """Read the headers of all DICOM files below ``folder``, recognised by their content and not by their names.

    Links are followed. Hidden files and ``DICOMDIR`` are ignored. Files without the DICOM preamble are read if they
    begin like a data set. A file that ends in ``.dcm`` but is no DICOM file is listed with its problem. Results are
    kept for each folder until one of its files changes.

    Args:
        folder: Folder to search at any depth.
        cache_dir: See ``ssl3d.data.cache_dir``.

    Raises:
        ImportError: there are DICOM files, and pydicom is not installed.
    """
    memo = Memo(folders.cache_dir(cache_dir) / "dicom_headers")
    found: list[Header] = []
    walk = tqdm(walk_files(folder), "Reading DICOM headers", unit=" folders", delay=2, leave=False, disable=None)
    with ThreadPoolExecutor(THREADS) as pool:
        for files in walk:
            key = json.dumps([VERSION, list(pool.map(_identity, files))])
            headers = memo.get(key, partial(_restored, folder=files[0].parent))
            if headers is None:
                headers = [header for header in pool.map(_header, files) if header]
                memo.set(key, _shortened(headers))
            found += headers
    return [header for header in found if header.kind != DIRECTORY]


def _identity(file: Path) -> str:
    try:
        return identity(file)
    except OSError:  # a link to nowhere
        return str(file)


def _header(file: Path) -> Header | None:
    """Read the header of a file; None if the file does not claim to be DICOM."""
    named = file.suffix.lower() == SUFFIX
    try:
        with open(file, "rb") as stream:
            start = stream.read(LENGTH)
            if start[128:132] == b"DICM":
                stream.seek(0)
                return _parsed(stream, str(file))
            if begins_like_dicom(start):
                stream.seek(0)
                header = _parsed(stream, str(file))
                if not header.problem or named:
                    return header
    except OSError as error:
        if named:
            return Header(str(file), None, _unreadable(file, error))
        return None
    if not named:
        return None
    if not start:
        return Header(str(file), None, "empty file of 0 bytes")
    instead = stand_in(start)
    problem = f"not a DICOM file, despite its ending {file.suffix}"
    return Header(str(file), None, f"{instead.problem} ({instead.remedy})" if instead else problem)


def _unreadable(file: Path, error: OSError) -> str:
    if file.is_symlink() and "annex/objects" in os.readlink(file):
        return f"a git-annex link without its content ({ANNEX.remedy})"
    return f"unreadable ({error.strerror})"


def _parsed(stream: Any, path: str) -> Header:
    pydicom = import_pydicom()
    try:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(TAGS), force=True)
        kind = pydicom.uid.UID(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", "")).name
        lacking = [tag for tag in ("SeriesInstanceUID", "Rows", "Columns") if not dataset.get(tag)]
        if lacking and (not kind or kind.endswith("Image Storage")):
            return Header(path, None, f"truncated or no image: it has no {' and no '.join(lacking)}")
        number = dataset.get("SeriesNumber")
        return Header(
            path,
            _numbers(dataset.get("ImagePositionPatient"), 3),
            "",
            str(dataset.get("StudyInstanceUID") or dataset.get("SeriesInstanceUID") or ""),
            str(dataset.get("SeriesInstanceUID") or ""),
            None if number is None else int(number),
            str(dataset.get("SeriesDescription") or dataset.get("ProtocolName") or "").strip(),
            str(dataset.get("Modality") or ""),
            kind,
            tuple(str(word).upper() for word in _list(dataset.get("ImageType"))),
            str(dataset.get("PhotometricInterpretation") or ""),
            int(dataset.get("SamplesPerPixel") or 0),
            int(dataset.get("NumberOfFrames") or 1),
            (int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)),
            _numbers(dataset.get("PixelSpacing"), 2),
            _numbers(dataset.get("ImageOrientationPatient"), 6),
            str(dataset.file_meta.get("TransferSyntaxUID") or encoding(dataset)),
            _digest(dataset.get("PatientID")),
        )
    except Exception as error:  # pydicom's errors on damaged headers have no common base class
        return Header(path, None, f"unreadable header ({error})")


def _digest(patient: Any) -> str:
    text = str(patient or "").strip()
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else ""


def import_pydicom() -> Any:
    """Import ``pydicom`` with its module ``pixels``.

    Raises:
        ImportError: pydicom is not installed; the message says how to install it.
    """
    try:
        import pydicom
        import pydicom.pixels
    except ImportError as error:
        raise ImportError(
            "To read DICOM files ssl3d needs pydicom 3: `pip install 'pydicom>=3'`. Or convert them to .nii.gz, for "
            "instance with dcm2niix."
        ) from error
    return pydicom


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    numbers = tuple(float(number) for number in _list(value))
    return numbers if len(numbers) == count else None


def _shortened(headers: Iterable[Header]) -> dict[str, list]:
    """Store what files have in common once: a series of 300 slices takes 20 kB instead of 150."""
    kinds: dict[tuple, int] = {}
    files = [
        [os.path.basename(header.path), header.position, kinds.setdefault(header[2:], len(kinds))] for header in headers
    ]
    return {"files": files, "kinds": list(kinds)}


def _restored(kept: dict[str, list], folder: Path) -> list[Header]:
    kinds = [[tuple(value) if isinstance(value, list) else value for value in kind] for kind in kept["kinds"]]
    return [
        Header(str(folder / name), position and tuple(position), *kinds[kind]) for name, position, kind in kept["files"]
    ]
