"""MAE: what the network is shown, what the loss counts, that it learns."""

import pytest
import torch
from torch import nn

from ssl3d.methods import MAE
from ssl3d.networks import ReconstructionNet, UNet3d

SIZE = (8, 10, 12)


def small_method(channels=1, seed=0):
    torch.manual_seed(seed)
    return MAE(ReconstructionNet(UNet3d(channels, (8, 16)), channels))


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def views_of(image, hidden, valid):
    return {"image": image, "masked": image * (1 - hidden), "hidden": hidden, "valid": valid}


def random_views(batch=2, channels=1):
    hidden, valid = (random(batch, 1, *SIZE, seed=seed) for seed in (1, 2))
    return views_of(random(batch, channels, *SIZE), (hidden < 0.6).float(), (valid < 0.7).float())


class FixedStudent(nn.Module):
    """Answers the same, whatever it is shown, and keeps what it was shown."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.shown = image
        return self.answer


@pytest.mark.parametrize("channels", [1, 2])
def test_the_loss_is_the_squared_error_at_hidden_and_valid_voxels(channels):
    views = random_views(channels=channels)
    answer = random(2, channels, *SIZE, seed=3)
    parts = MAE(FixedStudent(answer))(views)
    assert list(parts) == ["reconstruction"] and parts["reconstruction"].shape == ()
    counted = (views["hidden"] * views["valid"]).bool().expand_as(answer)
    squares = (answer - views["image"]).square()
    expected = torch.stack([square[where].mean() for square, where in zip(squares, counted, strict=True)]).mean()
    torch.testing.assert_close(parts["reconstruction"], expected)


def test_visible_voxels_and_padding_receive_no_gradient():
    views = random_views()
    answer = random(2, 1, *SIZE, seed=3).requires_grad_()
    MAE(FixedStudent(answer))(views)["reconstruction"].backward()
    assert torch.equal(answer.grad != 0, views["hidden"] * views["valid"] > 0)


def test_the_network_is_shown_the_masked_volume():
    views = random_views(channels=2)
    method = MAE(FixedStudent(torch.zeros(2, 2, *SIZE)))
    method(views)
    assert torch.equal(method.student.shown, views["masked"])


def test_what_is_hidden_reaches_the_loss_alone():
    method, views = small_method(), random_views()
    other = torch.where(views["hidden"] > 0, random(2, 1, *SIZE, seed=9), views["image"])
    changed = views_of(other, views["hidden"], views["valid"])
    assert (method(views)["reconstruction"] - method(changed)["reconstruction"]).abs() > 1e-4
    first, second = (method.pictures(v)["reconstruction"] for v in (views, changed))
    real = views["valid"] > 0
    assert torch.equal(first[real], second[real])


def test_every_parameter_gets_a_gradient():
    method = small_method(channels=2)
    method(random_views(channels=2))["reconstruction"].backward()
    silent = [name for name, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


@pytest.mark.parametrize("empty", ["hidden", "valid"])
def test_nothing_to_count_is_0_with_a_finite_gradient(empty):
    method, views = small_method(), random_views()
    loss = method({**views, empty: torch.zeros_like(views[empty])})["reconstruction"]
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def test_all_weights_are_the_student_s():
    method = small_method()
    assert set(method.state_dict()) == {f"student.{key}" for key in method.student.state_dict()}


def test_pictures_are_volumes_and_keep_what_is_visible():
    method, views = small_method(), random_views()
    pictures = method.pictures(views)
    assert list(pictures) == ["image", "masked", "reconstruction"]
    assert all(picture.shape == (2, 1, *SIZE) for picture in pictures.values())
    hidden = views["hidden"] * views["valid"] > 0
    assert torch.equal(pictures["image"], views["image"]) and torch.equal(pictures["masked"].isnan(), hidden)
    assert torch.equal(pictures["reconstruction"][~hidden], views["image"][~hidden])
    assert torch.equal(pictures["reconstruction"][hidden], method.student(views["masked"])[hidden])


def test_it_learns_to_fill_in_a_smooth_volume():
    grid = torch.meshgrid([torch.linspace(-1, 1, 16)] * 3, indexing="ij")
    image = torch.sigmoid(4 * (grid[0] + 0.5 * grid[1]))[None, None]
    hidden = torch.nn.functional.interpolate((random(1, 1, 4, 4, 4) < 0.5).float(), scale_factor=4)
    views = views_of(image, hidden, torch.ones_like(image))
    method = small_method()
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        method(views)["reconstruction"].backward()
        optimizer.step()
    error = method(views)["reconstruction"]
    assert error < 0.1 * image[hidden > 0].var()
