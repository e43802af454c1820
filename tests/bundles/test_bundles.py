"""What every bundle must be and do, tested on each one that is there."""

import hashlib
import json
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest
import torch
from bundles.conftest import BUNDLES, TINY
from golden import DATA
from monai.bundle import ConfigWorkflow, verify_net_in_out

from ssl3d.data.readable_json import readable_json
from ssl3d.weights import passport

TRAIN = "configs/train.json"
EVALUATE = [TRAIN, "configs/evaluate.json"]
INFERENCE = "configs/inference.json"
TINY_INFERENCE = {"device": "cpu", "dataset#data#synthesis#subjects": 3, "roi_size": [16, 32, 16]}


def workflow(config: str | list[str], workflow_type: str, **overrides) -> ConfigWorkflow:
    flow = ConfigWorkflow(config, workflow_type=workflow_type, logging_file=False, **overrides)
    flow.initialize()
    return flow


def weights_of(file: Path) -> dict[str, torch.Tensor]:
    return torch.load(file, weights_only=True)


def test_metadata_follows_the_schema_and_names_its_version(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    jsonschema.validate(metadata, json.loads((DATA / "meta_schema_20240725.json").read_text()))
    assert metadata["version"] in metadata["changelog"]
    assert all(len(part) == 1 for part in metadata["version"].split(".")), "versions compare as strings"


def test_names_and_files(bundle):
    others = [path.name for path in BUNDLES.iterdir() if path.name != bundle.name]
    assert "_v" not in bundle.name
    assert not any(bundle.name in other for other in others)
    for file in ("LICENSE", "docs/README.md", "configs/logging.conf", "models/model.pt", "models/model.json"):
        assert (bundle / file).is_file(), file
    assert [path.name for path in (bundle / "models").glob("*.pt")] == ["model.pt"]
    assert (bundle / TRAIN).read_text().count("\n") < 200
    assert "/work" not in "".join(path.read_text() for path in (bundle / "configs").iterdir())


def test_configs_are_formatted(bundle):
    for file in (bundle / "configs").glob("*.json"):
        assert file.read_text() == readable_json(json.loads(file.read_text())), (
            f"run tools/format_json.py on {file.name}"
        )


def test_weights_and_passport_belong_together(bundle):
    found = passport.read(bundle / "models" / "model.json")
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert hashlib.sha256((bundle / "models" / "model.pt").read_bytes()).hexdigest() == found.sha256
    assert metadata["passports"]["model.pt"] == json.loads((bundle / "models" / "model.json").read_text())
    demonstration = metadata["description"].startswith("DEMONSTRATION WEIGHTS")
    assert demonstration == found.synthetic
    assert (bundle / "models" / "model.pt").stat().st_size < 8 * 2**20


def test_network_takes_and_gives_what_metadata_says(bundle):
    verify_net_in_out(net_id="network_def", meta_file="configs/metadata.json", config_file=INFERENCE, device="cpu")


@pytest.mark.parametrize(
    ("config", "workflow_type", "overrides"),
    [(TRAIN, "train", TINY), (EVALUATE, "train", TINY), (INFERENCE, "inference", TINY_INFERENCE)],
    ids=["train", "evaluate", "inference"],
)
def test_properties(bundle, config, workflow_type, overrides):
    assert workflow(config, workflow_type, **overrides).check_properties() == []


def test_a_run_on_synthetic_items_is_a_demo_and_leaves_the_weights_alone(bundle):
    before = (bundle / "models" / "model.pt").read_bytes()
    workflow(TRAIN, "train", **TINY).run()
    demo = bundle / "output" / "demo"
    assert (bundle / "models" / "model.pt").read_bytes() == before
    assert passport.read(demo / "model.json").synthetic
    history = (demo / "history.csv").read_text().splitlines()
    assert len(history) == 3
    assert history[0].startswith("epoch,steps,seconds,learning_rate,loss,val_")
    assert (demo / "preview.png").read_bytes().startswith(b"\x89PNG")
    assert list(demo.glob("events.out.tfevents.*"))


def test_real_items_replace_the_weights_and_keep_the_former(bundle, synthetic_as_real):
    before = (bundle / "models" / "model.pt").read_bytes()
    workflow(TRAIN, "train", **TINY, dataset_dir=str(synthetic_as_real)).run()
    assert (bundle / "output" / "previous" / "model.pt").read_bytes() == before
    written = passport.read(bundle / "models" / "model.json")
    assert not written.synthetic
    assert written.corpus == [{"name": "as real", "count": 1, "licence": "CC0-1.0"}]
    assert written.sha256 == hashlib.sha256((bundle / "models" / "model.pt").read_bytes()).hexdigest()
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["passports"]["model.pt"]["sha256"] == written.sha256


@pytest.fixture
def synthetic_as_real(tmp_path, bundle, shared_cache) -> Path:
    """The built-in items without the mark that they are synthetic."""
    items = workflow(TRAIN, "train", **TINY).parser.get_parsed_content("cases")(section="all")
    folder = tmp_path / "as_real"
    folder.mkdir()
    entries = [{"image": item["image"], "label": item["label"]} for item in items[:3]]
    (folder / "dataset.json").write_text(json.dumps({"name": "as real", "licence": "CC0-1.0", "training": entries}))
    return folder


def test_evaluate_writes_the_scores_of_each_case(bundle):
    flow = workflow(EVALUATE, "train", **TINY)
    flow.run()
    rows = (bundle / "output" / "test" / "val_mean_dice_raw.csv").read_text().splitlines()
    assert len(rows) == 2  # four subjects leave one for the test
    assert 0 <= float(rows[1].split(",")[-1]) <= 1


def test_inference_saves_in_the_geometry_of_the_scan(bundle, tmp_path):
    affine = np.array([[0, -1.5, 0, 30], [-1.0, 0, 0, 20], [0, 0, 1.25, -5], [0, 0, 0, 1]])  # axes P, L, S: not RAS
    scan = np.random.default_rng(0).normal(100, 20, (40, 30, 35)).astype(np.float32)
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image(scan, affine), tmp_path / "scans" / "patient.nii.gz")
    workflow(INFERENCE, "inference", **TINY_INFERENCE, dataset_dir=str(tmp_path / "scans")).run()
    result = nib.load(bundle / "output" / "inference" / "patient_seg.nii.gz")
    assert result.shape == scan.shape
    np.testing.assert_allclose(result.affine, affine, atol=1e-4)
    assert result.get_data_dtype() == np.uint8


def test_shipped_weights_find_something_on_real_data(bundle, data_dir):
    """The shipped model on the first real validation cases: far from chance, below any claim."""
    overrides = {"device": "cpu", "dataset_dir": str(data_dir / "msd_hippocampus"), "section": "validation"}
    flow = workflow(EVALUATE, "train", **overrides)
    data = flow.parser.get_parsed_content("validate::dataset::data")
    flow = workflow(EVALUATE, "train", **overrides, **{"validate#dataset#data": list(data)[:4]})
    flow.run()
    assert flow.parser.get_parsed_content("validate::evaluator").state.metrics["val_mean_dice"] > 0.75
