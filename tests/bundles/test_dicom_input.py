"""Training, evaluation, inference and registration from folders of DICOM studies, with labels from other programs."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles.conftest import EVALUATE, INFERENCE, TINY, TINY_INFERENCE, TRAIN, of_kind, workflow
from dicom_files import write_series
from monai.bundle import ConfigWorkflow
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from ssl3d.weights import passport

SEGMENTATION = of_kind("_segmentation")
SERIES = "t1 sag*"
SAGITTAL = np.array([[0, 0, 1.0, -9], [-1.0, 0, 0, 17], [0, -1.0, 0, 12], [0, 0, 0, 1]])  # axes P, I, R
LABEL_AXES = ["LPS", "RAS", "PIR", "SAR", "RIA", "ASL", "LAS", "IPR"]  # as many programs store them


def truth_of(number: int) -> np.ndarray:
    """(34, 24, 18) label map without any symmetry, another one for each case."""
    label = np.zeros((34, 24, 18), np.uint8)
    label[4 : 14 + number % 3, 3:11, 2:9] = 1
    label[14 + number % 3 : 29, 5:15, 3:10] = 2
    return label


def stored(image: nib.Nifti1Image, axes: str) -> nib.Nifti1Image:
    """The same map with its voxels in another order."""
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(axes))
    array = nib.apply_orientation(np.asarray(image.dataobj), turn)
    return nib.Nifti1Image(np.ascontiguousarray(array), image.affine @ inv_ornt_aff(turn, image.shape))


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    """Eight MR studies of two series each; the intensities of the one that is meant tell the label."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "labels").mkdir()
    for number, axes in enumerate(LABEL_AXES):
        truth, study = truth_of(number), folder / "images" / f"p{number}"
        tags = {"modality": "MR", "StudyInstanceUID": f"1.2.{number}", "rescale": lambda _: (1, 0)}
        write_series(study / "a", 100 + 100 * truth.astype(np.int16), SAGITTAL, SeriesDescription="T1 sagittal", **tags)
        other = np.random.default_rng(number).integers(0, 900, truth.shape).astype(np.int16)
        write_series(study / "b", other, SAGITTAL, SeriesDescription="T2 sagittal", SeriesNumber=2, **tags)
        nib.save(stored(nib.Nifti1Image(truth, SAGITTAL), axes), folder / "labels" / f"p{number}.nii.gz")
    return folder


