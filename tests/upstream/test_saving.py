"""What the writer of NIfTI files keeps of a volume."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, NibabelWriter
from monai.transforms import SaveImage

from ssl3d.transforms import FileOrderWriter

AFFINE = torch.tensor([[0, -1.5, 0, 30], [-1.0, 0, 0, 20], [0, 0, 1.25, -5], [0, 0, 0, 1]], dtype=torch.float64)


@pytest.mark.parametrize("first_axis_fastest", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_files_are_those_of_monai(tmp_path, first_axis_fastest, channels):
    values = torch.randint(0, 14, (channels, 5, 6, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    if first_axis_fastest:
        values = values.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1)
    files = []
    for writer in (FileOrderWriter, None):
        volume = MetaTensor(values, affine=AFFINE, meta={"filename_or_obj": f"{writer and writer.__name__}.nii.gz"})
        save = SaveImage(tmp_path, writer=writer, output_dtype=np.uint8, separate_folder=False, resample=False)
        save(volume)
        files.append(nib.load(tmp_path / f"{writer and writer.__name__}_trans.nii.gz"))
    ours, monais = files
    np.testing.assert_array_equal(ours.dataobj, monais.dataobj)
    np.testing.assert_array_equal(ours.affine, monais.affine)
    assert ours.header == monais.header


def test_another_grid_is_resampled_to():
    volume = MetaTensor(torch.arange(64.0).view(4, 4, 4), affine=torch.eye(4))
    coarse = torch.diag(torch.tensor([2.0, 2, 2, 1], dtype=torch.float64))
    found, affine = FileOrderWriter.resample_if_needed(volume, torch.eye(4), coarse)
    expected, grid = NibabelWriter.resample_if_needed(volume, torch.eye(4), coarse)
    assert torch.equal(found, expected) and not torch.equal(found, volume)
    assert torch.equal(affine, grid)


def test_nothing_is_copied():
    volume = np.zeros((4, 5, 6), np.uint8, order="F")
    kept, _ = FileOrderWriter.resample_if_needed(volume, np.eye(4))
    image = FileOrderWriter.create_backend_obj(kept, np.eye(4), np.uint8)
    assert np.shares_memory(image.dataobj, volume)
