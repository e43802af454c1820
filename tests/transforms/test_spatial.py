"""The safe spacing, the mask of valid voxels, and padding that is logged."""

import logging

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, Invertd, LoadImaged, Spacingd, SpatialPadd

from ssl3d.transforms import KeepAffined, LoggedSpatialPadd, SafeSpacingd, ValidMaskd
from ssl3d.transforms import spatial as spatial_module


@pytest.fixture
def path(tmp_path, write_nifti, image_array):
    return str(write_nifti(tmp_path / "scan.nii.gz", image_array(), np.diag([2.0, 1.0, 3.0, 1.0])))


def load(path, **more):
    return Compose([LoadImaged("image"), EnsureChannelFirstd("image")])({"image": path, **more})


@pytest.mark.parametrize("lazy", [False, True])
def test_spacing_beside_text_entries(path, lazy):
    item = load(path, image_path=path, image_number=3, other="text")
    spacing = SafeSpacingd("image", (1.0, 1.0, 1.0))
    result = Compose([spacing], lazy=lazy)(item)
    expected = Compose([Spacingd("image", (1.0, 1.0, 1.0))], lazy=lazy)(load(path))
    torch.testing.assert_close(result["image"].as_tensor(), expected["image"].as_tensor(), rtol=0, atol=1e-6)
    assert torch.equal(result["image"].affine, expected["image"].affine)
    assert result["image"].shape == (1, 11, 7, 22)
    assert {key: result[key] for key in ("image_path", "image_number", "other")} == {
        "image_path": path,
        "image_number": 3,
        "other": "text",
    }


def test_metadata_dictionaries_are_still_updated(path):
    result = SafeSpacingd("image", (1.0, 1.0, 1.0))(load(path, image_meta_dict={}, image_path=path))
    plain = Spacingd("image", (1.0, 1.0, 1.0))(load(path, image_meta_dict={}))
    assert result["image_meta_dict"].keys() == plain["image_meta_dict"].keys()


@pytest.mark.parametrize("lazy", [False, True])
def test_spacing_can_be_inverted(path, lazy):
    preprocessing = Compose([SafeSpacingd("image", (1.0, 1.0, 1.5))], lazy=lazy)
    item = load(path, image_path=path)
    original = item["image"].clone()
    result = preprocessing(item)
    result["pred"] = MetaTensor(torch.ones_like(result["image"].as_tensor()))
    inverted = Invertd("pred", transform=preprocessing, orig_keys="image", nearest_interp=True)(result)
    assert inverted["pred"].shape == original.shape
    assert torch.equal(inverted["pred"].affine, original.affine)
    assert inverted["pred"].as_tensor().unique().tolist() == [1.0]


def test_mask_knows_the_padding(path):
    chain = Compose(
        [
            ValidMaskd("image", "valid"),
            SafeSpacingd(["image", "valid"], (1.0, 1.0, 1.0), mode=("bilinear", "nearest")),
            SpatialPadd(["image", "valid"], (16, 16, 16)),
        ]
    )
    item = chain(load(path))
    mask = item["valid"]
    assert mask.shape == (1, 16, 16, 22)
    assert torch.equal(mask.affine, item["image"].affine)
    inside = torch.zeros(1, 16, 16, 22)
    inside[:, 2:13, 4:11] = 1  # 11 and 7 voxels, symmetric
    assert torch.equal(mask.as_tensor().float(), inside)
    assert (item["image"].as_tensor()[inside == 0] == 0).all()


def test_mask_of_several_channels_and_plain_tensors():
    mask = ValidMaskd()({"image": torch.randn(3, 4, 5, 6)})["valid"]
    assert mask.shape == (1, 4, 5, 6)
    assert mask.dtype == torch.uint8
    assert mask.min() == 1
    with pytest.raises(ValueError, match="one image"):
        ValidMaskd(["image", "label"])
    with pytest.raises(KeyError):
        ValidMaskd()({})


@pytest.mark.parametrize("lazy", [False, True])
def test_padding_is_logged_once_for_each_item(path, lazy, caplog):
    caplog.set_level(logging.INFO)

    def logged() -> list[str]:  # others may log too, such as MONAI's DICOM reader
        return [r.getMessage() for r in caplog.records if r.name == spatial_module.logger.name]

    pad = Compose([LoggedSpatialPadd("image", (8, 8, 8))], lazy=lazy)
    for _ in range(2):
        assert pad(load(path))["image"].shape == (1, 8, 8, 8)
    assert logged() == [f"{path}: (6, 7, 8) voxels, padded to (8, 8, 8)."]
    pad(load(path, name="scan_a"))
    assert logged()[1:] == ["scan_a: (6, 7, 8) voxels, padded to (8, 8, 8)."]
    LoggedSpatialPadd("image", (4, 4, 4))(load(path, name="large"))
    assert len(logged()) == 2
    LoggedSpatialPadd("image", (8, 8, 8))(load(path, name="scan_a"))  # a second workflow of the process is not silent
    assert logged().pop() == logged()[1]
    caplog.records.pop()
    for number in range(4):
        pad(load(path, name=f"scan_{number}"))
    assert logged()[3:] == ["Other volumes are padded too; they are not named."]


def test_padding_can_be_inverted(path):
    pad = LoggedSpatialPadd("image", (8, 8, 8))
    item = load(path)
    assert torch.equal(pad.inverse(pad(item))["image"], item["image"])


def test_the_affine_is_kept_as_it_is_after_padding(path):
    item = LoggedSpatialPadd("image", (12, 12, 12))(load(path))
    kept = KeepAffined("image")(item)["affine"]
    assert type(kept) is torch.Tensor and kept.dtype == torch.float64
    torch.testing.assert_close(kept, item["image"].affine.double())
    assert not torch.equal(kept, load(path)["image"].affine), "padding moves the first voxel"
    with pytest.raises(ValueError, match="one image"):
        KeepAffined(["image", "label"])