class ReadsTheImage(torch.nn.Module):
    """A network that is always right about images whose intensities tell the label."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        label = (2 * image[:, 0]).round().long().clamp(0, 2)
        return torch.nn.functional.one_hot(label, 3).movedim(-1, 1).float()


@SEGMENTATION
def test_training_evaluation_and_inference(bundle, studies):
    settings = {**TINY, "dataset_dir": str(studies), "series": SERIES, "cases#split": "positional", "pixdim": [1, 1, 1]}
    workflow(TRAIN, "train", **settings).run()
    assert passport.read(bundle / "output" / "model.json").corpus[0]["count"] == 5
    workflow(EVALUATE, "train", **settings).run()
    with (bundle / "output" / "test" / "test_mean_dice_raw.csv").open(newline="") as file:
        assert [row[0] for row in csv.reader(file)][1:] == ["p3", "p7"]
    workflow(INFERENCE, "inference", **TINY_INFERENCE, dataset_dir=str(studies), series=SERIES).run()
    results = sorted((bundle / "output" / "inference").glob("*.nii.gz"))
    assert [path.name for path in results] == [f"p{number}_seg.nii.gz" for number in range(8)]
    np.testing.assert_allclose(nib.load(results[0]).affine, SAGITTAL, atol=1e-4)


@of_kind("hippocampus_mri_segmentation")  # at the resolution of the volumes, nothing is lost
def test_a_network_that_is_right_scores_1_whatever_the_order_of_the_label(bundle, studies):
    settings = {**TINY, "dataset_dir": str(studies), "series": SERIES, "network": ReadsTheImage()}
    for section in ("training", "validation", "test"):
        flow = workflow(EVALUATE, "train", **settings, **{"cases#split": "positional"}, section=section)
        flow.run()
        assert flow.parser.get_parsed_content("validate::evaluator").state.metrics["val_mean_dice"] == 1
        with (bundle / "output" / section / f"{section}_hausdorff95_raw.csv").open(newline="") as file:
            assert {value for row in list(csv.reader(file))[1:] for value in row[1:]} == {"0.0"}
    training = workflow(TRAIN, "train", **settings, **{"cases#split": "positional"})
    for item in training.parser.get_parsed_content("validate::dataset"):
        torch.testing.assert_close((2 * item["image"]).round(), item["label"].float())
    workflow(
        INFERENCE, "inference", **TINY_INFERENCE, **{key: settings[key] for key in settings if key not in TINY}
    ).run()
    for number in range(8):
        result = nib.load(bundle / "output" / "inference" / f"p{number}_seg.nii.gz")
        np.testing.assert_array_equal(np.asarray(result.dataobj), truth_of(number))


@SEGMENTATION
def test_the_command_line_chooses_the_series(bundle, studies):
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", INFERENCE, "--device", "cpu"]
    command += ["--dataset_dir", str(studies), "--series"]
    done = subprocess.run([*command, "*1 SAG*"], capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((bundle / "output" / "inference").glob("p?_seg.nii.gz"))) == 8


def test_what_is_not_clear_is_asked_with_the_name_of_the_key(bundle, studies):
    """Training of every bundle."""
    flow = ConfigWorkflow(TRAIN, workflow_type="train", logging_file=False, **TINY, dataset_dir=str(studies))
    flow.initialize()
    with pytest.raises(RuntimeError) as caught:
        flow.run()
    message = str(caught.value.__cause__)
    assert "2 series may be meant" in message
    assert "'T2 sagittal'" in message
    assert "--series" in message
    assert '"series" in the entry' in message
    data = workflow(TRAIN, "train", **TINY, dataset_dir=str(studies), series=SERIES)
    assert data.parser.get_parsed_content("train::dataset").data


@of_kind("mae_pretraining")
def test_reconstruction_from_dicom(bundle, studies):
    workflow(INFERENCE, "inference", **TINY_INFERENCE, dataset_dir=str(studies), series=SERIES).run()
    names = {f"p{number}_{what}.nii.gz" for number in range(8) for what in ("masked", "filled")}
    assert {path.name for path in (bundle / "output" / "inference").iterdir()} == names


@of_kind("gvsl_pretraining")
def test_registration_of_two_studies(bundle, studies):
    files = {"fixed": str(studies / "images" / "p0"), "moving": str(studies / "images" / "p1")}
    files["fixed_label"], files["moving_label"] = (str(studies / "labels" / f"p{n}.nii.gz") for n in (0, 1))
    with pytest.raises(RuntimeError) as caught:
        workflow(INFERENCE, "inference", device="cpu", **files).run()
    assert "2 series may be meant" in str(caught.value.__cause__)
    assert "--series" in str(caught.value.__cause__)
    workflow(INFERENCE, "inference", device="cpu", **files, series=SERIES).run()
    folder = bundle / "output" / "inference" / "p1_onto_p0"
    warped = nib.load(folder / "warped.nii.gz")
    assert warped.shape == truth_of(0).shape
    np.testing.assert_allclose(warped.affine, SAGITTAL, atol=1e-4)
    assert set(np.unique(warped.get_fdata() // 100)) <= {0, 1, 2, 3}, (
        "T1 intensities, not the noise of the other series"
    )


@of_kind("gvsl_pretraining")
def test_scores_of_pairs_read_the_fixed_label_in_the_order_of_its_scan(bundle, studies):
    """A scan onto itself: before any registration the labels agree, whatever the order in which they are stored."""
    for number in (0, 2, 5):
        one = {"dataset_dir": None, "fixed": str(studies / "images" / f"p{number}"), "series": SERIES}
        one |= {f"{role}_label": str(studies / "labels" / f"p{number}.nii.gz") for role in ("fixed", "moving")}
        flow = workflow(INFERENCE, "inference", device="cpu", **one, moving=one["fixed"])
        flow.run()
        scores = flow.parser.get_parsed_content("evaluator").state.output[0]["scores"]
        assert scores.dice_before == 1, LABEL_AXES[number]
