"""Small NIfTI files written byte by byte, with whatever stands in their headers."""

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (6, 7, 8)
IMAGE = np.random.default_rng(0).normal(100, 30, size=SHAPE).astype(np.float32)
LABEL = (IMAGE > 100).astype(np.uint8) + (IMAGE > 130)
AFFINE = np.array([[-1, 0, 0, 30], [0, -1.5, 0, 20], [0, 0, 2, -10], [0, 0, 0, 1.0]])  # axes L, P, S: not the identity


def nifti(array=IMAGE, affine=AFFINE, kind=nib.Nifti1Image, extension=b"", order="<", **fields) -> bytes:
    """The bytes of a file whose header fields are then overwritten; sform and qform hold the affine, unit mm."""
    header = kind.header_class(endianness=order)
    header.set_data_dtype(array.dtype)
    image = kind(array, affine, header)
    if np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 0:
        image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    image.header.set_xyzt_units("mm")
    if extension:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", extension))
    data = bytearray(image.to_bytes())
    block = np.frombuffer(data, dtype=kind.header_class.template_dtype.newbyteorder(order), count=1)
    for field, value in fields.items():
        block[field] = value
    return bytes(data)


def save(*args, **fields):
    """A writer of ``nifti(...)``, zipped where the name says so."""

    def write(path: Path) -> None:
        data = nifti(*args, **fields)
        path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)

    return write


def put(data: bytes):
    """A writer of bytes as they are."""
    return lambda path: path.write_bytes(data)


def linked(target: str):
    """A writer of a link, whose target is written where it is one of ours."""

    def write(path: Path) -> None:
        if target == "real.nii.gz":
            save()(path.with_name(target))
        path.symlink_to(path.with_name(target))

    return write


def unreadable(path: Path) -> None:
    save()(path)
    path.chmod(0)


def with_value(value, dtype=np.float32) -> np.ndarray:
    array = IMAGE.astype(dtype)
    array[1, 2, 3] = value
    return array


def affine(linear, origin=(30, 20, -10)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, origin
    return matrix


def turned(degrees: float, linear=((1, 0, 0), (0, 1.5, 0), (0, 0, 2))) -> np.ndarray:
    """Axes turned about the first one of the world."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return affine(np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ linear)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def broken_extension() -> bytes:
    data = bytearray(nifti(extension=b"acquired on a Tuesday"))
    struct.pack_into("<i", data, 352, 10**6)  # the extension's size
    return bytes(data)


def pixdim(*sizes: float, qfac: float = 1) -> list[float]:
    return [qfac, *sizes, 0, 0, 0, 0]


def dim(*sizes: int) -> list[int]:
    return [len(sizes), *sizes, *[1] * (7 - len(sizes))]
