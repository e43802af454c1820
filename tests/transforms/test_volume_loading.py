"""Volumes are loaded as MONAI loads them, without being put into another order."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import LoadImaged

from ssl3d.transforms import LoadVolumed


@pytest.mark.parametrize("dtype", ["int16", ">i2", "uint16", "float32", "float64", "uint8"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("channels", [0, 2])
def test_values_and_metadata_are_those_of_monai(tmp_path, dtype, suffix, channels):
    array = np.random.default_rng(0).integers(0, 200, (6, 5, 4, 2)[: 3 + bool(channels)]).astype(dtype)
    path = str(tmp_path / f"scan{suffix}")
    image = nib.Nifti1Image(array, np.diag([2.0, 1.0, 3.0, 1.0]))
    image.header.set_slope_inter(1.0 if dtype == "float32" else 0.5, 3.0)
    nib.save(image, path)
    found = LoadVolumed("image")({"image": path})["image"]
    expected = LoadImaged("image", ensure_channel_first=True)({"image": path})["image"]
    assert torch.equal(found.as_tensor(), expected.as_tensor())
    assert found.dtype == expected.dtype == torch.float32
    assert found.meta.keys() == expected.meta.keys()
    assert torch.equal(found.affine, expected.affine)
    assert found.stride(1) == min(found.stride()[1:])  # the first axis is the fastest, as in the file


def test_several_files_are_channels(tmp_path):
    paths = []
    for number in range(2):
        paths.append(str(tmp_path / f"{number}.nii.gz"))
        nib.save(nib.Nifti1Image(np.full((3, 4, 5), number, np.int16), np.eye(4)), paths[-1])
    image = LoadVolumed("image")({"image": paths})["image"]
    assert image.shape == (2, 3, 4, 5)
    assert image.as_tensor().unique(dim=0).flatten(1).max(dim=1).values.tolist() == [0.0, 1.0]
