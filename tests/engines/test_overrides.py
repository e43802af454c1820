"""Unknown keys of a merged config."""

import json

import pytest

from ssl3d.engines.overrides import known_config, nearest, plain_texts, unknown_keys, unknown_targets

TRAIN = {
    "epochs": 3,
    "imports": ["$import torch"],
    "optimizer": {"_target_": "torch.optim.SGD", "params": [], "lr": "@lr"},
    "lr": 0.1,
    "train": {"inferer": {"_target_": "SimpleInferer"}, "handlers": [{"_target_": "ValidationHandler", "interval": 1}]},
    "names": {"1": "liver"},
}


@pytest.fixture
def configs(tmp_path):
    (tmp_path / "train.json").write_text(json.dumps(TRAIN))
    (tmp_path / "evaluate.json").write_text(json.dumps({"section": "test", "train#inferer": {"_target_": "X"}}))
    (tmp_path / "metadata.json").write_text(json.dumps({"version": "1"}))
    return tmp_path


def unknown(configs, **change):
    return dict(unknown_keys(json.loads(json.dumps(TRAIN)) | change, known_config(configs)))


def test_the_config_itself_is_known(configs):
    assert unknown(configs) == {}
    assert unknown(configs, section="test") == {}, "an overlay's key"


def test_a_misspelt_key_gets_the_nearest_names(configs):
    assert unknown(configs, epoch=3) == {"epoch": ["epochs"]}


def test_metadata_are_no_settings(configs):
    assert "version" in unknown(configs, version="2")


def test_below_a_target_the_signature_counts(configs):
    assert unknown(configs, optimizer=TRAIN["optimizer"] | {"momentum": 0.9}) == {}
    found = unknown(configs, optimizer=TRAIN["optimizer"] | {"momentums": 0.9})
    assert found["optimizer#momentums"][0] == "optimizer#momentum"


def test_a_replaced_component_is_judged_by_its_own_signature(configs):
    assert unknown(configs, optimizer={"_target_": "torch.optim.Adam", "params": [], "betas": [0.9, 0.9]}) == {}
    assert "optimizer#beta" in unknown(configs, optimizer={"_target_": "torch.optim.Adam", "params": [], "beta": 1})


def test_entries_of_a_list_are_walked(configs):
    train = TRAIN["train"] | {"handlers": [{"_target_": "ValidationHandler", "intervals": 1}]}
    found = unknown(configs, train=train)
    assert found["train#handlers#0#intervals"][0] == "train#handlers#0#interval"


def test_data_that_replace_data_are_free(configs):
    assert unknown(configs, lr={"any": {"thing": 1}}) == {}


def test_what_tracking_and_monai_label_add_is_known(configs):
    assert unknown(configs, tracking_uri="x", experiment_name="y", displayable_configs={"a": 1}) == {}


@pytest.mark.parametrize("key", ["dataset", "network_def", "network_def#backbone"])
def test_a_plain_text_for_a_component_is_named(key):
    known = {"dataset": {"_target_": "Dataset"}, "network_def": {"_target_": "Net", "backbone": {"_target_": "UNet"}}}
    config = {"dataset": "@other", "network_def": {"_target_": "Net", "backbone": "$make()"}, "device": "cpu"}
    assert list(plain_texts(config, known)) == []
    at = config["network_def"] if "#" in key else config
    at[key.split("#")[-1]] = "text"
    assert list(plain_texts(config, known)) == [(key, "text")]


def test_suggestions_never_name_keys_of_monai():
    assert nearest("meta", ["_meta_", "metal"]) == ["metal"]
    assert nearest("trainers", ["trainer", "train"]) == ["train"], "trainer is added by experiment tracking"


@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("torch.optim.AdamWW", "torch.optim.AdamW"),
        ("DiceCELos", "DiceCELoss"),
        ("ssl3d.networks.UNet33d", "ssl3d.networks.UNet3d"),
        ("absent_module.Net", None),
    ],
)
def test_a_misspelt_target_gets_the_nearest_name(target, near):
    config = {"list": [{"_target_": "torch.optim.SGD", "inner": {"_target_": target}}]}
    assert list(unknown_targets(config, {})) == [("list#0#inner", target, near)]
    assert list(unknown_targets(config, config)) == [], "the bundle's own may need what is not installed"


@pytest.mark.parametrize(
    ("target", "old", "new"),
    [
        ("ssl3d.methods.S2DC", "temperature", "matching#temperature"),
        ("ssl3d.methods.S2DC", "contrast_temperature", "contrast#temperature"),
        ("ssl3d.methods.GVSL", "kernel_size", "ncc#kernel_size"),
    ],
)
def test_an_argument_that_has_moved_is_named_with_its_new_place(target, old, new):
    config = {"network_def": {"_target_": target, old: 1}}
    assert unknown_keys(config, config) == [(f"network_def#{old}", [f"network_def#{new}"])]


def test_a_key_that_has_moved_is_named_with_its_new_place(configs):
    assert unknown(configs, train=TRAIN["train"] | {"random": []}) == {"train#random": ["augmentation", "train#crop"]}
