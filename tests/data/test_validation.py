"""Damaged files: each is refused with its name and its fault; good ones are read once."""

import gzip
import struct
import time

import nibabel as nib
import numpy as np
import pytest

from ssl3d.data import DataError, check_item, content_key, validate
from ssl3d.data import checks as checks_module

SHAPE = (6, 7, 8)
GOOD = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
LABEL = (GOOD > 0).astype(np.uint8)


def save(array, affine=None, **header):
    """A writer of a NIfTI file with header fields set after the fact, as bytes."""

    def write(path):
        nifti = nib.Nifti1Image(array, np.eye(4) if affine is None else affine)
        data = bytearray(nifti.to_bytes())
        offsets = {"dim": (40, "<8h"), "datatype": (70, "<h"), "pixdim": (76, "<8f"), "magic": (344, "<4s")}
        offsets |= {
            "qform_code": (252, "<h"),
            "sform_code": (254, "<h"),
            "scl_slope": (112, "<f"),
            "scl_inter": (116, "<f"),
        }
        for field, values in header.items():
            offset, form = offsets[field]
            struct.pack_into(form, data, offset, *(values if isinstance(values, tuple) else (values,)))
        path.write_bytes(gzip.compress(bytes(data)) if path.name.endswith(".gz") else bytes(data))

    return write


def raw(change):
    """A writer of a good file whose bytes are then changed."""

    def write(path):
        save(GOOD)(path)
        path.write_bytes(change(path.read_bytes()))

    return write


def with_value(value):
    array = GOOD.copy()
    array[1, 2, 3] = value
    return array


def affine(*spacing):
    return np.diag([*spacing, 1.0])


def damaged_affine(value):
    matrix = np.eye(4)
    matrix[0, 3] = value
    return matrix


RGB = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
FLAT = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=float)

