"""Retrieval across patients: ranks are counted, parts are chosen far apart."""

import pytest
import torch
from torch import nn

from ssl3d.tasks.farthest import farthest
from ssl3d.tasks.features.retrieval import retrieval, with_random_weights


def test_equal_parts_that_look_alike_come_first():
    vectors = {"a": "xyz", "b": "xyz"}
    eye = dict(zip("xyz", torch.eye(3), strict=True))
    found = retrieval({person: {part: eye[part] for part in parts} for person, parts in vectors.items()})
    assert found == (1.0, 1.0, pytest.approx(1 / 3), 6)


def test_ranks_of_parts_that_look_like_others():
    one = {"x": torch.tensor([1.0, 0]), "y": torch.tensor([0.0, 1])}
    other = {"x": torch.tensor([0.0, 1]), "y": torch.tensor([1.0, 0]), "alone": torch.tensor([0.6, 0.8])}
    found = retrieval({"a": one, "b": other})
    assert found.first == 0 and found.queries == 4
    assert found.rank == pytest.approx((3 + 3 + 2 + 2) / 4) and found.chance == pytest.approx((1 / 3 + 1 / 2) / 2)
    with pytest.raises(ValueError, match="No two scans share"):
        retrieval({"a": {"x": one["x"]}, "b": {"y": one["y"]}})


def test_points_far_apart_are_taken_in_a_fixed_order():
    points = {"d": (0, 0, 0), "a": (1, 0, 0), "b": (10, 0, 0), "c": (5, 0, 0)}
    assert farthest(points, 3) == ["a", "b", "c"] and farthest(points, 9) == ["a", "b", "c", "d"]


def test_random_weights_are_those_of_a_seed_and_leave_the_generator_alone():
    network = nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.Conv3d(4, 2, 1))
    state = torch.get_rng_state()
    one, other = with_random_weights(network), with_random_weights(network)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one[0].weight, other[0].weight) and not torch.equal(one[0].weight, network[0].weight)
