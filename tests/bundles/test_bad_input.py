"""What can be wrong with a run is said before any training time is spent, in words that name it."""

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles.conftest import TINY, TRAIN, pretrains
from monai.bundle import ConfigWorkflow


def refusal(**overrides) -> str:
    """The message with which a training stops; it fails the test when the training runs."""
    flow = ConfigWorkflow(TRAIN, workflow_type="train", logging_file=False, **(TINY | overrides))
    flow.initialize()
    with pytest.raises(RuntimeError) as caught:  # MONAI wraps what a component raises
        flow.run()
    assert not list(flow.config_root_path.parent.rglob("checkpoint.pt")), "training has begun"
    assert type(caught.value.__cause__).__name__ == "PreflightError"
    return str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("override", "suggestion"),
    [
        ({"epoch": 3}, "epochs"),
        ({"data_dir": "x"}, "dataset_dir"),
        ({"train#trainer#max_epoch": 3}, "train#trainer#max_epochs"),
        ({"optimizer#learning_rate": 0.1}, "optimizer#lr"),
        ({"cases#label_id": 1}, "cases#label_ids"),
    ],
)
def test_unknown_overrides_are_refused_with_the_nearest_name(bundle, override, suggestion):
    message = refusal(**override)
    assert next(iter(override)) in message
    assert suggestion in message.split("did you mean")[1]


def test_nested_overrides_are_known_by_the_signatures(bundle):
    backbone = "network_def#student#backbone" if pretrains(bundle) else "network_def#backbone"
    assert f"{backbone}#stem_stride" in refusal(**{f"{backbone}#stem_strides": 1}).split("did you mean")[1]


def test_overrides_of_arguments_that_no_config_names_are_known(bundle):
    flow = ConfigWorkflow(TRAIN, workflow_type="train", logging_file=False, **TINY, **{"optimizer#eps": 1e-7})
    flow.initialize()
    flow.run()
    assert flow.parser.get_parsed_content("optimizer").defaults["eps"] == 1e-7


def test_roi_that_does_not_fit_the_strides(bundle):
    message = refusal(roi_size=[16, 40, 16])
    assert "[16, 40, 16]" in message
    assert "multiple of 16" in message
    assert "[16, 32, 16]" in message
    assert "three positive" in refusal(roi_size=[16, 32])


def test_data_folder_that_does_not_exist(bundle, tmp_path):
    message = refusal(dataset_dir=str(tmp_path / "absent"))
    assert str(tmp_path / "absent") in message
    assert "does not exist" in message


def test_output_folder_that_cannot_be_written(bundle, tmp_path):
    (tmp_path / "file").write_text("")
    message = refusal(output_dir=str(tmp_path / "file" / "output"))
    assert "file/output" in message
    assert "--output_dir" in message


def test_pretrained_that_does_not_exist_or_does_not_fit(bundle, tmp_path):
    assert "gvsl_pretrainin" in refusal(pretrained="gvsl_pretrainin")
    torch.save({"encoder.0.0.weight": torch.zeros(3, 1, 3, 3, 3)}, tmp_path / "other.pt")
    message = refusal(pretrained=str(tmp_path / "other.pt"))
    assert "other.pt" in message
    assert "0.0 %" in message


def test_preprocessing_that_the_passport_cannot_tell(bundle):
    assert "does not fix spacing" in refusal(**{"train#deterministic#2#_disabled_": True})


def test_switches_take_words_of_the_command_line(bundle):
    assert "maybe" in refusal(amp="maybe")


def test_damaged_data_are_all_named_and_can_be_skipped(bundle, tmp_path, caplog):
    rng = np.random.default_rng(0)
    spacing = np.diag([*json.loads((bundle / TRAIN).read_text())["pixdim"], 1.0])  # no scan is resampled
    entries = []
    for number in range(8):
        image = rng.normal(size=(20, 34, 18)).astype(np.float32)
        label = np.zeros(image.shape, np.uint8)
        label[5:15, 5:17, 5:15], label[5:15, 17:28, 5:15] = 1, 2
        if number == 4:
            image[0, 0, 0] = np.nan
        if number == 5:
            label[0, 0, 0] = 77
        for folder, array in (("imagesTr", image), ("labelsTr", label)):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, spacing), tmp_path / "set" / folder / f"c{number}.nii.gz")
        entries.append({"image": f"./imagesTr/c{number}.nii.gz", "label": f"./labelsTr/c{number}.nii.gz"})
    (tmp_path / "set" / "dataset.json").write_text(json.dumps({"name": "set", "training": entries}))
    message = refusal(dataset_dir=str(tmp_path / "set"))
    assert "imagesTr/c4.nii.gz" in message
    assert "NaN" in message
    assert pretrains(bundle) or ("labelsTr/c5.nii.gz" in message and "77" in message)
    flow = ConfigWorkflow(
        TRAIN, workflow_type="train", logging_file=False, **TINY, dataset_dir=str(tmp_path / "set"), skip_bad="true"
    )
    flow.initialize()
    caplog.clear()
    with caplog.at_level("INFO"):
        flow.run()
    last = "\n".join(record.message for record in caplog.records[-8:])
    assert "imagesTr/c4.nii.gz" in last, "the skipped files are listed at the end"
    assert pretrains(bundle) or "labelsTr/c5.nii.gz" in last


def test_the_command_line_ends_with_one_sentence(bundle):
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", TRAIN, "--epoch", "3"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "did you mean epochs" in done.stderr.splitlines()[-1]
