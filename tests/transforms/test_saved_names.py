"""What saved files are called: by the case, whose name loading leaves in the metadata."""

import numpy as np
import pytest
from monai.data import DataLoader, Dataset, decollate_batch
from monai.transforms import SaveImaged

from ssl3d.data import Datalist
from ssl3d.transforms import LoadVolumed, named_by_case


@pytest.fixture
def save(tmp_path):
    def run(items) -> set[str]:
        saver = SaveImaged(
            "image",
            output_dir=tmp_path / "out",
            output_postfix="seg",
            separate_folder=False,
            output_name_formatter=named_by_case,
        )
        for batch in DataLoader(Dataset(items, LoadVolumed("image")), batch_size=2):
            for item in decollate_batch(batch):
                saver(item)
        return {path.name for path in (tmp_path / "out").iterdir()}

    return run


def test_cases_whose_files_share_a_name_do_not_overwrite_each_other(tmp_path, write_nifti, image_array, save):
    for i in range(3):
        write_nifti(tmp_path / f"p{i}" / "ct.nii.gz", image_array(i))
    listed = '{"training": ["p0/ct.nii.gz", "p1/ct.nii.gz", {"image": "p2/ct.nii.gz", "name": "1.2.840/3"}]}'
    (tmp_path / "dataset.json").write_text(listed)
    items = Datalist(tmp_path, "all", labels="ignored")
    assert save(items) == {"p0_ct_seg.nii.gz", "p1_ct_seg.nii.gz", "1.2.840_3_seg.nii.gz"}


def test_items_without_a_name_are_called_after_their_file(tmp_path, write_nifti, image_array, save):
    file = write_nifti(tmp_path / "scan.1.nii.gz", image_array())
    assert save([{"image": str(file)}]) == {"scan.1_seg.nii.gz"}


def test_channels_of_one_case_bear_its_name(tmp_path, write_nifti, image_array, save):
    for channel in range(2):
        write_nifti(tmp_path / "images" / f"brain_000{channel}.nii.gz", image_array(channel))
    items = Datalist(tmp_path, "all", labels="ignored", channels=2)
    assert np.shape(LoadVolumed("image")(items[0])["image"]) == (2, 6, 7, 8)
    assert save(items) == {"brain_seg.nii.gz"}
