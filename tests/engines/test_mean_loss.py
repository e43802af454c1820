import csv
import math

import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from torch import nn

from ssl3d.engines import MeanLoss, Progress, higher, lower
from ssl3d.losses import WeightedSum

DATA = [{"value": torch.tensor([float(number)])} for number in range(4)]


class Parts(nn.Module):
    """A method of one weight: its parts are the mean of the batch, and something to watch."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, views):
        return {"mean": (self.weight * views["value"]).mean(), "watched": views["value"].max()}


def views(batch, device, non_blocking, **_):
    return batch, None


def test_the_mean_over_batches_and_the_parts_in_the_history(tmp_path):
    loss, network, loader = WeightedSum({"mean": 2.0}), Parts(), DataLoader(DATA, batch_size=2)
    common = {"prepare_batch": views, "decollate": False}
    evaluator = SupervisedEvaluator("cpu", loader, network, key_val_metric={"val_loss": MeanLoss(loss)}, **common)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    handlers = [ValidationHandler(1, evaluator), Progress(tmp_path, evaluator)]
    SupervisedTrainer("cpu", 1, loader, network, optimizer, loss, train_handlers=handlers, **common).run()
    assert evaluator.state.metrics["val_loss"] == 2 * 1.5
    with (tmp_path / "history.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert {name: float(row[name]) for name in ("loss", "mean", "watched", "val_loss")} == {
        "loss": 3.0,
        "mean": 1.5,
        "watched": 2.0,
        "val_loss": 3.0,
    }


@pytest.mark.parametrize(
    ("current", "best", "better"),
    [
        *((0.5, -1, True), (0.5, 0.4, False), (0.3, 0.4, True), (0.4, 0.4, True)),
        *((math.nan, -1, False), (math.inf, -1, False), (math.nan, 0.4, False), (0.5, math.nan, True)),
    ],
)
def test_the_lowest_loss_is_the_best(current, best, better):
    assert lower(current, best) is better


@pytest.mark.parametrize(
    ("current", "best", "better"),
    [
        *((0.5, -1, True), (0.3, 0.4, False), (0.5, 0.4, True), (0.0, 0.0, True)),
        *((math.nan, -1, False), (math.inf, 0.4, False), (0.5, math.nan, True)),
    ],
)
def test_the_highest_score_is_the_best_and_of_equals_the_later_one(current, best, better):
    assert higher(current, best) is better