BAD_IMAGES = {
    "missing": (".nii.gz", lambda path: None, "missing"),
    "a folder": (".nii.gz", lambda path: path.mkdir(), "unreadable"),
    "no bytes": (".nii", lambda path: path.write_bytes(b""), "empty file"),
    "text": (".nii", lambda path: path.write_text("not an image" * 100), "not a NIfTI"),
    "text in gzip": (".nii.gz", lambda path: path.write_bytes(gzip.compress(b"not an image" * 100)), "not a NIfTI"),
    "PNG by name": (".png", lambda path: path.write_bytes(b"\x89PNG"), "not a NIfTI"),
    "not zipped": (".nii.gz", raw(gzip.decompress), "not gzip-compressed"),
    "zipped": (".nii", raw(gzip.compress), "gzip-compressed"),
    "cut gzip": (".nii.gz", raw(lambda data: data[: len(data) // 2]), "truncated"),
    "cut nii": (".nii", raw(lambda data: data[:-100]), "truncated"),
    "header only": (".nii", raw(lambda data: data[:348]), "truncated"),
    "flipped bytes": (".nii.gz", raw(lambda data: data[:-8] + b"\x00\x00\x00\x00" + data[-4:]), "corrupt"),
    "header of a pair": (".nii", save(GOOD, magic=b"ni1\0"), ".img"),
    "unknown data type": (".nii", save(GOOD, datatype=77), "header"),
    "NaN voxel": (".nii.gz", save(with_value(np.nan)), "NaN"),
    "Inf voxel": (".nii.gz", save(with_value(-np.inf)), "Inf"),
    "bad intercept": (".nii", save(GOOD, scl_slope=1.0, scl_inter=np.inf), "intercept"),
    "NaN affine": (".nii.gz", save(GOOD, damaged_affine(np.nan)), "affine"),
    "Inf affine": (".nii.gz", save(GOOD, damaged_affine(np.inf)), "affine"),
    "singular affine": (".nii.gz", save(GOOD, FLAT, pixdim=(1, 1, 1, 1, 0, 0, 0, 0)), "singular"),
    "2D": (".nii.gz", save(GOOD[..., 0]), "2D"),
    "one slice": (".nii.gz", save(GOOD[..., :1]), "2D"),
    "4D": (".nii.gz", save(np.stack([GOOD, GOOD], -1)), "channels"),
    "5D": (".nii.gz", save(np.zeros((*SHAPE, 1, 3), np.float32)), "5D"),
    "zero dimension": (".nii", save(GOOD, dim=(3, 6, 0, 8, 1, 1, 1, 1)), "empty volume"),
    "negative dimension": (".nii", save(GOOD, dim=(3, 6, -7, 8, 1, 1, 1, 1)), "empty volume"),
    "constant": (".nii.gz", save(np.full(SHAPE, 3, np.int16)), "constant"),
    "zero spacing": (".nii.gz", save(GOOD, pixdim=(1, 1, 0, 1, 0, 0, 0, 0)), "spacing"),
    "negative spacing": (".nii.gz", save(GOOD, pixdim=(1, 1, 1, -2, 0, 0, 0, 0)), "spacing"),
    "NaN spacing": (".nii.gz", save(GOOD, pixdim=(1, 1, 1, np.nan, 0, 0, 0, 0)), "spacing"),
    "spacing in micrometres": (".nii.gz", save(GOOD, affine(700, 700, 5000)), "spacing"),
    "spacing in metres": (".nii.gz", save(GOOD, affine(7e-4, 7e-4, 5e-3)), "spacing"),
    "complex": (".nii.gz", save(GOOD.astype(np.complex64)), "complex"),
    "RGB": (".nii.gz", save(RGB), "RGB"),
}

SHIFTED = np.array([[1, 0, 0, 0.01], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
BAD_LABELS = {
    "missing": (lambda path: None, "missing"),
    "other shape": (save(LABEL[:, :-1]), "shape"),
    "other spacing": (save(LABEL, affine(1, 1, 1.01)), "affine"),
    "other origin": (save(LABEL, SHIFTED), "affine"),
    "other orientation": (save(LABEL, affine(-1, 1, 1)), "affine"),
    "unknown ids": (save(LABEL * 7), r"unknown label ids \[7\]"),
    "negative id": (save(LABEL.astype(np.int16) * -1), r"unknown label ids \[-1\]"),
    "fractions": (save(LABEL * np.float32(0.5)), "non-integer label values such as 0.5"),
    "NaN": (save(np.where(LABEL, np.nan, 0).astype(np.float32)), "NaN"),
    "scaled": (save(LABEL, scl_slope=0.25, scl_inter=0.0), "non-integer"),
    "one-hot": (save(np.stack([LABEL, 1 - LABEL], -1)), "4D label"),
    "cut": (raw(lambda data: data[: len(data) // 2]), "truncated"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_image(tmp_path, case):
    extension, write, word = BAD_IMAGES[case]
    path = tmp_path / f"scan_7{extension}"
    write(path)
    with pytest.raises(DataError, match=word) as error:
        validate([{"image": str(path)}])
    assert str(path) in str(error.value)
    (fault,) = error.value.faults
    assert fault.file == str(path)
    assert len(fault.remedy) > 10


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_label(tmp_path, case):
    write, word = BAD_LABELS[case]
    image, label = tmp_path / "image.nii.gz", tmp_path / "label_7.nii.gz"
    save(GOOD)(image)
    write(label)
    with pytest.raises(DataError, match=word) as error:
        validate([{"image": str(image), "label": str(label)}], label_ids=[0, 1])
    assert [fault.file for fault in error.value.faults] == [str(label)]


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (GOOD, {}),
        (GOOD[..., None], {}),
        (GOOD.astype(">f4"), {}),
        ((GOOD * 100).astype(np.int16), {"scl_slope": 0.5, "scl_inter": -10.0}),
        (GOOD.astype(np.float64), {"qform_code": 0, "sform_code": 0}),
    ],
)
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_good_image(tmp_path, array, options, extension):
    path = tmp_path / f"good{extension}"
    save(array, **options)(path)
    assert check_item({"image": str(path)}) == []


def test_nifti_2_is_read(tmp_path):
    path = tmp_path / "two.nii.gz"
    nib.save(nib.Nifti2Image(GOOD, np.eye(4)), path)
    assert check_item({"image": str(path)}) == []


def test_channels(tmp_path):
    files = []
    for i, array in enumerate((GOOD, GOOD + 1, GOOD[:-1])):
        files.append(str(tmp_path / f"c{i}.nii.gz"))
        save(array)(tmp_path / f"c{i}.nii.gz")
    save(np.stack([GOOD, GOOD], -1))(tmp_path / "4d.nii.gz")
    assert check_item({"image": files[:2]}, channels=2) == []
    assert check_item({"image": str(tmp_path / "4d.nii.gz")}, channels=2) == []
    assert check_item({"image": files[:2]}, channels=None) == []
    assert "2 channels" in check_item({"image": files[:2]})[0].problem
    assert "1 channels" in check_item({"image": files[0]}, channels=2)[0].problem
    (fault,) = check_item({"image": [files[0], files[2]]}, channels=2)
    assert fault.file == files[2]
    assert "channels differ" in fault.problem


def test_labels_that_are_fine(tmp_path, caplog):
    image, label, empty = (tmp_path / f"{name}.nii.gz" for name in ("image", "label", "empty"))
    save(GOOD)(image)
    save(LABEL.astype(np.float32), damaged_affine(5e-4))(label)  # within the tolerance
    save(np.zeros(SHAPE, np.uint8))(empty)
    assert check_item({"image": str(image), "label": str(label)}, label_ids={"0": "background", "1": "organ"}) == []
    items = [{"image": str(image), "label": str(empty)}, {"image": str(image), "label": 1}]
    assert validate(items, label_ids=[0, 1]) == (items, [])
    assert "background only" in caplog.text
    assert str(empty) in caplog.text
    assert "label 2 " in check_item({"image": str(image), "label": 2}, label_ids=[0, 1])[0].problem
    assert "no label" in check_item({"image": str(image)}, require_label=True)[0].problem
    assert "NIfTI" in check_item({"image": str(image), "label": "healthy"})[0].problem


def items_with_faults(tmp_path, bad):
    items = []
    for i in range(bad + 2):
        path = tmp_path / f"scan_{i:02d}.nii.gz"
        save(GOOD if i >= bad else with_value(np.nan))(path)
        items.append({"image": str(path), "name": path.name})
    return items


def test_all_faults_are_reported_and_the_list_is_capped(tmp_path):
    items = items_with_faults(tmp_path, 25)
    with pytest.raises(DataError, match="25 fault") as error:
        validate(items)
    assert len(error.value.faults) == 25
    assert "... and 5 more" in str(error.value)
    assert str(error.value).count("scan_") == 20


def test_skip_bad(tmp_path, caplog):
    items = items_with_faults(tmp_path, 2)
    good, faults = validate(items, skip_bad=True)
    assert good == items[2:]
    assert [fault.file for fault in faults] == [item["image"] for item in items[:2]]
    assert "scan_00" in caplog.text
    with pytest.raises(DataError, match="2 fault"):
        validate(items[:2], skip_bad=True)


def test_each_file_is_read_once_until_it_or_a_setting_changes(tmp_path, monkeypatch):
    reads = []
    read = checks_module.read_volume
    monkeypatch.setattr(checks_module, "read_volume", lambda path: reads.append(path.name) or read(path))
    image, label = tmp_path / "image.nii.gz", tmp_path / "label.nii.gz"
    save(GOOD)(image)
    save(LABEL)(label)
    items = [{"image": str(image), "label": str(label)}]
    validate(items, label_ids=[0, 1])
    assert reads == ["image.nii.gz", "label.nii.gz"]
    validate(items, label_ids={0: "background", 1: "organ"})
    assert len(reads) == 2
    with pytest.raises(DataError, match="unknown label ids"):
        validate(items, label_ids=[0])
    with pytest.raises(DataError, match="unknown label ids"):
        validate(items, label_ids=[0])  # faults are remembered as well
    assert len(reads) == 4
    save(with_value(np.inf))(image)
    with pytest.raises(DataError, match="Inf"):
        validate(items, label_ids=[0, 1])


def test_validation_leaves_the_content_key_behind(tmp_path, monkeypatch):
    path = tmp_path / "image.nii.gz"
    save(GOOD)(path)
    before = content_key(path)
    time.sleep(0.01)
    save(GOOD + 1)(path)
    validate([{"image": str(path)}])
    monkeypatch.setattr("ssl3d.data.content.open", None, raising=False)  # reading the file again would fail
    assert content_key(path) != before
