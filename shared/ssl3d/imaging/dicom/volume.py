"""Stack the slices of a DICOM series to a volume; refuse slices that do not form a regular grid."""

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...files.content import combined_key
from ..grid import Grid
from ..nifti import COPY_AGAIN, SPACING_RANGE
from ..volume import BadFileError, Volume
from .headers import Header, import_pydicom, read_headers
from .series import IMAGES, choose_series, indented

OFF_GRID = 0.25  # largest distance of a slice from its place in a regular grid, as a share of a voxel's shortest side
TILT = 0.1  # degrees between the stack's axis and the slices' normal, above rounding errors of headers
TURN = 1e-3  # difference between direction cosines
CONVERT = "Convert it to .nii.gz with dcm2niix"
EXPORT = "Export the series again, complete and with one image for each position"
PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}  # transfer syntaxes without compression
NAMED = 5  # positions or values in a message


def read_series(folder: Path, series: str | None = None, cache_dir: str | Path | None = None) -> Volume:
    """Read one series of a folder slice by slice, with at most one volume and one slice in memory.

    Voxels are float32 after the rescaling of each slice (HU for CT). Their order is (columns, rows, slices), with
    slices along the normal of the image plane, as in ITK. The affine is RAS; its third column is the vector from the
    first to the last slice, divided by the number of slices minus 1.

    Args:
        folder: See ``find_volume``.
        series: See ``find_volume``.
        cache_dir: See ``find_volume``.

    Raises:
        BadFileError: see ``find_volume``; a slice's pixels are damaged.
        ImportError: pydicom is not installed, or no decoder for the images' compression.
    """
    slices, affine = find_volume(folder, series, cache_dir)
    rows, columns = slices[0].size
    array = np.empty((columns, rows, len(slices)), np.float32)  # C order, which MONAI would copy any other order to
    keys = []
    for number, header in enumerate(slices):
        raw = _bytes(header)
        keys.append(hashlib.sha256(raw).hexdigest())
        array[..., number] = _pixels(raw, header).T
    return Volume(array, 1.0, 0.0, Grid(array.shape, affine), combined_key(keys))


def find_volume(
    folder: Path, series: str | None = None, cache_dir: str | Path | None = None
) -> tuple[list[Header], np.ndarray]:
    """Find the slices of one series in a folder, and their affine (see ``stack``), from headers alone.

    Args:
        folder: Folder to search at any depth.
        series: Series to choose if there are several, see ``choose_series``.
        cache_dir: Folder for the headers (see ``ssl3d.data.cache_dir``).

    Raises:
        BadFileError: see ``choose_series`` and ``stack``; damaged files lie beside the series, or all are damaged.
        ImportError: pydicom is not installed, or no decoder for the images' compression.
    """
    headers = read_headers(folder, cache_dir)
    damaged = {header.path: header.problem for header in headers if header.problem}
    chosen = choose_series(headers, series).slices if len(damaged) < len(headers) or not headers else []
    places = {os.path.dirname(header.path) for header in chosen}
    near = [path for path in damaged if not chosen or os.path.dirname(path) in places]
    if near:
        listed = indented([f"{os.path.realpath(path)}: {damaged[path]}" for path in near], NAMED)
        raise BadFileError(f"{len(near)} damaged file(s):{listed}", f"{COPY_AGAIN}, or remove them")
    return stack(chosen)


def stack(slices: Sequence[Header]) -> tuple[list[Header], np.ndarray]:
    """Sort slices by position along the normal, and return them with the affine (4, 4), RAS, of their volume.

    Raises:
        BadFileError: no grey images of CT, MR or PET, one per file; sizes, pixel spacings or orientations differ or are
            missing; fewer than 2 slices; two slices at one position; slices missing, at irregular distances or shifted
            sideways; a tilted gantry. Positions are named in mm along the normal.
        ImportError: no decoder for the images' compression is installed, which is no fault of the files.
    """
    _check_images(slices)
    _check_decoders({header.syntax for header in slices})
    positions, orientation, spacing = _geometry(slices)
    row, column = orientation[:3], orientation[3:]
    normal = np.cross(row, column)
    depths = positions @ normal
    order = np.argsort(depths, kind="stable")
    positions, depths = positions[order], depths[order]
    _check_depths(depths)
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    affine = np.eye(4)
    affine[:3] = np.stack([row * spacing[1], column * spacing[0], step, positions[0]], axis=1)
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = SPACING_RANGE
    if sides.min() < low or sides.max() > high:
        raise BadFileError(f"spacing {np.round(sides, 4).tolist()} mm is outside {low:g} to {high:g} mm", EXPORT)
    tilt = np.degrees(np.arccos(np.clip(step @ normal / sides[2], -1, 1)))
    if tilt > TILT:
        problem = f"slices shifted by the same distance each: a gantry tilt of {tilt:.1f} degrees"
        raise BadFileError(problem, f"{CONVERT}, which corrects the tilt, and use its output named Tilt")
    off = np.linalg.norm(positions - positions[0] - np.arange(len(slices))[:, None] * step, axis=1)
    if off.max() > OFF_GRID * sides.min():
        where = depths[np.flatnonzero(off > OFF_GRID * sides.min())]
        problem = f"slices up to {off.max():.2f} mm beside their places in a regular grid, at {_mm(where)}"
        raise BadFileError(f"irregular distances between slices or shifted slices: {problem}", CONVERT)
    return [slices[number] for number in order], np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _check_images(slices: Sequence[Header]) -> None:
    first = slices[0]
    if first.kind not in IMAGES:
        raise BadFileError(f"{first.kind}: no volume of CT, MR or PET", "Give the series of the images")
    if any(header.frames > 1 for header in slices) or "Enhanced" in first.kind:
        raise BadFileError(f"multi-frame DICOM ({first.kind}): not read by ssl3d", CONVERT)
    colours = {f"{header.photometric}, {header.samples} value(s) a pixel" for header in slices}
    if colours != {"MONOCHROME2, 1 value(s) a pixel"}:
        problem = f"no plain grey images: {' and '.join(sorted(colours))}, where MONOCHROME2 is expected"
        raise BadFileError(problem, "Export the original images of the scanner")
    for name, values in (
        ("sizes (rows, columns)", [header.size for header in slices]),
        ("pixel spacings (mm)", [header.spacing and tuple(np.round(header.spacing, 4).tolist()) for header in slices]),
    ):
        if len(set(values)) > 1:
            found = ", ".join(f"{value} in {count}" for value, count in Counter(values).most_common(NAMED))
            raise BadFileError(f"slices of different {name}: {found} file(s)", EXPORT)
    if min(first.size) < 2 or len(slices) < 2:
        raise BadFileError(f"2D: {len(slices)} slice(s) of {first.size}", "ssl3d reads 3D images only: leave it out")


