"""Label ids that a slope or a program has moved a little: rounded, with a warning, in checks and loader."""

import nibabel as nib
import numpy as np
import pytest
import torch

from ssl3d.data import DataError, check_item, validate
from ssl3d.imaging.nifti import read_volume
from ssl3d.transforms import LoadVolumed

SHAPE = (8, 9, 10)
IDS = np.random.default_rng(0).integers(0, 4, SHAPE)


def item(folder, label: np.ndarray, dtype=None) -> dict[str, str]:
    image = np.random.default_rng(1).integers(0, 999, SHAPE).astype(np.int16)
    nib.save(nib.Nifti1Image(image, np.eye(4)), folder / "image.nii.gz")
    kept = nib.Nifti1Header()
    if dtype is not None:
        kept.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(label, np.eye(4), kept), folder / "label.nii.gz")
    return {"image": str(folder / "image.nii.gz"), "label": str(folder / "label.nii.gz")}


NEAR = {
    "scaled by nibabel": (IDS.clip(0, 2).astype(np.float64), np.int16),
    "a little more": (IDS + 2e-5, np.float64),
    "a little less": (IDS - 9e-4, np.float32),
    "noise": (IDS + np.random.default_rng(2).uniform(-9e-4, 9e-4, SHAPE), np.float32),
}


@pytest.mark.parametrize("kind", NEAR)
def test_ids_near_whole_numbers_are_rounded_with_a_warning(tmp_path, kind):
    files = item(tmp_path, *NEAR[kind])
    (fault,) = check_item(files, label_ids=range(4))
    assert not fault.fatal
    assert "rounded" in fault.problem
    assert fault.file == files["label"]
    assert validate([files], label_ids=range(4))[0] == [files]
    ids = NEAR[kind][0].round().astype(int)
    counts = dict(zip(*(part.tolist() for part in np.unique(ids, return_counts=True)), strict=True))
    assert read_volume(tmp_path / "label.nii.gz").ids == counts
    loaded = LoadVolumed(["image", "label"])(files)
    assert torch.equal(loaded["label"][0].as_tensor(), torch.from_numpy(ids).float())
    assert loaded["label"].affine.shape == (4, 4)


def test_ids_that_float32_holds_exactly_give_no_warning(tmp_path):
    files = item(tmp_path, IDS + 1e-12, np.float64)
    assert check_item(files, label_ids=range(4)) == []


@pytest.mark.parametrize("offset", [2e-3, 0.3, 0.5])
def test_ids_between_whole_numbers_are_refused(tmp_path, offset):
    files = item(tmp_path, IDS + offset, np.float32)
    with pytest.raises(DataError, match="non-integer"):
        validate([files])
    assert LoadVolumed("label")(files)["label"].max() > 3


def test_a_slope_that_makes_no_ids_is_named(tmp_path):
    label = nib.Nifti1Image(IDS.astype(np.int16), np.eye(4))
    label.header.set_slope_inter(1.01, 0)
    files = item(tmp_path, IDS.astype(np.int16))
    nib.save(label, files["label"])
    data = bytearray(nib.load(files["label"]).to_bytes())
    data[112:116] = np.float32(1.01).tobytes()
    (tmp_path / "label.nii").write_bytes(bytes(data))
    (fault,) = check_item({**files, "label": str(tmp_path / "label.nii")})
    assert fault.fatal
    assert "slope 1.01" in fault.remedy


def test_images_and_other_keys_are_never_rounded(tmp_path):
    files = item(tmp_path, IDS + 5e-4, np.float32)
    assert (LoadVolumed("image")({"image": files["label"]})["image"] % 1).max() > 0
    assert (LoadVolumed("label", labels=())(files)["label"] % 1).max() > 0
    loaded = LoadVolumed(["fixed_label", "moving_label"])(
        dict.fromkeys(("fixed_label", "moving_label"), files["label"])
    )
    assert all((label % 1).max() == 0 for label in (loaded["fixed_label"], loaded["moving_label"]))
