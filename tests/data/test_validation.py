"""Checks of items and of lists of them: channels, labels, reports, what may be skipped, what is read again."""

import itertools
import time

import nibabel as nib
import numpy as np
import pytest
from data.nifti_files import AFFINE, IMAGE, LABEL, SHAPE, save, with_value
from monai.transforms import LoadImaged, Orientationd

from ssl3d.data import DataError, check_item, content_key, validate
from ssl3d.data import checks as checks_module


def test_channels(tmp_path):
    files = []
    for i, array in enumerate((IMAGE, IMAGE + 1, IMAGE[:-1])):
        files.append(str(tmp_path / f"c{i}.nii.gz"))
        save(array)(tmp_path / f"c{i}.nii.gz")
    save(np.stack([IMAGE, IMAGE], -1))(tmp_path / "4d.nii.gz")
    assert check_item({"image": files[:2]}, channels=2) == []
    assert check_item({"image": str(tmp_path / "4d.nii.gz")}, channels=2) == []
    assert check_item({"image": files[:2]}, channels=None) == []
    assert "2 channels" in check_item({"image": files[:2]})[0].problem
    assert "1 channels" in check_item({"image": files[0]}, channels=2)[0].problem
    (fault,) = check_item({"image": [files[0], files[2]]}, channels=2)
    assert fault.file == files[2]
    assert "channels differ" in fault.problem


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (save(affine=AFFINE + np.eye(4)[[1, 0, 2, 3]] * 1e-6), "affine: small differences: channels differ"),
        (save(np.stack([IMAGE, IMAGE], -1)), "4D file among several"),
        (save(), None),
    ],
)
def test_channels_are_fine_when_monai_stacks_them(tmp_path, second, problem):
    files = [str(tmp_path / f"c{i}.nii.gz") for i in range(2)]
    save()(tmp_path / "c0.nii.gz")
    second(tmp_path / "c1.nii.gz")
    faults = check_item({"image": files}, channels=None)
    load = LoadImaged("image", ensure_channel_first=True)
    if problem is None:
        assert faults == []
        assert load({"image": files})["image"].shape == (2, *SHAPE)
    else:
        assert [fault.file for fault in faults] == files[1:]
        assert problem in faults[0].problem
        with pytest.raises((RuntimeError, ValueError)):
            load({"image": files})


def test_labels_that_are_no_maps(tmp_path):
    image, label = str(tmp_path / "image.nii.gz"), tmp_path / "label.nii.gz"
    save()(tmp_path / "image.nii.gz")
    assert validate([{"image": image, "label": 1}], label_ids=[0, 1]) == ([{"image": image, "label": 1}], [])
    assert "label 2 " in check_item({"image": image, "label": 2}, label_ids=[0, 1])[0].problem
    assert "no label" in check_item({"image": image}, require_label=True)[0].problem
    assert "NIfTI" in check_item({"image": image, "label": "healthy"})[0].problem
    save(LABEL)(label)
    names = {"0": "background", "1": "organ", "2": "another"}
    assert check_item({"image": image, "label": str(label)}, label_ids=names) == []


def test_a_label_may_be_stored_in_any_order_of_axes(tmp_path):
    """What is let through, MONAI's ``Orientation`` brings onto the image; half a voxel beside it is refused."""
    item = {key: str(tmp_path / f"{key}.nii.gz") for key in ("image", "label")}
    save(LABEL.astype(np.float32))(tmp_path / "image.nii.gz")
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            turn = np.array(list(zip(order, signs, strict=True)))
            stored, matrix = nib.apply_orientation(LABEL, turn), AFFINE @ nib.orientations.inv_ornt_aff(turn, SHAPE)
            save(stored, matrix)(tmp_path / "label.nii.gz")
            assert check_item(item) == []
            loaded = LoadImaged(["image", "label"], ensure_channel_first=True)(item)
            loaded = Orientationd(["image", "label"], axcodes="RAS", labels=None)(loaded)
            np.testing.assert_array_equal(loaded["image"], loaded["label"])
            np.testing.assert_allclose(loaded["image"].affine, loaded["label"].affine, atol=1e-5)
            matrix[:3, 3] += matrix[:3, 1] / 2
            save(stored, matrix)(tmp_path / "label.nii.gz")
            assert "origin" in check_item(item)[0].problem


