"""Read a NIfTI file strictly: name every fault, and return what MONAI's loader returns."""

import gzip
import hashlib
import io
import logging
import os
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.data.utils import correct_nifti_header_if_necessary
from nibabel.spatialimages import HeaderDataError

from ..files.stand_ins import ANNEX, stand_in
from .grid import Grid
from .volume import BadFileError, Volume

EXTENSIONS = (".nii", ".nii.gz")  # in any letter case: see ``is_nifti``
OTHERS = (
    *(".mgz", ".mgh", ".mha", ".mhd", ".nrrd", ".nhdr", ".hdr", ".img", ".mnc", ".par", ".rec", ".head", ".brik"),
    *(".gipl", ".gipl.gz", ".vti", ".nii.bz2", ".nii.xz", ".nii.zst", ".nii.zip", ".dcm", ".ima", ".tif", ".tiff"),
    *(".h5", ".hdf5", ".npy", ".npz", ".raw"),
)
SPACING_RANGE = (0.01, 100.0)  # mm; 0.01 allows preclinical micro-CT but no numbers in metres
SHIFT = 0.01  # of a voxel; grids whose corners differ by less are equal
DEFLATE = 1032  # largest compression factor of gzip
BLOCK = 1 << 20
CONVERT = "Convert it to a single-file NIfTI (.nii.gz), for instance with dcm2niix or SimpleITK"
COPY_AGAIN = "Copy or export it again"
WRITE_AFFINE = "Write the true voxel sizes (mm) and orientation into the header"
ONE_AFFINE = "Find out which is true, and save the file again with that affine as both sform and qform"
TRUNCATED = "truncated: the header promises more voxels than the file holds"
SILENT = logging.Logger("nibabel's remarks on headers", logging.CRITICAL)


def is_nifti(path: str | Path) -> bool:
    """Return whether a file name has an extension of NIfTI, in any letter case."""
    return str(path).lower().endswith(EXTENSIONS)


def is_other_image(path: str | Path) -> bool:
    """Return whether a file name has the extension of an image format that is not read beside NIfTI."""
    return str(path).lower().endswith(OTHERS)


def read_volume(path: Path) -> Volume:
    """Read a file once and run the checks that images and labels have in common.

    Memory is allocated only for data that the file really holds, whatever its header claims.

    Raises:
        BadFileError: the file is missing, unreadable, no NIfTI, truncated, longer than its header says, of a complex or
            colour type, not 3D (a last axis of channels is allowed), empty, or without an affine in mm that all
            programs agree on.
    """
    raw = _bytes(path)
    zipped = raw[:2] == b"\x1f\x8b"
    ending = ".gz" if path.name.lower().endswith(".gz") else path.suffix
    if (ending == ".gz") != zipped:
        if not zipped and not _has_magic(raw):
            raise BadFileError("not a NIfTI file: not gzip-compressed, despite its ending .gz", CONVERT)
        remedy = f"Rename it to {path.name}.gz" if zipped else "Compress it with gzip, or remove .gz from its name"
        raise BadFileError(f"{'' if zipped else 'not '}gzip-compressed, despite its ending {ending}", remedy)
    stream = gzip.GzipFile(fileobj=io.BytesIO(raw)) if zipped else io.BytesIO(raw)
    try:
        return _volume(stream, len(raw) * (DEFLATE if zipped else 1), hashlib.sha256(raw).hexdigest())
    except EOFError as error:
        raise BadFileError("truncated: the compressed data end early", COPY_AGAIN) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadFileError(f"corrupt: the compressed data are damaged ({error})", COPY_AGAIN) from error


def _bytes(path: Path) -> bytes:
    if not path.exists():
        if path.is_symlink() and "annex/objects" in os.readlink(path).replace("\\", "/"):
            raise BadFileError("a git-annex link without its content", ANNEX.remedy)
        link = f": a link to {path.readlink()}, which does not exist" if path.is_symlink() else ""
        raise BadFileError(f"missing file{link}", "Correct the path in the datalist, or dataset_dir")
    if not path.is_file():
        raise BadFileError("unreadable: a folder, pipe or device, not a file", "Correct the path in the datalist")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadFileError(f"unreadable ({error.strerror})", "Check that you have permission to read it") from error
    if not raw:
        raise BadFileError("empty file of 0 bytes", COPY_AGAIN)
    found = stand_in(raw)
    if found is not None:
        raise BadFileError(*found)
    return raw


