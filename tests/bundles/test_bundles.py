"""What every bundle must be and do, tested on each one that is there."""

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest
import torch
from bundles.conftest import (
    BUNDLES,
    EVALUATE,
    INFERENCE,
    NAMES,
    TINY,
    TINY_INFERENCE,
    TRAIN,
    of_family,
    pretrains,
    workflow,
)
from golden import DATA
from monai.bundle import verify_net_in_out

from ssl3d.files.readable_json import readable_json
from ssl3d.weights import passport


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
            f"run tools/build_bundles.py {bundle.name}"
        )


def test_weights_and_passport_belong_together(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    files = sorted((bundle / "models").glob("*.pt*"))
    assert {"model.pt", *["pretraining.pth"] * pretrains(bundle)} <= {file.name for file in files}
    assert metadata["passports"].keys() == {file.name for file in files}
    for file in files:
        found = passport.read(passport.beside(file))
        assert hashlib.sha256(file.read_bytes()).hexdigest() == found.sha256
        assert metadata["passports"][file.name] == json.loads(passport.beside(file).read_text())
        assert file.stat().st_size < 8 * 2**20


def test_weights_from_synthetic_anatomy_say_so_wherever_they_are_named(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    synthetic = passport.read(passport.beside(bundle / "models" / "model.pt")).synthetic
    says = "DEMONSTRATION WEIGHTS, trained on synthetic anatomy, not for images of people."
    assert metadata["description"].startswith(says) == synthetic
    assert metadata["version"].startswith("0.0.") == synthetic
    output = metadata["network_data_format"]["outputs"]["pred"]
    if output["format"] == "segmentation":
        names = [name for name in output["channel_def"].values() if name != "background"]
        assert names and all(name.endswith("(demo)") == synthetic for name in names)
    assert says.split(",")[0] in (bundle / "docs" / "README.md").read_text() or not synthetic


def test_all_weights_together_stay_within_their_budget():
    sizes = [file.stat().st_size for ending in ("pt", "pth") for file in BUNDLES.glob(f"*/models/*.{ending}")]
    assert sum(sizes) < 48 * 2**20


@of_family("pretraining")
def test_pretraining_can_go_on_from_its_weights(bundle, caplog):
    with caplog.at_level("INFO"):
        workflow(TRAIN, "train", **TINY, pretrained="models/pretraining.pth").parser.get_parsed_content("network")
    assert "100.0 % of the elements of the network fit" in caplog.text
    assert "0 missing, 0 unexpected" in caplog.text


def test_network_takes_and_gives_what_metadata_says(bundle):
    verify_net_in_out(net_id="network_def", meta_file="configs/metadata.json", config_file=INFERENCE, device="cpu")


@pytest.mark.parametrize(
    ("config", "workflow_type", "overrides"),
    [(TRAIN, "train", TINY), (EVALUATE, "train", TINY), (INFERENCE, "inference", TINY_INFERENCE)],
    ids=["train", "evaluate", "inference"],
)
def test_properties(bundle, config, workflow_type, overrides):
    assert workflow(config, workflow_type, **overrides).check_properties() == []


# the smallest sizes at which the networks of the publications take a step
SMALL_PAPER = {
    "alice_pretraining": {
        "network_def#student#backbone#feature_size": 12,
        "network_def#student#projection#encoder_channels": 192,
        "network_def#student#projection#decoder_channels": 96,
        "network_def#casa#dropout": 0.1,
        "roi_size": [32, 64, 32],
    },
    "anatomical_landmark_embedding": {
        "network_def#student#backbone#channels": [8, 8, 16, 16],
        "network_def#student#embedding_dim": 8,
        "pixdim": [12.0, 12.0, 12.0],
    },
    "gvsl_pretraining": {"network_def#student#backbone#channels": [8, 16], "network_def#student#affine_channels": 8},
    "s2dc_pretraining": {
        "network_def#student#backbone#feature_size": 12,
        "network_def#queue_size": 4,
        "crops": [1, 2, 1],
        "roi_size": [32, 64, 32],
    },
}


@pytest.mark.parametrize(
    "bundle", [name for name in NAMES if (BUNDLES / name / "configs" / "paper.json").is_file()], indirect=True
)
def test_the_settings_of_the_publication_take_a_step(bundle):
    overrides = TINY | {"epochs": 1, "epoch_length": 1, "batch_size": 2} | SMALL_PAPER[bundle.name]
    flow = workflow([TRAIN, "configs/paper.json"], "train", **overrides)
    assert flow.check_properties() == []
    before = [p.detach().clone() for p in flow.parser.get_parsed_content("network").parameters()]
    flow.run()
    after = flow.parser.get_parsed_content("network").parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert passport.read(bundle / "output" / "demo" / "model.json").steps == 1


def test_a_run_on_synthetic_items_is_a_demo_and_leaves_the_weights_alone(bundle):
    before = (bundle / "models" / "model.pt").read_bytes()
    workflow(TRAIN, "train", **TINY).run()
    demo = bundle / "output" / "demo"
    assert (bundle / "models" / "model.pt").read_bytes() == before
    assert passport.read(demo / "model.json").synthetic
    history = (demo / "history.csv").read_text().splitlines()
    assert len(history) == 3
    assert history[0].startswith("epoch,steps,seconds,learning_rate,loss,")
    assert ",val_" in history[0]
    assert (demo / "pretraining.pth").is_file() == pretrains(bundle)
    assert (demo / "preview.png").read_bytes().startswith(b"\x89PNG")
    assert list(demo.glob("events.out.tfevents.*"))


def test_a_run_on_real_items_leaves_the_weights_alone_unless_it_publishes(bundle, synthetic_as_real):
    shipped = {file: file.read_bytes() for file in (bundle / "models").iterdir()}
    metadata = (bundle / "configs" / "metadata.json").read_bytes()
    workflow(TRAIN, "train", **TINY, dataset_dir=str(synthetic_as_real)).run()
    assert {file: file.read_bytes() for file in (bundle / "models").iterdir()} == shipped
    assert (bundle / "configs" / "metadata.json").read_bytes() == metadata
    written = passport.read(bundle / "output" / "model.json")
    assert not written.synthetic
    assert [(entry["count"], entry["licence"]) for entry in written.corpus] == [(1 + pretrains(bundle), "CC0-1.0")]
    assert written.sha256 == hashlib.sha256((bundle / "output" / "model.pt").read_bytes()).hexdigest()

    workflow(TRAIN, "train", **TINY, dataset_dir=str(synthetic_as_real), publish="true").run()
    names = ("model.pt", "model.json") + (("pretraining.pth", "pretraining.json") if pretrains(bundle) else ())
    for name in names:
        assert (
            (bundle / "models" / name).read_bytes()
            == (bundle / "output" / name).read_bytes()
            != shipped[bundle / "models" / name]
        )
        assert (bundle / "output" / "previous" / name).read_bytes() == shipped[bundle / "models" / name]
    published = passport.read(bundle / "models" / "model.json")
    assert (
        json.loads((bundle / "configs" / "metadata.json").read_text())["passports"]["model.pt"]["sha256"]
        == published.sha256
    )


@pytest.fixture
def synthetic_as_real(tmp_path, bundle, shared_cache) -> Path:
    """The built-in items without the mark that they are synthetic."""
    items = workflow(TRAIN, "train", **TINY).parser.get_parsed_content("cases")(section="all")
    folder = tmp_path / "as_real"
    folder.mkdir()
    entries = [{key: item[key] for key in ("image", "label") if key in item} for item in items[:3]]
    (folder / "dataset.json").write_text(json.dumps({"name": "as real", "licence": "CC0-1.0", "training": entries}))
    return folder
