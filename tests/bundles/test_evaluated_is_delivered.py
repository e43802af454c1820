"""What an evaluation scores is what inference writes, voxel for voxel."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles.conftest import EVALUATE, INFERENCE, TRAIN, of_kind, workflow
from ignite.engine import Events
from monai.bundle import ConfigParser

AXES = np.array([[0, -1.5, 0, 30], [0, 0, 2.5, -20], [1.0, 0, 0, -5], [0, 0, 0, 1]])  # stored P, I to S, R: not RAS
SIZES = {"smaller than the ROI": (14, 12, 10), "larger than the ROI": (44, 30, 26)}


@pytest.mark.parametrize("size", SIZES)
@of_kind("_segmentation")
def test_label_maps_are_equal(bundle, tmp_path, size):
    rng, shape = np.random.default_rng(0), SIZES[size]
    ct = json.loads((bundle / "models" / "model.json").read_text())["intensity"]["kind"] == "window"
    image = np.linspace(-400, 600, shape[0])[:, None, None] if ct else np.linspace(0, 600, shape[0])[:, None, None]
    image = (image + rng.normal(0, 80, shape)).astype(np.int16)
    label = np.zeros(shape, np.uint8)
    label[3:8, 3:8, 3:8], label[8:11, 3:8, 3:8] = 1, 2
    for folder, values in (("imagesTr", image), ("labelsTr", label)):
        (tmp_path / "set" / folder).mkdir(parents=True)
        nib.save(nib.Nifti1Image(values, AXES), tmp_path / "set" / folder / "odd.nii.gz")
    settings = {"device": "cpu", "dataset_dir": str(tmp_path / "set"), "roi_size": [16, 32, 16]}
    settings["pixdim"] = [1.2, 1.2, 1.2]
    torch.manual_seed(0)  # random weights find every class everywhere
    network = workflow(INFERENCE, "inference").parser.get_parsed_content("network_def")
    torch.save(network.state_dict(), tmp_path / "random.pt")
    settings["weights"] = str(tmp_path / "random.pt")

    flow = workflow(EVALUATE, "train", **settings, section="all")
    scored = {}

    def keep(engine):
        pred = engine.state.output[0]["pred"]
        scored["classes"], scored["affine"] = pred.argmax(dim=0).numpy(), np.asarray(pred.affine)

    evaluator = flow.parser.get_parsed_content("validate::evaluator")
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, keep)
    flow.run()
    workflow(INFERENCE, "inference", **settings).run()
    delivered = nib.load(bundle / "output" / "inference" / "odd_seg.nii.gz")
    assert delivered.shape == shape
    np.testing.assert_allclose(delivered.affine, scored["affine"], atol=1e-5)
    np.testing.assert_array_equal(np.asanyarray(delivered.dataobj), scored["classes"])
    assert len(np.unique(scored["classes"])) > 1, "a map of background only would say nothing"


@of_kind("_segmentation")
def test_one_inferer_for_validation_evaluation_and_inference(bundle):
    found = []
    for files in (INFERENCE, TRAIN, EVALUATE):
        parser = ConfigParser()
        parser.read_config(files)
        found.append([parser[key] for key in ("inferer", "overlap", "roi_size")])
        assert files == INFERENCE or parser["validate#inferer"] == "@inferer"
    assert found[0] == found[1] == found[2]