def _has_magic(raw: bytes) -> bool:
    """Return whether the bytes hold the magic string of NIfTI-1 or NIfTI-2."""
    return raw[344:347] in (b"n+1", b"ni1") or raw[4:7] in (b"n+2", b"ni2")


def _volume(stream: io.BufferedIOBase, limit: int, sha256: str) -> Volume:
    """Parse a file of at most ``limit`` uncompressed bytes."""
    header = _header(stream, limit)
    try:
        dtype, shape, offset = header.get_data_dtype(), header.get_data_shape(), header.get_data_offset()
        slope, intercept = header.get_slope_inter()
    except (HeaderDataError, KeyError, ValueError, OverflowError) as error:
        raise BadFileError(f"unreadable header ({error})", COPY_AGAIN) from error
    shape = tuple(int(size) for size in shape)
    _check_type_and_shape(dtype, shape)
    size = dtype.itemsize * int(np.prod(shape, dtype=object))
    if offset + size > limit:
        raise BadFileError(TRUNCATED, COPY_AGAIN)
    array: np.ndarray = np.ndarray(shape, dtype, _read(stream, offset, size), order="F")
    excess = _rest(stream)
    if excess >= size // max(shape[:3]):  # at least one plane; padding at the end is shorter
        problem = f"{excess} bytes more than its header says: the size or data type in the header is wrong"
        raise BadFileError(problem, COPY_AGAIN)
    affine, doubt = _affine(header, array)
    return Volume(
        array[..., 0] if shape[3:] == (1,) else array,
        1.0 if slope is None else slope,
        0.0 if intercept is None else intercept,
        Grid(shape[:3], affine),
        sha256,
        doubt,
    )


def _header(stream: io.BufferedIOBase, limit: int) -> Any:
    """Return the header of a single-file NIfTI as it is in the file, without repairs."""
    start = stream.read(nib.Nifti2Header.sizeof_hdr)
    kind = next((kind for kind in (nib.Nifti1Header, nib.Nifti2Header) if kind.may_contain_header(start)), None)
    if kind is None:
        raise BadFileError("not a NIfTI file", CONVERT)
    header = kind(start[: kind.sizeof_hdr], check=False)
    if header["magic"].item() != header.single_magic:
        raise BadFileError("not a single-file NIfTI: its header belongs to an .img file", CONVERT)
    if not header["vox_offset"] >= header.single_vox_offset:  # also true for NaN
        raise BadFileError(f"unreadable header (voxels begin at byte {header['vox_offset']:g})", COPY_AGAIN)
    if header["vox_offset"] > limit:
        raise BadFileError(TRUNCATED, COPY_AGAIN)
    before_voxels = _read(stream, 0, header.get_data_offset())
    try:  # again with the header extensions, because nibabel refuses a file with a damaged extension
        return kind.from_fileobj(io.BytesIO(before_voxels), check=False)
    except Exception as error:  # nibabel's errors on damaged headers have no common base class
        raise BadFileError(f"unreadable header ({error})", COPY_AGAIN) from error


def _read(stream: io.BufferedIOBase, offset: int, size: int) -> bytearray:
    """Read ``size`` bytes block by block, so that no memory is allocated for bytes that the file does not hold."""
    stream.seek(offset)
    data = bytearray()
    while len(data) < size and (block := stream.read(min(BLOCK, size - len(data)))):
        data += block
    if len(data) < size:
        raise BadFileError(TRUNCATED, COPY_AGAIN)
    return data


def _rest(stream: io.BufferedIOBase) -> int:
    """Return the number of remaining bytes. Reading them also verifies the checksum of gzip."""
    count = 0
    while block := stream.read(BLOCK):
        count += len(block)
    return count


