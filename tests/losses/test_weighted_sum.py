import pytest
import torch

from ssl3d.losses import WeightedSum


def parts(**values):
    return {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}


def test_sums_the_named_parts_and_ignores_monitors():
    losses = parts(ncc=0.5, smooth=2.0, accuracy=100.0)
    loss = WeightedSum({"ncc": 1, "smooth": 0.1})(losses)
    loss.backward()
    assert loss.shape == () and loss.item() == pytest.approx(0.7)
    assert losses["ncc"].grad == 1 and losses["smooth"].grad == pytest.approx(0.1)
    assert losses["accuracy"].grad is None


def test_takes_the_label_that_the_trainer_passes():
    assert WeightedSum({"ncc": 2.0})(parts(ncc=0.5), None) == 1


def test_a_weight_of_0_turns_a_part_off():
    losses = parts(ncc=0.5, smooth=2.0)
    loss = WeightedSum({"ncc": 0, "smooth": 1})(losses)
    loss.backward()
    assert loss == 2 and losses["ncc"].grad == 0


def test_an_absent_part_is_named_beside_those_present():
    with pytest.raises(ValueError, match="no loss part smooth; the parts are mse, ncc"):
        WeightedSum({"ncc": 1, "smooth": 1})(parts(ncc=0.5, mse=1.0))


def test_a_part_that_is_no_scalar_is_named_with_its_shape():
    with pytest.raises(ValueError, match=r"'ncc'.*\(2, 1\)"):
        WeightedSum({"ncc": 1})({"ncc": torch.zeros(2, 1)})


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), "1", None])
def test_a_weight_that_is_no_finite_number_from_0_is_refused(weight):
    with pytest.raises(ValueError, match=f"'smooth'.*{weight}"):
        WeightedSum({"ncc": 1.0, "smooth": weight})


@pytest.mark.parametrize("weights", [{}, {"ncc": 0, "smooth": 0.0}])
def test_weights_that_leave_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="at least one"):
        WeightedSum(weights)
