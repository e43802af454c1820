"""Damaged and odd NIfTI files, made from small good ones, each with what must become of it."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from data.nifti_files import (
    AFFINE,
    IMAGE,
    LABEL,
    SHAPE,
    affine,
    broken_extension,
    dim,
    flipped,
    linked,
    nifti,
    pixdim,
    put,
    save,
    turned,
    unreadable,
    with_value,
)


class Sample(NamedTuple):
    """One file and what must become of it.

    Attributes:
        write: makes it at a path.
        refused: a pattern in the fault's text; empty: the file is handled, and its values and affine are these.
        truth: (D, H, W) or (D, H, W, channels).
        affine: (4, 4).
        doubt: a pattern in a warning that a handled file gives.
        name: of the file, where it matters.
    """

    write: Callable[[Path], Any]
    refused: str = ""
    truth: np.ndarray = IMAGE
    affine: np.ndarray = AFFINE
    doubt: str = ""
    name: str = "scan.nii.gz"


PLAIN = nifti()
ZIPPED = gzip.compress(PLAIN)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(600)
WHOLE = np.rint(IMAGE).astype(np.int16)
RGB = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
RGBA = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])
NO_QUATERNION = {"quatern_b": 0, "quatern_c": 0, "quatern_d": 0}  # a qform that points its axes R, A, S
GUESS = np.array([[-1, 0, 0, 2.5], [0, 1.5, 0, -4.5], [0, 0, 2, -7], [0, 0, 0, 1]])  # nibabel's, of no orientation
SINGULAR = affine([[1, 1, 0], [1, 1, 0], [0, 0, 2]])
SHEARED = affine([[1, 0.2, 0], [0, 1.5, 0], [0, 0, 2]])
PERMUTED = affine([[0, 1.5, 0], [0, 0, 2], [1, 0, 0]])
LEFT_HANDED = affine(np.diag([1, 1.5, -2]))
THICK = affine(np.diag([0.4, 0.4, 12]))
FAR = affine(np.diag([1, 1.5, 2]), (-1200.5, 850.25, 2000))

IMAGES: dict[str, Sample] = {
    # refused: no file, or another kind of file
    "missing": Sample(lambda path: None, "missing"),
    "a folder": Sample(lambda path: path.mkdir(), "unreadable: a folder"),
    "a link to nothing": Sample(linked("gone.nii.gz"), r"missing file: a link to .*gone\.nii\.gz"),
    "no permission": Sample(unreadable, "unreadable"),
    "no bytes": Sample(put(b""), "empty file", name="scan.nii"),
    "no bytes in gzip": Sample(put(gzip.compress(b"")), "not a NIfTI"),
    "text": Sample(put(b"patient 7 is not here" * 100), "not a NIfTI", name="scan.nii"),
    "text in gzip": Sample(put(gzip.compress(b"patient 7 is not here" * 100)), "not a NIfTI"),
    "PNG renamed": Sample(put(PNG), "not gzip-compressed"),
    "PNG renamed to .nii": Sample(put(PNG + bytes(400)), "not a NIfTI", name="scan.nii"),
    "PNG": Sample(put(PNG), "not a NIfTI file by its name", name="scan.png"),
    "DICOM renamed": Sample(put(bytes(128) + b"DICM" + bytes(900)), "not a NIfTI", name="scan.nii"),
    "header of a pair by name": Sample(put(nifti(magic=b"ni1")[:352]), "not a NIfTI file by its name", name="scan.hdr"),
    "voxels of a pair by name": Sample(put(PLAIN[352:]), "not a NIfTI file by its name", name="scan.img"),
    "header of a pair": Sample(put(nifti(magic=b"ni1")[:352]), "belongs to an .img", name="scan.nii"),
    "Analyze": Sample(put(nifti(magic=b"")), "not a NIfTI", name="scan.nii"),
    # refused: cut and scrambled
    "not zipped": Sample(put(PLAIN), "not gzip-compressed"),
    "zipped": Sample(put(ZIPPED), "gzip-compressed, despite its ending .nii", name="scan.nii"),
    "gzip cut in its own header": Sample(put(ZIPPED[:8]), "truncated"),
    "gzip cut in the header": Sample(put(ZIPPED[:60]), "truncated"),
    "gzip cut in the middle": Sample(put(ZIPPED[: len(ZIPPED) // 2]), "truncated"),
    "gzip cut before its last byte": Sample(put(ZIPPED[:-1]), "truncated"),
    "gzip with a wrong checksum": Sample(put(ZIPPED[:-8] + bytes(4) + ZIPPED[-4:]), "corrupt"),
    "gzip with a changed byte": Sample(put(flipped(ZIPPED, 4 * len(ZIPPED))), "corrupt"),
    "gzip with garbage behind it": Sample(put(ZIPPED + b"garbage" * 9), "corrupt"),
    "cut in the header": Sample(put(PLAIN[:200]), "not a NIfTI", name="scan.nii"),
    "cut after the header": Sample(put(PLAIN[:348]), "truncated", name="scan.nii"),
    "cut in the voxels": Sample(put(PLAIN[:1000]), "truncated", name="scan.nii"),
    "cut before the last byte": Sample(put(PLAIN[:-1]), "truncated", name="scan.nii"),
    "cut within gzip": Sample(put(gzip.compress(PLAIN[:-1])), "truncated"),
    # refused: header fields
    "another magic": Sample(save(magic=b"n+3"), "not a NIfTI"),
    "voxels at byte 0": Sample(save(vox_offset=0), "voxels begin at byte 0"),
    "voxels at byte NaN": Sample(save(vox_offset=np.nan), "voxels begin at byte nan"),
    "voxels behind the end": Sample(save(vox_offset=1e9), "truncated"),
    "voxels one line later": Sample(save(vox_offset=352 + 24), "truncated"),
    "damaged extension": Sample(put(broken_extension()), "unreadable header", name="scan.nii"),
    "unknown data type": Sample(save(datatype=77), "unreadable header"),
    "data type of 16 bytes": Sample(save(datatype=1536), "data type that nibabel cannot read"),
    "data type too small": Sample(save(datatype=4), "bytes more than its header says"),
    "data type too large": Sample(save(datatype=64), "truncated"),
    "too few rows": Sample(save(dim=dim(6, 5, 8)), "bytes more than its header says"),
    "one slice too few": Sample(save(dim=dim(6, 7, 7)), "bytes more than its header says"),
    "one slice too many": Sample(save(dim=dim(6, 7, 9)), "truncated"),
    "a size of 0": Sample(save(dim=dim(6, 0, 8)), "empty volume"),
    "a negative size": Sample(save(dim=dim(6, -7, 8)), "empty volume"),
    "no dimension": Sample(save(dim=[0, 6, 7, 8, 1, 1, 1, 1]), "empty volume"),
    "largest sizes": Sample(save(dim=dim(32767, 32767, 32767)), "truncated"),
    "largest sizes, not zipped": Sample(save(dim=dim(32767, 32767, 32767)), "truncated", name="scan.nii"),
    "largest sizes of NIfTI-2": Sample(save(kind=nib.Nifti2Image, dim=dim(2**40, 2**40, 2**40)), "truncated"),
    "bad intercept": Sample(save(scl_slope=1, scl_inter=np.inf), "intercept"),
    # refused: number of axes
    "one voxel": Sample(save(IMAGE[:1, :1, :1]), "2D"),
    "one slice": Sample(save(IMAGE[..., :1]), "2D"),
    "one row": Sample(save(IMAGE[:1]), "2D"),
    "two axes": Sample(save(IMAGE[..., 0]), "2D"),
    "two axes by its header": Sample(save(dim=dim(6, 56)), "2D"),
    "time points": Sample(save(np.stack([IMAGE, IMAGE + 1], -1)), "2 channels"),
    "vectors": Sample(save(np.stack([IMAGE] * 3, -1)[:, :, :, None]), "5D"),
    "5D of one channel": Sample(save(IMAGE[..., None, None]), "5D"),
    "7D of one channel": Sample(save(dim=dim(*SHAPE, 1, 1, 1, 1)), "7D"),
    # refused: values
    "a NaN": Sample(save(with_value(np.nan)), "NaN"),
    "an Inf": Sample(save(with_value(-np.inf)), "Inf"),
    "all NaN": Sample(save(IMAGE * np.float32(np.nan)), "NaN"),
    "beyond float32": Sample(save(with_value(1e300, np.float64)), "1e\\+300.* float32"),
    "beyond float32 by its slope": Sample(save(WHOLE, scl_slope=3e38, scl_inter=0), "float32"),
    "constant": Sample(save(np.full(SHAPE, 3, np.int16)), "constant image: every voxel is 3"),
    "zero": Sample(save(np.zeros(SHAPE, np.uint8)), "constant"),
    "constant in float32": Sample(save((IMAGE > 100) + 2.0**30), "constant"),
    "complex64": Sample(save(IMAGE.astype(np.complex64)), "complex"),
    "complex128": Sample(save(IMAGE.astype(np.complex128)), "complex"),
    "RGB": Sample(save(RGB), "RGB"),
    "RGBA": Sample(save(RGBA), "RGB"),
    # refused: geometry
    "zero spacing": Sample(save(pixdim=pixdim(1, 0, 2)), "spacing .* not positive"),
    "negative spacing": Sample(save(pixdim=pixdim(1, 1.5, -2)), "spacing .* not positive"),
    "NaN spacing": Sample(save(pixdim=pixdim(1, 1.5, np.nan)), "spacing .* not positive"),
    "Inf spacing": Sample(save(pixdim=pixdim(1, 1.5, np.inf)), "spacing .* not positive"),
    "spacing of a decimetre": Sample(save(affine=affine(np.diag([1, 1.5, 150]))), "outside 0.01 to 100 mm"),
    "spacing of a micrometre": Sample(save(affine=affine(np.diag([1, 1.5, 0.001]))), "outside"),
    "metres without a unit": Sample(save(affine=affine(np.diag([7e-4, 7e-4, 5e-3])), xyzt_units=0), "outside"),
    "micrometres without a unit": Sample(save(affine=affine(np.diag([700, 700, 5000])), xyzt_units=0), "outside"),
    "in metres": Sample(save(affine=affine(np.diag([7e-4, 7e-4, 5e-3])), xyzt_units=1), "in metres"),
    "in micrometres": Sample(save(affine=affine(np.diag([70, 70, 70])), xyzt_units=3 + 8), "in micrometres"),
    "unit metre beside mm": Sample(save(xyzt_units=1), "in metres"),
    "NaN affine": Sample(save(affine=affine(np.eye(3), (np.nan, 0, 0))), "affine"),
    "Inf affine": Sample(save(affine=affine(np.eye(3), (0, np.inf, 0))), "affine"),
    "singular affine": Sample(save(affine=SINGULAR), "singular"),
    "affine with a zero row": Sample(save(srow_y=0), "sform|singular"),
    "qform that is no rotation": Sample(save(sform_code=0, quatern_b=5), "unreadable header"),
    "spacing against sform": Sample(save(pixdim=pixdim(1, 1, 1)), "pixdim.* and .*sform"),
    "spacing against sform, no qform": Sample(
        save(pixdim=pixdim(1, 1.5, 2.0001), qform_code=0, **NO_QUATERNION), "pixdim.* and .*sform"
    ),
    # handled rightly: files
    "plain": Sample(save(), name="scan.nii"),
    "zipped as named": Sample(save()),
    "link": Sample(linked("real.nii.gz")),
    "name of many words": Sample(save(), name="Größe 1,5 mm (à gauche) #3 & 50%.nii.gz"),
    "name in Chinese": Sample(save(), name="患者 7.nii.gz"),
    "name with .nii in the middle": Sample(save(), name="scan.nii.copy.nii.gz"),
    "name with .nii.gz in the middle": Sample(save(), name="scan.nii.gz.resampled.nii"),
    "name with dots": Sample(save(), name="1.2.840.113619.2.55.nii.gz"),
    "gzip in two members": Sample(put(gzip.compress(PLAIN[:700]) + gzip.compress(PLAIN[700:]))),
    "gzip with zeros behind it": Sample(put(ZIPPED + bytes(512))),
    "padding at the end": Sample(put(PLAIN + bytes(100)), name="scan.nii"),
    "garbage at the end, within gzip": Sample(put(gzip.compress(PLAIN + b"garbage" * 9))),
    "NIfTI-2": Sample(save(kind=nib.Nifti2Image)),
    "NIfTI-2 of the other byte order": Sample(save(kind=nib.Nifti2Image, order=">")),
    "the other byte order": Sample(save(order=">")),
    "the other byte order, int16, scaled": Sample(
        save(WHOLE, order=">", scl_slope=0.5, scl_inter=-10), truth=WHOLE * 0.5 - 10
    ),
    "extensions": Sample(save(extension=b"acquired on a Tuesday" * 20)),
    "voxels later than usual": Sample(put(nifti(vox_offset=416)[:352] + bytes(64) + PLAIN[352:]), name="scan.nii"),
    "bits that do not fit the data type": Sample(save(bitpix=8)),
    "another size of its header": Sample(save(sizeof_hdr=540)),
    # handled rightly: values
    **{
        f"type {kind}": Sample(save((abs(WHOLE) // 2).astype(kind)), truth=abs(WHOLE) // 2)
        for kind in ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
    },
    "slope and intercept": Sample(save(WHOLE, scl_slope=0.25, scl_inter=-1024), truth=WHOLE * 0.25 - 1024),
    "slope and intercept of floats": Sample(save(scl_slope=3, scl_inter=7), truth=IMAGE * 3 + 7),
    "negative slope": Sample(save(WHOLE, scl_slope=-1, scl_inter=0), truth=-WHOLE),
    "slope 0": Sample(save(scl_slope=0, scl_inter=5)),
    "slope 0 of float64": Sample(save(IMAGE.astype(np.float64), scl_slope=0, scl_inter=5)),
    "slope NaN": Sample(save(IMAGE.astype(np.float64), scl_slope=np.nan, scl_inter=np.nan)),
    "slope Inf": Sample(save(scl_slope=np.inf, scl_inter=0)),
    "one channel": Sample(save(IMAGE[..., None])),
    "two slices": Sample(save(IMAGE[..., :2]), truth=IMAGE[..., :2]),
    # handled rightly: geometry
    "only sform": Sample(save(qform_code=0, **NO_QUATERNION)),
    "only qform": Sample(save(sform_code=0, srow_x=0, srow_y=0, srow_z=0)),
    "only qform, without qfac": Sample(save(sform_code=0, pixdim=pixdim(1, 1.5, 2, qfac=0))),
    "only qform, left-handed": Sample(save(affine=LEFT_HANDED, sform_code=0), affine=LEFT_HANDED),
    "neither": Sample(save(sform_code=0, qform_code=0), affine=GUESS, doubt="no orientation in the header"),
    "unknown codes": Sample(save(sform_code=77, qform_code=0), affine=GUESS, doubt="no orientation in the header"),
    "unknown sform code": Sample(save(sform_code=77)),
    "sform against qform": Sample(save(**NO_QUATERNION), doubt="LPS by its sform, .* RAS by its qform"),
    "qform that is no rotation, beside an sform": Sample(save(quatern_b=5), doubt="nothing valid by its qform"),
    "sform of another space": Sample(save(affine=turned(3), sform_code=4, **NO_QUATERNION), affine=turned(3)),
    "left-handed": Sample(save(affine=LEFT_HANDED), affine=LEFT_HANDED),
    "axes in another order": Sample(save(affine=PERMUTED), affine=PERMUTED),
    "oblique": Sample(save(affine=turned(30)), affine=turned(30)),
    "oblique by more than half a right angle": Sample(save(affine=turned(50)), affine=turned(50)),
    "sheared": Sample(save(affine=SHEARED), affine=SHEARED),
    "thick slices": Sample(save(affine=THICK), affine=THICK),
    "far from the origin": Sample(save(affine=FAR), affine=FAR),
    "unit unknown": Sample(save(xyzt_units=0)),
    "units mm and seconds": Sample(save(xyzt_units=2 + 8)),
}

ANOTHER_ORIGIN, NEAR_ORIGIN, FLIPPED = AFFINE.copy(), AFFINE.copy(), AFFINE @ np.diag([-1, 1, 1, 1.0])
ANOTHER_ORIGIN[0, 3] += 0.05
NEAR_ORIGIN[0, 3] += 0.005
ELSEWHERE = AFFINE.copy()
ELSEWHERE[:, 0], ELSEWHERE[0, 3] = -AFFINE[:, 0], AFFINE[0, 3] - (SHAPE[0] - 1)
TURNED = AFFINE[:, [2, 0, 1, 3]]

# Labels of the plain image; ids 0, 1, 2 are known
LABELS: dict[str, Sample] = {
    "missing": Sample(lambda path: None, "missing"),
    "text": Sample(put(b"1 2 3" * 100), "not a NIfTI", name="label.nii"),
    "cut": Sample(put(gzip.compress(nifti(LABEL))[:-30]), "truncated"),
    "RGB": Sample(save(RGB), "RGB"),
    "another shape": Sample(save(LABEL[:, :-1]), "shape .* image and label differ"),
    "axes in another order": Sample(save(LABEL.transpose(2, 0, 1)), "shape .* image and label differ"),
    "another spacing": Sample(save(LABEL, AFFINE @ np.diag([1, 1, 1.01, 1])), "spacing .* image and label differ"),
    "another origin": Sample(save(LABEL, ANOTHER_ORIGIN), "origin .* image and label differ"),
    "another orientation": Sample(save(LABEL, FLIPPED), "axes RPS against LPS.* image and label differ"),
    "turned a little": Sample(
        save(LABEL, turned(1, AFFINE[:3, :3])), "affine: small differences: image and label differ"
    ),
    "one slice": Sample(save(LABEL[..., :1]), "2D"),
    "one-hot": Sample(save(np.stack([LABEL == 1, LABEL == 2], -1).astype(np.uint8)), "4D label"),
    "unknown ids": Sample(save(LABEL * 7), r"unknown label ids \[7, 14\]: expected \[0, 1, 2\]"),
    "negative id": Sample(save(LABEL.astype(np.int16) * -1), r"unknown label ids \[-2, -1\]"),
    "fractions": Sample(save(LABEL * np.float32(0.5)), "non-integer label values such as 0.5"),
    "probabilities": Sample(save(1 / (1 + np.exp(-IMAGE / 30))), "non-integer"),
    "ids scaled to fractions": Sample(save(LABEL, scl_slope=0.25, scl_inter=0), "non-integer"),
    "NaN as background": Sample(save(np.where(LABEL, 1, np.nan).astype(np.float32)), "NaN"),
    "ids of an atlas": Sample(save(LABEL * np.int32(614454277)), "614454277, which float32 cannot hold"),
    # handled rightly
    "plain": Sample(save(LABEL), truth=LABEL),
    "stored the other way round": Sample(save(LABEL[::-1], ELSEWHERE), truth=LABEL[::-1], affine=ELSEWHERE),
    "stored with its axes in another order": Sample(
        save(LABEL.transpose(2, 0, 1), TURNED), truth=LABEL.transpose(2, 0, 1), affine=TURNED
    ),
    "not zipped": Sample(save(LABEL), truth=LABEL, name="label.nii"),
    **{f"type {kind}": Sample(save(LABEL.astype(kind)), truth=LABEL) for kind in ("i1", "i2", "i8", "f4", "f8")},
    "the other byte order": Sample(save(LABEL.astype(np.int16), order=">"), truth=LABEL),
    "NIfTI-2": Sample(save(LABEL, kind=nib.Nifti2Image), truth=LABEL),
    "ids scaled to whole numbers": Sample(save(LABEL * 4 + 40, scl_slope=0.25, scl_inter=-10), truth=LABEL),
    "one channel": Sample(save(LABEL[..., None]), truth=LABEL),
    "origin within the tolerance": Sample(save(LABEL, NEAR_ORIGIN), truth=LABEL, affine=NEAR_ORIGIN),
    "only qform": Sample(save(LABEL, sform_code=0), truth=LABEL),
    "background only": Sample(save(LABEL * 0), truth=LABEL * 0, doubt="background only"),
}