def test_without_a_list_of_ids_any_from_0_on_are_fine(tmp_path):
    item = {key: str(tmp_path / f"{key}.nii.gz") for key in ("image", "label")}
    save()(tmp_path / "image.nii.gz")
    save(LABEL.astype(np.int16) * 1000)(tmp_path / "label.nii.gz")
    assert check_item(item) == []
    save(LABEL.astype(np.int16) - 1)(tmp_path / "label.nii.gz")
    assert "unknown label ids [-1]: ids begin at 0" in check_item(item)[0].problem
    assert check_item(item, label_ids=[-1, 0, 1]) == []


def test_warnings_are_logged_and_stop_nothing(tmp_path, caplog):
    item = {key: str(tmp_path / f"{key}.nii.gz") for key in ("image", "label")}
    save()(tmp_path / "image.nii.gz")
    save(LABEL * 0)(tmp_path / "label.nii.gz")
    assert validate([item], label_ids=[0, 1]) == ([item], [])
    assert "background only" in caplog.text
    assert item["label"] in caplog.text


def test_each_file_is_seen_once(tmp_path):
    item = {key: str(tmp_path / f"{key}.nii.gz") for key in ("image", "label")}
    save(with_value(np.nan))(tmp_path / "image.nii.gz")
    save(LABEL)(tmp_path / "label.nii.gz")
    seen = []
    assert check_item(item, seen=lambda file, volume: seen.append((file, volume.array.shape)))
    assert seen == [(item["image"], SHAPE), (item["label"], SHAPE)]
    (tmp_path / "image.nii.gz").unlink()
    assert check_item(item, seen=lambda file, volume: seen.append((file, volume.array.shape)))
    assert [file for file, _ in seen[2:]] == [item["label"]]


def items_with_faults(tmp_path, bad):
    items = []
    for i in range(bad + 2):
        path = tmp_path / f"scan_{i:02d}.nii.gz"
        save(IMAGE if i >= bad else with_value(np.nan))(path)
        items.append({"image": str(path), "name": path.name})
    return items


def test_all_faults_are_reported_and_the_list_is_capped(tmp_path):
    items = items_with_faults(tmp_path, 25)
    with pytest.raises(DataError, match="25 fault") as error:
        validate(items)
    assert len(error.value.faults) == 25
    assert "... and 5 more" in str(error.value)
    assert "ssl3d doctor" in str(error.value)
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
    save()(image)
    save(LABEL)(label)
    items = [{"image": str(image), "label": str(label)}]
    validate(items, label_ids=[0, 1, 2])
    assert reads == ["image.nii.gz", "label.nii.gz"]
    validate(items, label_ids={0: "background", 1: "organ", 2: "another"})
    assert len(reads) == 2
    with pytest.raises(DataError, match="unknown label ids"):
        validate(items, label_ids=[0])
    with pytest.raises(DataError, match="unknown label ids"):
        validate(items, label_ids=[0])  # faults are remembered as well
    assert len(reads) == 4
    save(with_value(np.inf))(image)
    with pytest.raises(DataError, match="Inf"):
        validate(items, label_ids=[0, 1, 2])


def test_validation_leaves_the_content_key_behind(tmp_path, monkeypatch):
    path = tmp_path / "image.nii.gz"
    save()(path)
    before = content_key(path)
    time.sleep(0.01)
    save(IMAGE + 1)(path)
    validate([{"image": str(path)}])
    monkeypatch.setattr("ssl3d.files.content.open", None, raising=False)  # reading the file again would fail
    assert content_key(path) != before
