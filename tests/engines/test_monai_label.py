"""MONAI Label's CheckpointLoader becomes the run's own start."""

import sys

import pytest
from monai.bundle import ConfigParser

from ssl3d.engines.monai_label import adopt_monai_label

OWN = {"_target_": "ValidationHandler", "interval": 1}
LOADER = {
    "_target_": "CheckpointLoader",
    "load_path": "/app/model/some/models/backbone.pth",
    "load_dict": {"model": "$@network"},
    "strict": False,
}


def parser(*handlers, **keys) -> ConfigParser:
    return ConfigParser(
        {"pretrained": "none", "pretrained_part": "backbone", "train": {"handlers": [*handlers]}, **keys}
    )


def test_its_file_is_pretrained_and_its_handler_gone():
    config = parser(LOADER, OWN)
    assert config.get_parsed_content("pretrained") == "none"  # parsed before, as in a workflow
    adopt_monai_label(config)
    assert config.get_parsed_content("pretrained") == LOADER["load_path"]
    assert config.get_parsed_content("pretrained_part") == "network"
    assert config["train#handlers"] == [OWN]


@pytest.mark.parametrize(
    "handlers",
    [
        (OWN,),
        ({**LOADER, "load_dict": {"model": "$@network", "optimizer": "$@optimizer"}}, OWN),  # of a user's own config
        ({**LOADER, "load_dict": {"net": "@network"}},),
    ],
)
def test_any_other_config_stays_as_it_is(handlers):
    config = parser(*handlers)
    adopt_monai_label(config)
    assert config.get() == parser(*handlers).get()


def test_its_trainings_publish_and_others_do_not(monkeypatch):
    def published(*handlers) -> bool:
        config = parser(*handlers, publish=False)
        adopt_monai_label(config)
        return config["publish"]

    assert published(LOADER, OWN) is True
    assert published(OWN) is False
    monkeypatch.setattr(sys, "argv", ["-m", "--config_file", "['configs/train.json','configs/monailabel_train.json']"])
    assert published(OWN) is True
    monkeypatch.setattr(sys, "argv", ["-m"])
    monkeypatch.setitem(sys.modules, "monailabel", object())
    assert published(OWN) is True


def test_configs_without_the_keys_stay_as_they_are():
    for content in ({"dataset": 1}, {"train": {"handlers": [LOADER]}, "pretrained": "none"}):
        config = ConfigParser(content)
        adopt_monai_label(config)
        assert config.get() == content
