"""``--split`` in the bundles: which cases a run takes, and what a run without validation ends with."""

import json

import pytest
import torch
from conftest import EVALUATE, NAMES, TINY, TRAIN, of_kind, workflow

from ssl3d.engines.workflow import root_cause

SHORT = {**TINY, "epochs": 1, "epoch_length": 1, "batch_size": 2}


@pytest.mark.parametrize("bundle", NAMES, indirect=True)
def test_a_run_without_validation_keeps_the_last_weights(bundle, caplog):
    with caplog.at_level("INFO"):
        workflow(TRAIN, "train", **SHORT, split="none").run()
    document = json.loads((bundle / "output" / "demo" / "cases.json").read_text())
    assert document["validation"] == document["test"] == []
    assert len(document["training"]) == 8
    assert "Nothing is validated: the weights of the last epoch are kept" in caplog.text
    assert torch.load(bundle / "output" / "demo" / "checkpoint.pt", weights_only=True)["best"] is None
    assert (bundle / "output" / "demo" / "model.pt").is_file()


@of_kind("hippocampus_mri_segmentation")
def test_sections_of_a_run_and_its_evaluation(bundle, caplog):
    with caplog.at_level("INFO"):
        workflow(TRAIN, "train", **SHORT, split="folds 4/1").run()
    document = json.loads((bundle / "output" / "demo" / "cases.json").read_text())
    assert len(document["training"]) == 6
    assert len(document["validation"]) == 2
    assert f"6 for training ({', '.join(document['training'])}), 2 for validation" in caplog.text
    assert "Only 2 validation cases" in caplog.text
    for options, words in (
        ({"split": "folds 4/1"}, "no test section (fold 1 of 4 for validation)"),
        ({"split": "none", "section": "validation"}, "There are no cases for validation"),
    ):
        with pytest.raises(RuntimeError) as error:
            workflow(EVALUATE, "train", **SHORT, **options).run()
        assert words in str(root_cause(error.value))
