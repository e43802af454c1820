"""MONAI Label's CheckpointLoader becomes the run's own start."""

import pytest
from monai.bundle import ConfigParser

from ssl3d.engines.monai_label import adopt_checkpoint_loader

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
    adopt_checkpoint_loader(config)
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
    adopt_checkpoint_loader(config)
    assert config.get() == parser(*handlers).get()


def test_configs_without_the_keys_stay_as_they_are():
    for content in ({"dataset": 1}, {"train": {"handlers": [LOADER]}, "pretrained": "none"}):
        config = ConfigParser(content)
        adopt_checkpoint_loader(config)
        assert config.get() == content
