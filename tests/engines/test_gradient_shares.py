"""The share of each part of a loss in the gradient at the backbone."""

import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from torch import nn

from ssl3d.engines import GradientShares
from ssl3d.losses import WeightedSum
from ssl3d.methods import Method


class Shares(Method):
    """Two parts of the loss with known gradients at the weights of the backbone, and one that never reaches it."""

    def __init__(self) -> None:
        super().__init__(nn.Module())
        self.student.backbone = nn.Linear(2, 1, bias=False)
        self.student.backbone.weight.data = torch.tensor([[3.0, 4.0]])
        self.head = nn.Parameter(torch.ones(()))

    def forward(self, views):
        weight = self.student.backbone.weight
        return {"a": weight.sum(), "b": weight.square().sum() / 2, "c": self.head.square(), "watched": weight.max()}


def trainer(loss, epochs=2):
    method = Shares()
    made = SupervisedTrainer(
        "cpu",
        epochs,
        DataLoader([{"image": torch.zeros(1), "label": torch.zeros(1)}] * 3, batch_size=1),
        method,
        torch.optim.SGD(method.parameters(), lr=0.0),
        loss,
        decollate=False,
    )
    GradientShares(method, loss).attach(made)
    return made, method


def test_shares_are_those_of_the_weighted_norms_and_sum_to_one():
    made, _ = trainer(WeightedSum({"a": 1.0, "b": 2.0, "c": 1.0}))
    made.run()
    found = made.state.metrics
    a, b = 2**0.5, 2 * 5.0  # |(1, 1)| and 2 |(3, 4)|
    assert found == {
        "gradient_a": pytest.approx(a / (a + b)),
        "gradient_b": pytest.approx(b / (a + b)),
        "gradient_c": 0.0,
    }


def test_a_part_without_weight_is_not_measured():
    made, _ = trainer(WeightedSum({"a": 1.0, "b": 0.0}))
    made.run()
    assert made.state.metrics == {"gradient_a": 1.0}


def test_it_measures_once_an_epoch_and_leaves_the_gradient_as_it_is(monkeypatch):
    calls = []
    measured = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: calls.append(1) or measured(*a, **k))
    loss = WeightedSum({"a": 1.0, "b": 2.0})
    made, method = trainer(loss, epochs=2)
    made.run()
    assert len(calls) == 4, "two parts in each of two epochs of three steps"
    torch.testing.assert_close(method.student.backbone.weight.grad, torch.tensor([[7.0, 9.0]]))
