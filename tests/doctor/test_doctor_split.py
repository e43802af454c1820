"""What the doctor says of sections and patients, and which split it proposes."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ssl3d.doctor.examine import examine
from ssl3d.doctor.summary import BUNDLES
from ssl3d.doctor.table import show


@pytest.fixture
def visits(tmp_path, write_nifti, image_array):
    """A folder with two labelled visits of each of four patients."""
    for p in range(4):
        for visit in (1, 2):
            image = image_array(2 * p + visit)
            for place, array in (("imagesTr", image), ("labelsTr", (image > 0).astype(np.uint8))):
                write_nifti(tmp_path / "set" / place / f"p{p}_ses{visit}.nii.gz", array)
    return tmp_path / "set"


def shown(document):
    console = Console(file=io.StringIO(), width=120)
    show(document, console)
    return console.file.getvalue()


def test_patients_and_sections(visits):
    document = examine(visits)
    assert document["split"] == {
        "how": "sorted names", "training": 4, "validation": 2, "test": 2, "patients": 4, "told_by": "their names",
        "problem": "", "labelled": 8,
    }  # fmt: skip
    assert "split" not in document["settings"] and document["folds"] == 3
    text = shown(document)
    assert "4 for training, 2 for validation, 2 for test (sorted names)" in text
    assert "4, told by their names; scans of one patient stay together" in text
    assert f"ssl3d study bundles/hippocampus_mri_segmentation {visits} my_study --labels all --folds 3" in text


def test_a_patient_in_two_sections_is_a_warning(visits):
    names = sorted(file.name for file in (visits / "imagesTr").iterdir())
    entries = [{"image": f"imagesTr/{name}", "label": f"labelsTr/{name}"} for name in names]
    (visits / "dataset.json").write_text(json.dumps({"training": entries[:5], "val": entries[5:]}))
    document = examine(visits)
    (fault,) = (fault for fault in document["faults"] if "one patient" in fault["problem"])
    assert "p2_ses1, p2_ses2 look like scans of one patient (p2" in fault["problem"]
    assert fault["problem"].endswith("in training and validation")
    assert not fault["fatal"]
    assert "split" not in document["settings"], "the data set has its own"


def test_names_in_doubt_are_named(tmp_path, write_nifti, image_array):
    for i, name in enumerate(["s1_a1", "s1_a2", "s1_a3", "s2_a1", "s2_a2", "s2_a3"]):
        write_nifti(tmp_path / f"{name}.nii.gz", image_array(i))
    document = examine(tmp_path)
    assert any("s1_a1, s1_a2, s1_a3 may be scans of one patient" in fault["problem"] for fault in document["faults"])


def test_too_few_cases_to_divide(make_dataset):
    document = examine(make_dataset(2))
    assert document["settings"]["split"] == "none"
    assert "at least 3" in document["split"]["problem"]


def test_years_are_no_channels(tmp_path, write_nifti, image_array):
    for s in range(3):
        for year in (2019, 2021):
            write_nifti(tmp_path / f"sub{s}_{year}.nii.gz", image_array(s + year))
    document = examine(tmp_path)
    assert document["cases"]["total"] == 6
    assert not [key for key in document["settings"] if "channels" in key]


@pytest.mark.parametrize("labels", [True, False])
def test_the_split_is_that_of_the_suggested_bundle(make_dataset, labels):
    folder = make_dataset(44)
    if not labels:
        shutil.rmtree(folder / "labelsTr")
    document = examine(folder)
    assert document["folds"] is None
    assert document["bundle"] == ("hippocampus_mri_segmentation" if labels else "gvsl_pretraining")
    assert (document["split"]["test"] > 0) == labels, "pre-training uses all but validation"
    assert f"bundles/{document['bundle']}:" in shown(document)


def test_the_splits_of_bundles_are_those_of_their_configs():
    for bundle, split in BUNDLES.items():
        file = Path(__file__).parents[2] / "bundles" / bundle / "configs" / "train.json"
        assert json.loads(file.read_text())["split"] == split
