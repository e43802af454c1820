"""The data of a run against its preprocessing, as pre-flight finds both in a config."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.inferers import SlidingWindowInferer

from ssl3d.data import DataError
from ssl3d.engines.data_checks import check_data, datasets

CONFIG = {
    "pixdim": [1.0, 1.0, 1.0],
    "roi_size": [16, 16, 16],
    "skip_bad": False,
    "cases": {
        "_target_": "ssl3d.data.Datalist", "_mode_": "callable", "dataset_dir": "@dataset_dir", "labels": "ignored",
        "skip_bad": "@skip_bad",
    },
    "steps": [
        {"_target_": "ssl3d.transforms.LoadVolumed", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "labels": None},
        {"_target_": "ssl3d.transforms.SafeSpacingd", "keys": "image", "pixdim": "@pixdim"},
        {
            "_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -175, "a_max": 250, "b_min": 0, "b_max": 1,
        },
    ],
    "transform": {"_target_": "Compose", "transforms": "%steps"},
    "train": {
        "dataset": {
            "_target_": "ssl3d.data.DrawDataset", "data": "$@cases(section='training')", "transform": "@transform",
        },
        "loader": {"_target_": "DataLoader", "dataset": "@train#dataset"},
        "other": {"_target_": "Dataset", "data": "$1/0", "transform": "@transform"},
    },
    "trainer": {"_target_": "dict", "data": "@train::loader"},
}  # fmt: skip


def write(folder, millimetres) -> None:
    for number, mm in enumerate(millimetres):
        array = np.random.default_rng(number).integers(-900, 900, (20, 22, 24)).astype(np.int16)
        nib.save(nib.Nifti1Image(array, np.diag([mm, mm, mm, 1.0])), folder / f"case_{number}.nii.gz")


def parser(folder, **overrides) -> ConfigParser:
    return ConfigParser(CONFIG | {"dataset_dir": str(folder)} | overrides)


def test_the_data_sets_that_an_engine_needs_are_found(tmp_path):
    assert datasets(parser(tmp_path), "trainer") == ["train#dataset"]


def test_scans_that_become_too_large_are_refused_or_left_out_of_the_data_and_its_count(tmp_path):
    write(tmp_path, [90, 1, 1, 1, 1, 1])
    with pytest.raises(DataError, match=r"case_0\.nii\.gz: .*too large"):
        check_data(parser(tmp_path), "trainer")
    config = parser(tmp_path, skip_bad=True)
    check_data(config, "trainer")
    dataset = config.get_parsed_content("train#dataset")
    assert len(dataset) == 3
    data = config.get_parsed_content("train#dataset#data")
    assert dataset.data is data
    assert data.corpus[0]["count"] == 3
    assert [fault.file for fault in data.skipped] == [str(tmp_path / "case_0.nii.gz")]


def test_the_windows_of_the_largest_scan_are_counted_as_monai_cuts_them(tmp_path, caplog):
    write(tmp_path, [3] * 6)
    config = parser(tmp_path, overlap=0.5, evaluator=CONFIG["trainer"])
    with caplog.at_level("INFO"):
        check_data(config, "evaluator")
    (line,) = [record.getMessage() for record in caplog.records if " windows of " in record.getMessage()]
    assert line.startswith(f"Largest of 4 scans: {tmp_path}") and "nii.gz, 58 x 64 x 70 voxels, " in line
    inputs = []

    def network(windows):
        inputs.append(len(windows))
        return windows

    SlidingWindowInferer(CONFIG["roi_size"], overlap=0.5)(torch.zeros(1, 1, 58, 64, 70), network)
    assert f"{sum(inputs)} windows of 16 x 16 x 16" in line


def test_scans_far_smaller_than_the_crop_are_refused(tmp_path):
    write(tmp_path, [0.05] * 4)
    with pytest.raises(DataError, match=r"roi_size.*--pixdim \"\[0\.05, 0\.05, 0\.05\]"):
        check_data(parser(tmp_path), "trainer")
    check_data(parser(tmp_path, pixdim=[0.05, 0.05, 0.05]), "trainer")


def test_scans_that_are_not_in_hounsfield_units_are_named(tmp_path, caplog):
    write(tmp_path, [1] * 4)
    image = nib.load(tmp_path / "case_1.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) + 1024, image.affine), tmp_path / "case_1.nii.gz")
    check_data(parser(tmp_path), "trainer")
    (warning,) = [record.getMessage() for record in caplog.records if "HU" in record.getMessage()]
    assert "case_1.nii.gz" in warning


def test_plain_items_of_others_are_checked_as_far_as_they_are_known(tmp_path):
    """MONAI Label puts its own list of items into a config."""
    write(tmp_path, [90])
    items = [{"image": str(tmp_path / "case_0.nii.gz")}, {"image": str(tmp_path / "none.nii.gz")}]
    config = parser(tmp_path)
    config["train#dataset#data"] = items
    check_data(config, "trainer")
