"""Files are those of MONAI's writer, whatever the strides."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import SaveImage

from ssl3d.transforms import FileOrderWriter

AFFINE = torch.diag(torch.tensor([-2.0, 1.0, 3.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("file_order", [True, False])
def test_files_are_those_of_monai(tmp_path, channels, file_order):
    values = (torch.rand(channels, 6, 5, 4) * 9).byte()
    if file_order:
        values = values.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1)
    for name, writer in (("monai", None), ("ours", FileOrderWriter)):
        save = SaveImage(tmp_path, writer=writer, output_dtype=np.uint8, resample=False, print_log=False)
        save(MetaTensor(values, affine=AFFINE), filename=tmp_path / name)
    ours, expected = (nib.load(tmp_path / f"{name}.nii.gz") for name in ("ours", "monai"))
    assert ours.header == expected.header
    assert np.array_equal(ours.dataobj, expected.dataobj)
    assert np.array_equal(ours.affine, expected.affine)


def test_nibabel_gets_the_order_of_the_file():
    values = torch.zeros(1, 4, 5, 6, dtype=torch.uint8).permute(0, 3, 2, 1)
    writer = FileOrderWriter(output_dtype=np.uint8)
    writer.set_data_array(values)
    writer.set_metadata({"affine": np.eye(4)}, resample=False)
    image = writer.create_backend_obj(writer.data_obj, np.eye(4), np.uint8)
    assert image.shape == (6, 5, 4)
    assert np.asanyarray(image.dataobj).flags.f_contiguous


def test_faults_are_named():
    writer = FileOrderWriter()
    with pytest.raises(ValueError, match="channel_dim 3"):
        writer.set_data_array(torch.zeros(4, 5, 6, 1), channel_dim=3)
    with pytest.raises(ValueError, match="resample false"):
        writer.set_metadata({}, resample=True)
