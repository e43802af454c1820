"""Reading one NIfTI file so strictly that every fault is named."""

import gzip
import hashlib
import io
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

EXTENSIONS = (".nii", ".nii.gz")
SPACING_RANGE = (1e-3, 100.0)  # mm
CONVERT = "Convert it to a single-file NIfTI (.nii.gz), for instance with dcm2niix or SimpleITK"
COPY_AGAIN = "Copy or export it again"


class BadFileError(Exception):
    """What is wrong with one file, and what to do about it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


class Volume(NamedTuple):
    """A NIfTI file.

    Attributes:
        array: voxels (D, H, W) or (D, H, W, channels) as stored, before scaling.
        slope, intercept: stored -> real values.
        affine: (4, 4), voxel -> mm.
        sha256: of the file's bytes.
    """

    array: np.ndarray
    slope: float
    intercept: float
    affine: np.ndarray
    sha256: str

    @property
    def spacing(self) -> np.ndarray:
        """(3,) mm, one for each spatial axis."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


def read_volume(path: Path) -> Volume:
    """Read a file once and check what holds for images and labels alike.

    Raises:
        BadFileError: the file is missing, unreadable, no NIfTI, truncated, of a complex or colour type, not 3D (a last
            axis of channels is let through), empty, or without a usable affine.
    """
    raw = _bytes(path)
    data = _unpacked(raw, path)
    header = _header(data)
    try:
        dtype, shape, offset = header.get_data_dtype(), header.get_data_shape(), header.get_data_offset()
        slope, intercept = header.get_slope_inter()
    except (HeaderDataError, KeyError, ValueError, OverflowError) as error:
        raise BadFileError(f"unreadable header ({error})", COPY_AGAIN) from error
    shape = tuple(int(size) for size in shape)
    _check_type_and_shape(dtype, shape)
    if len(data) < offset + dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise BadFileError("truncated: the header promises more voxels than the file holds", COPY_AGAIN)
    affine = _affine(header)
    array = header.raw_data_from_fileobj(io.BytesIO(data))
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    return Volume(
        array,
        1.0 if slope is None else slope,
        0.0 if intercept is None else intercept,
        affine,
        hashlib.sha256(raw).hexdigest(),
    )


def _bytes(path: Path) -> bytes:
    if not path.exists():
        raise BadFileError("missing file", "Correct the path in the datalist, or dataset_dir")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadFileError(f"unreadable ({error.strerror})", "Check that it is a file which you may read") from error
    if not raw:
        raise BadFileError("empty file of 0 bytes", COPY_AGAIN)
    return raw


def _unpacked(raw: bytes, path: Path) -> bytes:
    zipped = raw[:2] == b"\x1f\x8b"
    if path.name.endswith(".gz") != zipped:
        actual = "gzip-compressed" if zipped else "not gzip-compressed"
        raise BadFileError(f"unreadable: {actual}, against its name", "Rename it, or compress it with gzip")
    try:
        return gzip.decompress(raw) if zipped else raw
    except EOFError as error:
        raise BadFileError("truncated: the compressed data end early", COPY_AGAIN) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadFileError(f"corrupt: the compressed data are damaged ({error})", COPY_AGAIN) from error


def _header(data: bytes) -> Any:
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        if kind.may_contain_header(data):
            try:
                header = kind.from_fileobj(io.BytesIO(data), check=False)
            except Exception as error:  # nibabel has no common base for what a damaged header provokes
                raise BadFileError(f"unreadable header ({error})", COPY_AGAIN) from error
            if header["magic"].item() not in (b"n+1", b"n+2"):
                raise BadFileError("not a single-file NIfTI: its header belongs to an .img file", CONVERT)
            return header
    raise BadFileError("not a NIfTI file", CONVERT)


def _check_type_and_shape(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    if dtype.kind == "c":
        raise BadFileError(f"complex numbers ({dtype})", "Save magnitude or phase as real numbers")
    if dtype.kind not in "fiu":
        raise BadFileError(f"RGB colours or another compound type ({dtype})", "Save one grey value a voxel")
    if any(size < 1 for size in shape) or not shape:
        raise BadFileError(f"empty volume of shape {shape}", COPY_AGAIN)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 3 or min(shape[:3]) == 1:
        raise BadFileError(f"2D image of shape {shape}", "Stack the slices to one volume: ssl3d works on 3D images")
    if len(shape) > 4:
        raise BadFileError(f"{len(shape)}D image of shape {shape}", "Save one 3D file for each channel or time point")


def _affine(header: Any) -> np.ndarray:
    remedy = "Write the true voxel sizes (mm) and orientation into the header"
    pixdim = np.asarray(header["pixdim"][1:4], dtype=float)
    if not np.all(pixdim > 0):  # also where they are NaN
        raise BadFileError(f"spacing {pixdim.tolist()} in the header is not positive", remedy)
    try:
        affine = np.asarray(header.get_best_affine(), dtype=float)
    except (HeaderDataError, ValueError) as error:
        raise BadFileError(f"unreadable affine ({error})", remedy) from error
    if not np.isfinite(affine).all():
        raise BadFileError("NaN or Inf in the affine", remedy)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = SPACING_RANGE
    if spacing.min() < low or max(spacing.max(), pixdim.max()) > high:
        raise BadFileError(f"spacing {spacing.tolist()} mm is outside {low} to {high} mm", remedy)
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise BadFileError("singular affine: its axes lie in one plane", remedy)
    return affine
