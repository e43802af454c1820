"""DICOM series made from arrays, for tests."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import FileDataset, FileMetaDataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, generate_uid  # noqa: E402

KINDS = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "PT": "1.2.840.10008.5.1.4.1.1.128"}
AXIAL = np.array([[-0.7, 0, 0, 30], [0, -0.8, 0, 40], [0, 0, 2.5, -100], [0, 0, 0, 1.0]])  # axes L, P, S


def volume(seed: int = 0, shape: tuple[int, int, int] = (9, 8, 7)) -> np.ndarray:
    """(columns, rows, slices) int16, what is stored; 1024 more than HU."""
    return np.random.default_rng(seed).integers(0, 3000, shape).astype(np.int16)


def write_series(
    folder: Path,
    array: np.ndarray | None = None,
    affine: np.ndarray = AXIAL,
    *,
    numbers: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    rescale: Callable[[int], tuple[float, float]] = lambda number: (1, -1024),
    modality: str = "CT",
    change: Callable[[Any, int], None] = lambda dataset, number: None,
    **tags: Any,
) -> str:
    """Write one file for each slice and return the SeriesInstanceUID.

    Args:
        array: (columns, rows, slices), as stored; None: ``volume()``.
        affine: (4, 4), RAS.
        numbers: InstanceNumber of each slice; None: by position.
        names: of the files; None: ``0000.dcm`` by position.
        rescale: slice -> slope and intercept.
        change: called with each dataset and the slice's number before it is written.
        tags: further elements, by keyword.
    """
    array = volume() if array is None else array
    folder.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    tags = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": generate_uid(), "SeriesNumber": 1} | tags
    tags = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SeriesDescription": "Thorax 1.0"} | tags
    for number in range(array.shape[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = tags.get("SOPClassUID", KINDS[modality])
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID = meta.MediaStorageSOPClassUID
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        dataset.Modality = modality
        dataset.InstanceNumber = number + 1 if numbers is None else numbers[number]
        dataset.Columns, dataset.Rows = array.shape[:2]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.PixelSpacing = [_text(spacing[1]), _text(spacing[0])]
        dataset.ImageOrientationPatient = [_text(v) for axis in (0, 1) for v in lps[:3, axis] / spacing[axis]]
        dataset.ImagePositionPatient = [_text(v) for v in (lps @ [0, 0, number, 1])[:3]]
        dataset.RescaleSlope, dataset.RescaleIntercept = map(_text, rescale(number))
        dataset.PixelData = np.ascontiguousarray(array[..., number].T).astype("<i2").tobytes()
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        change(dataset, number)
        name = f"{number:04d}.dcm" if names is None else names[number]
        dataset.save_as(folder / name, enforce_file_format=True)
    return str(tags["SeriesInstanceUID"])


def write_object(folder: Path, kind: str, name: str = "object.dcm", **tags: Any) -> None:
    """A DICOM file without an image, of the SOP class with this UID."""

    def bare(dataset: Any, number: int) -> None:
        for keyword in (
            "PixelData",
            "Rows",
            "Columns",
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PixelSpacing",
        ):
            delattr(dataset, keyword)

    tags = {"SOPClassUID": kind, "SeriesDescription": "report", "SeriesNumber": 99} | tags
    write_series(folder, volume(shape=(2, 2, 1)), names=[name], change=bare, **tags)


def _text(number: float) -> str:
    """At most 16 characters, as DICOM writes numbers."""
    return f"{float(number):.10f}"[:16]
