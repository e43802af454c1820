"""Settings as the command line hands them over."""

from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from ssl3d.engines.settings import check_settings


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("output_dir", 20240501, "20240501"),
        ("output_dir", "~/runs", str(Path.home() / "runs")),
        ("model_dir", "~/m", str(Path.home() / "m")),
        ("dataset_dir", None, None),
        ("dataset_dir", "$@bundle_root + '/data'", "$@bundle_root + '/data'"),
        ("roi_size", 64, [64, 64, 64]),
        ("roi_size", (32, 48, 32), [32, 48, 32]),
        ("pixdim", 1.5, [1.5, 1.5, 1.5]),
        ("pixdim", [1, 1, 2.5], [1, 1, 2.5]),
        ("pixdim", {"_target_": "some.function"}, {"_target_": "some.function"}),
        ("epochs", 3, 3),
        ("epochs", "@other", "@other"),
        ("learning_rate", 0.1, 0.1),
        ("resume", "true", "true"),
    ],
)
def test_settings_that_can_be_meant_are_understood(key, value, kept):
    parser = ConfigParser({"bundle_root": ".", key: value})
    assert check_settings(parser) == []
    assert parser[key] == kept


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("epochs", value) for value in (0, -1, 1.5, "many", True)),
        *(("epoch_length", value) for value in (0, 2.5)),
        *(("batch_size", value) for value in (0, "two")),
        *(("seed", value) for value in (-1, 1.5, "abc")),
        ("num_workers", -1),
        *(("learning_rate", value) for value in ("abc", 0, -1, float("nan"), float("inf"))),
        *(("roi_size", value) for value in (0, 1.5, [32, 32], [32, 32, -1], "large", [32, 32, 32.0])),
        *(("pixdim", value) for value in (0, (1, 1), [1.0, 1.0, -1], [1, 1, "x"])),
        *((key, "perhaps") for key in ("resume", "amp", "skip_bad", "publish")),
    ],
)
def test_settings_that_cannot_be_used_are_named_with_their_value(key, value):
    faults = check_settings(ConfigParser({key: value}))
    assert len(faults) == 1
    assert faults[0].startswith(f"{key} must be ")
    assert repr(value) in faults[0]


@pytest.mark.parametrize(("device", "words"), [("cuda", "finds no GPU"), ("gpu", "must be cpu, cuda")])
def test_a_device_that_is_not_there_is_refused_at_once(device, words, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert words in check_settings(ConfigParser({"device": device}))[0]
    assert check_settings(ConfigParser({"device": "cpu"})) == check_settings(ConfigParser({"device": "$1/0"})) == []


def test_all_faults_are_named_at_once():
    assert len(check_settings(ConfigParser({"epochs": 0, "seed": -1, "roi_size": "x"}))) == 3
