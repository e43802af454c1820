"""Views of the anatomical embedding: places in mm, windows that share a point, padding, randomness."""

import pytest
import torch
from sampled import assert_a_function_of_seed_and_draw

from ssl3d.transforms import EmbeddingViews, TwoWindows
from ssl3d.transforms.sampling import permutations

SPACING = (1.5, 2.0, 3.0)


def batch(size=(20, 24, 18), draws=(3, 8), channels=1):
    """Volumes whose intensity is the place along each axis in mm: one channel an axis, or the last axis alone."""
    axes = [s * torch.arange(n, dtype=torch.float32) for n, s in zip(size, SPACING, strict=True)]
    image = torch.stack(torch.meshgrid(axes, indexing="ij"))[-channels:].expand(len(draws), channels, *size)
    return {"image": image, "valid": torch.ones(len(draws), 1, *size), "draw": torch.tensor(draws)}


def views_of(batch, seed=0, **settings):
    windows = TwoWindows((12, 10, 8), **{"noise": 0.0, **settings})
    return EmbeddingViews(windows, SPACING, seed)(batch)[0]


def test_coordinates_are_the_places_that_the_images_show():
    views = views_of(batch(channels=3))
    assert views["image"].shape == views["coordinates"].shape == (2, 2, 3, 12, 10, 8)
    torch.testing.assert_close(views["image"], views["coordinates"], rtol=0, atol=1e-3)
    assert views["valid"].shape == (2, 2, 1, 12, 10, 8) and views["valid"].all()
    assert views["draw"].tolist() == [3, 8]


def test_the_two_windows_have_zooms_of_their_own_in_the_range():
    steps = []
    for draw in range(0, 40, 2):
        coordinates = views_of(batch(draws=(draw, draw + 1)))["coordinates"]
        steps.append((coordinates[:, :, 0].diff(dim=2) / SPACING[0]).mean((2, 3, 4)))
        other = (coordinates[:, :, 2].diff(dim=4) / SPACING[2]).mean((2, 3, 4))
        torch.testing.assert_close(steps[-1], other, rtol=1e-4, atol=1e-4)
    steps = torch.cat(steps)
    assert 0.8 <= steps.min() < 0.9 and 1.1 < steps.max() <= 1.2
    assert (steps[:, 0] - steps[:, 1]).abs().mean() > 0.05


@pytest.mark.parametrize(("sharing", "least", "most"), [(1.0, 1.0, 1.0), (0.0, 0.0, 0.6)])
def test_sharing_windows_have_a_point_in_common(sharing, least, most):
    parameters = TwoWindows((12, 10, 8), sharing=sharing).sample(range(60), (60, 60, 60), seed=0)
    extent = parameters.scale[..., None] * torch.tensor([11.0, 9.0, 7.0])
    low, high = parameters.origin.amax(1), (parameters.origin + extent).amin(1)
    assert least <= (low <= high + 1e-4).all(1).float().mean() <= most
    assert (parameters.origin >= -1e-4).all() and (parameters.origin + extent <= 59 + 1e-4).all()


def test_a_window_larger_than_the_volume_has_it_in_its_middle_and_says_what_is_padding():
    views = views_of(batch(size=(20, 6, 18)))
    valid = views["valid"]
    assert 0 < valid.mean() < 1
    inside = (views["coordinates"][:, :, 1:2] >= -1) & (views["coordinates"][:, :, 1:2] <= 5 * SPACING[1] + 1)
    assert torch.equal(valid.bool(), inside)
    count = valid[:, :, 0, 0, :, 0].sum(2)
    front = valid[:, :, 0, 0, :, 0].argmax(2)
    assert ((front - (10 - count) / 2).abs() <= 1).all()


def test_padding_of_the_item_stays_padding():
    item = batch()
    item["valid"][:, :, :, :, 9:] = 0
    views = views_of(item)
    edge = views["coordinates"][:, :, 2:] / SPACING[2]
    assert views["valid"][edge < 8.4].all() and not views["valid"][edge > 8.6].any()


def test_windows_and_noise_are_a_function_of_seed_and_draw():
    assert_a_function_of_seed_and_draw(TwoWindows((12, 10, 8)), (20, 24, 18))
    together = views_of(batch(draws=(3, 8)), noise=0.5)
    alone = views_of(batch(draws=(8,)), noise=0.5)
    for name in ("image", "coordinates", "valid"):
        assert torch.equal(together[name][1:], alone[name]), name
    other = views_of(batch(draws=(8,)), noise=0.5, seed=1)
    assert not torch.equal(other["image"], alone["image"])
    clean = views_of(batch(draws=(8,)))
    assert 0.01 < (alone["image"] - clean["image"]).std() < 0.5


def test_permutations_are_a_function_of_seed_and_draw():
    first, second = permutations(0, [4, 5], "test")
    (again,) = permutations(0, [5], "test")
    assert sorted(first(9).tolist()) == list(range(9))
    order = second(50)
    assert torch.equal(order, again(50)) and not torch.equal(order, second(50))
    assert not torch.equal(order, permutations(0, [5], "other")[0](50))


@pytest.mark.parametrize("setting", [{"zoom": 1.0}, {"sharing": 1.5}, {"noise": -1.0}])
def test_wrong_arguments_are_named(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name} .*{value}"):
        TwoWindows((8, 8, 8), **setting)
    with pytest.raises(ValueError, match=r"\(1.0, 0.0, 2.0\)"):
        EmbeddingViews(TwoWindows((8, 8, 8)), (1.0, 0.0, 2.0))