def _check_type_and_shape(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    if dtype.itemsize == 0:
        raise BadFileError("a data type that nibabel cannot read", "Save it as int16 or float32")
    if dtype.kind == "c":
        raise BadFileError(f"complex numbers ({dtype})", "Save magnitude or phase as real numbers")
    if dtype.kind not in "fiu":
        raise BadFileError(f"RGB colours or another compound type ({dtype})", "Save one grey value per voxel")
    if any(size < 1 for size in shape) or not shape:
        raise BadFileError(f"empty volume of shape {shape}", COPY_AGAIN)
    if len(shape) > 4:  # even if the last sizes are 1, because MONAI treats them as spatial axes
        raise BadFileError(f"{len(shape)}D image of shape {shape}", "Save one 3D file for each channel or time point")
    if len(shape) < 3 or min(shape[:3]) == 1:
        raise BadFileError(f"2D image of shape {shape}", "Stack the slices to one volume: ssl3d reads 3D images only")


def _affine(header: Any, array: np.ndarray) -> tuple[np.ndarray, BadFileError | None]:
    """Return the affine (4, 4) of MONAI's loader and a doubt, if any; repair the header as nibabel does."""
    pixdim = np.asarray(header["pixdim"][1:4], dtype=float)
    if not np.all((pixdim > 0) & np.isfinite(pixdim)):
        raise BadFileError(f"spacing {pixdim.tolist()} in the header is not positive", WRITE_AFFINE)
    unit = {1: "metres", 3: "micrometres"}.get(int(header["xyzt_units"]) & 7)
    if unit:
        problem = f"spacing {short(pixdim)} is in {unit} by the header, but MONAI reads the numbers as mm"
        raise BadFileError(problem, "Write affine and voxel sizes in mm, and the unit mm, into the header")
    try:
        header.check_fix(logger=SILENT)
        best = np.asarray(header.get_best_affine(), dtype=float)
        if not np.isfinite(best).all():
            raise BadFileError("NaN or Inf in the affine", WRITE_AFFINE)
        image = (nib.Nifti1Image if header.sizeof_hdr == 348 else nib.Nifti2Image)(array, best, header)
        affine = np.array(correct_nifti_header_if_necessary(image).affine, dtype=float)
    except (HeaderDataError, ValueError) as error:
        raise BadFileError(f"unreadable header ({error})", WRITE_AFFINE) from error
    grid = Grid(array.shape[:3], affine)
    low, high = SPACING_RANGE
    if grid.spacing.min() < low or grid.spacing.max() > high:
        raise BadFileError(f"spacing {short(grid.spacing)} mm is outside {low:g} to {high:g} mm", WRITE_AFFINE)
    if abs(np.linalg.det(affine[:3, :3] / grid.spacing)) < 1e-3:
        raise BadFileError("singular affine: its axes lie in one plane", WRITE_AFFINE)
    if grid.shift(best) > SHIFT:
        sizes = short(Grid(grid.shape, best).spacing)
        problem = f"voxel sizes {short(pixdim)} (pixdim) and {sizes} (sform) differ: programs read the file differently"
        raise BadFileError(problem, ONE_AFFINE)
    return affine, _doubt(header, grid)


def _doubt(header: Any, grid: Grid) -> BadFileError | None:
    """Return a doubt if other programs may show the volume in another orientation than MONAI; else None."""
    axes, codes = grid.axes, (header["sform_code"], header["qform_code"])
    if not any(codes):
        return BadFileError(f"no orientation in the header: MONAI takes {axes}, other programs may not", ONE_AFFINE)
    if not all(codes):
        return None
    try:
        other = Grid(grid.shape, header.get_qform()).axes
    except ValueError:
        other = "nothing valid"
    if axes == other:
        return None
    return BadFileError(f"axes {axes} by its sform, which MONAI uses, but {other} by its qform", ONE_AFFINE)


def short(numbers: np.ndarray) -> list[float]:
    """Round numbers for a message."""
    return [float(f"{number:.6g}") for number in numbers]
