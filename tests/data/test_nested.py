"""NIfTI files in case folders: BIDS, KiTS, TotalSegmentator; and what is said where it is not clear."""

import numpy as np
import pytest

from ssl3d.data import Datalist


@pytest.fixture
def tree(tmp_path, write_nifti, image_array):
    """``tree(*paths)`` writes images, and label maps where the name says so; returns the folder."""

    def make(*paths):
        for i, path in enumerate(paths):
            is_label = "seg" in path or "mask" in path
            write_nifti(tmp_path / "set" / path, np.ones((6, 7, 8), np.uint8) if is_label else image_array(i))
        return tmp_path / "set"

    return make


def found(folder, labels="optional"):
    return {item["name"]: "label" in item for item in Datalist(folder, "all", labels=labels)}


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"], ["sub-01", "sub-02"]),
        (
            ["sub-01/ses-1/anat/a.nii.gz", "sub-01/ses-2/anat/b.nii.gz", "derivatives/sub-01/anat/c.nii.gz"],
            ["sub-01_ses-1", "sub-01_ses-2"],
        ),
        (["imagesTr/p1/ct.nii.gz", "imagesTr/p2/ct.nii.gz"], ["p1", "p2"]),
        (["site1/p1/t1.nii", "site1/p2/t1.nii"], ["site1_p1", "site1_p2"]),
    ],
)
def test_one_image_per_case_folder(tree, paths, names):
    assert list(found(tree(*paths))) == names


def test_label_maps_beside_the_images(tree, caplog):
    kits = [f"case_0000{i}/{name}.nii.gz" for i in range(3) for name in ("imaging", "segmentation")]
    assert found(tree(*kits)) == {f"case_0000{i}": True for i in range(3)}


def test_a_label_map_per_structure(tree, caplog):
    parts = [
        f"s000{i}/{name}.nii.gz" for i in range(2) for name in ("ct", "segmentations/liver", "segmentations/spleen")
    ]
    assert found(tree(*parts)) == {"s0000": False, "s0001": False}
    assert "2 case(s) have several label files (2 beside the first image" in caplog.text


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["p1/t1.nii.gz", "p1/t2.nii.gz", "p2/t1.nii.gz"], r"3 NIfTI files lie deeper.*p1/t1\.nii\.gz.*1 folder\(s\)"),
        (["sub-1/anat/T1w.nii.gz", "sub-1/dwi/dwi.nii.gz", "sub-2/anat/T1w.nii.gz"], "3 NIfTI files lie deeper"),
        (["p1/CT/a.nii.gz", "p1/PET/a.nii.gz", "p2/CT/a.nii.gz", "p2/PET/a.nii.gz"], "4 NIfTI files lie deeper"),
    ],
)
def test_what_is_not_clear_is_said(tree, paths, words):
    with pytest.raises(ValueError, match=rf"{words}.*dataset\.json"):
        found(tree(*paths))


def test_other_endings_are_named(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    for name in ("a.nrrd", "b.nrrd", "c.mha"):
        (tmp_path / "imagesTr" / name).touch()
    (tmp_path / "dataset.json").write_text('{"file_ending": ".nrrd", "numTraining": 3}')
    with pytest.raises(FileNotFoundError, match=r"Found instead: 2 \.nrrd, 1 \.mha\. Convert"):
        Datalist(tmp_path, "training")