def _geometry(slices: Sequence[Header]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions (slices, 3), orientation (6,) and spacing (2,) of slices of the same orientation."""
    found = []
    for tag, values in (
        ("ImagePositionPatient", [header.position for header in slices]),
        ("ImageOrientationPatient", [header.orientation for header in slices]),
        ("PixelSpacing", [header.spacing for header in slices]),
    ):
        for header, value in zip(slices, values, strict=True):
            if value is None or not np.isfinite(value).all():
                raise BadFileError(f"{_name(header)} has no valid {tag}: its place is unknown", EXPORT)
        found.append(np.array(values, dtype=float))
    positions, orientations, spacings = found
    orientation = orientations[0]
    different = int((np.abs(orientations - orientation).max(axis=1) > TURN).sum())
    if different:
        problem = f"{different} of {len(slices)} slices have another orientation than {_name(slices[0])}"
        raise BadFileError(problem, "Export the series again without localizers, one orientation a series")
    row, column = orientation[:3], orientation[3:]
    if max(abs(row @ row - 1), abs(column @ column - 1), abs(row @ column)) > TURN:
        raise BadFileError(f"ImageOrientationPatient {orientation.tolist()}: no right angle of unit vectors", EXPORT)
    return positions, orientation, spacings[0]


def _check_depths(depths: np.ndarray) -> None:
    steps = np.diff(depths)
    same = steps < SPACING_RANGE[0]
    if same.any():
        raise BadFileError(
            f"{same.sum()} slices share their position with another, at {_mm(depths[1:][same])}: time points, echoes, "
            "b-values or copies in one series",
            "Split the series, for instance with dcm2niix, or remove the copies",
        )
    distance = np.median(steps)
    gaps = np.flatnonzero(steps > 1.5 * distance)
    if len(gaps):
        places = [f"{depths[gap]:.2f} and {depths[gap + 1]:.2f} mm" for gap in gaps]
        more = f" and {len(gaps) - NAMED} more" if len(gaps) > NAMED else ""
        count = int(np.rint(steps[gaps] / distance - 1).sum())
        raise BadFileError(
            f"about {count} slice(s) of {distance:.3g} mm missing between {', '.join(places[:NAMED])}{more}", EXPORT
        )


def _mm(depths: np.ndarray) -> str:
    more = f" and {len(depths) - NAMED} more" if len(depths) > NAMED else ""
    return f"{', '.join(f'{depth:.2f}' for depth in depths[:NAMED])} mm{more}"


def _check_decoders(syntaxes: Iterable[str]) -> None:
    pydicom = import_pydicom()
    for syntax in map(pydicom.uid.UID, syntaxes):
        try:
            decoder = pydicom.pixels.get_decoder(syntax)
        except NotImplementedError as error:
            remedy = "Export the images uncompressed"
            raise BadFileError(f"transfer syntax {syntax.name or 'missing'}: not known to pydicom", remedy) from error
        if not decoder.is_available:
            needed = "; or ".join(decoder.missing_dependencies)
            # the package of gdcm is called python-gdcm; it decodes all formats that hospitals use
            package = "python-gdcm" if "gdcm" in needed else "pylibjpeg pylibjpeg-openjpeg"
            raise ImportError(
                f"To read DICOM images compressed as {syntax.name} pydicom needs a decoder ({needed}): `pip install "
                f"{package}`."
            )


def _bytes(header: Header) -> bytes:
    try:
        return Path(header.path).read_bytes()
    except OSError as error:
        raise BadFileError(f"{_name(header)} is unreadable ({error.strerror})", COPY_AGAIN) from error


def _pixels(raw: bytes, header: Header) -> np.ndarray:
    """Decode the real values (rows, columns) of one slice."""
    pydicom = import_pydicom()
    try:
        dataset: Any = pydicom.dcmread(io.BytesIO(raw), force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:  # a file without preamble
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(header.syntax)
            if dataset["PixelData"].is_undefined_length:
                raise ValueError("compressed pixels of unknown compression")
        return pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset)
    except Exception as error:  # errors of pydicom and the decoders on damaged pixels have no common base class
        reason = " ".join(str(error).split()) or type(error).__name__
        remedy = COPY_AGAIN
        if header.syntax not in PLAIN:
            remedy += ", or install python-gdcm, which decodes what others cannot"
        elif raw[128:132] != b"DICM":  # its pixels may be compressed in a way that only the lost preamble told
            remedy = "It has no DICOM preamble: convert it with dcmconv or dcm2niix"
        raise BadFileError(f"{_name(header)} cannot be decoded ({reason})", remedy) from error


def _name(header: Header) -> str:
    """Return the path of the original file, since slices are read through links."""
    return os.path.realpath(header.path)
