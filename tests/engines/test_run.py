"""One handler that knows the order of the others."""

import inspect
import sys
from typing import ClassVar

import pytest
import torch
from torch import nn

from ssl3d.engines import Publish, Run

MODULE = sys.modules[Run.__module__]


class Noted:
    """A handler that notes when it is attached and what it was made of."""

    order: ClassVar[list[str]] = []
    made: ClassVar[dict[str, tuple]] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *arguments, **named):
        self.made[self.name] = arguments, named
        return self

    def attach(self, trainer) -> None:
        self.order.append(self.name)


@pytest.fixture(autouse=True)
def noted(monkeypatch):
    monkeypatch.setattr(Noted, "order", [])
    monkeypatch.setattr(Noted, "made", {})
    for name in ("Progress", "LrScheduleHandler", "Checkpoints", "Publish"):
        monkeypatch.setattr(MODULE, name, Noted(name))


def parts(**named) -> Run:
    network = nn.Linear(1, 1)
    return Run("run", network, torch.optim.SGD(network.parameters()), [], **named)


def test_what_measures_comes_before_what_reports_and_the_schedule_before_the_checkpoint():
    more = {"teacher": Noted("teacher"), "gradient_shares": Noted("shares"), "preview": Noted("preview")}
    parts(lr_scheduler=object(), **more).attach(None)
    whole = ["teacher", "shares", "Progress", "preview", "LrScheduleHandler", "Checkpoints", "Publish"]
    assert Noted.order == whole


def test_what_a_run_does_not_have_is_left_out():
    parts().attach(None)
    assert Noted.order == ["Progress", "Checkpoints", "Publish"]


def test_every_argument_of_publish_can_be_given():
    given = {"method": "mae", "branch": "teacher", "roi_size": [8, 8, 8], "publish": "true", "label_names": ["a"]}
    parts(model_dir="m", pretrained="p", bundle_root="b", **given)
    positional, named = Noted.made["Publish"]
    assert (positional[:2], positional[4:], named) == (("run", "m"), ("p", "b"), given)
    assert set(inspect.signature(Publish).parameters) - {"run_dir"} <= set(inspect.signature(Run).parameters)
