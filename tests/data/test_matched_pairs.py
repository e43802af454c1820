"""Pairs of crops around equal places: what a matcher finds is cropped, retries are bounded, fall-backs are counted."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_alice import section
from monai.transforms import Compose, Lambda

from ssl3d.data.matched_pairs import NAMED, Match, MatchedPairDataset, crop, foreground_point

SIZE = (12, 10, 14)


def volume(number: int) -> torch.Tensor:
    """(1, *SIZE), each voxel with a value of its own; never 0."""
    return (1 + torch.arange(12 * 10 * 14).float() + 10_000 * number).view(1, *SIZE)


def prepare(item):
    return {**item, "image": volume(item["number"]), "valid": torch.ones(1, *SIZE, dtype=torch.uint8)}


class Shifted:
    """Says that each place of a volume lies one voxel further along D in the next one, with a given score."""

    def __init__(self, *scores):
        self.scores, self.calls = scores, []

    def __call__(self, first, second, random):
        place = tuple(float(random.randint(3, 7)) for _ in range(3))
        self.calls.append((first["name"], second["name"], first["key"]))
        score = self.scores[min(len(self.calls), len(self.scores)) - 1]
        return Match(place, (place[0] + 1, place[1], place[2]), score)


def dataset(tmp_path, matcher, groups="aab", **options):
    items = [{"name": f"v{number}", "number": number, "group": group} for number, group in enumerate(groups)]
    return MatchedPairDataset(items, Compose([Lambda(prepare)]), matcher, (6, 4, 8), cache_dir=tmp_path, **options)


def draws_of(data, group_sizes=(2,), count=30):
    return [draw for draw in range(count) if len(set(data.pair(draw))) in group_sizes]


def test_crops_lie_around_the_places_that_the_matcher_found(tmp_path):
    matcher = Shifted(0.8)
    data = dataset(tmp_path, matcher)
    draw = draws_of(data)[0]
    item, (one, other) = data[draw], data.pair(draw)
    assert item["image"].shape == (2, 1, 6, 4, 8) and item["valid"].shape == (2, 1, 6, 4, 8)
    assert item["score"] == 0.8 and item["copy"] == 0 and item["draw"] == draw
    assert matcher.calls[0][:2] == (f"v{one}", f"v{other}") and len(matcher.calls[0][2]) > 40
    first, second = item["image"][:, 0, 3, 2, 4] - 10_000 * torch.tensor([one, other])
    assert second - first == 10 * 14  # one voxel further along D


def test_a_draw_gives_the_same_item_whatever_came_before(tmp_path):
    data, again = dataset(tmp_path, Shifted(0.8)), dataset(tmp_path, Shifted(0.8))
    draw = draws_of(data)[2]
    for other in range(draw):
        data[other]
    assert torch.equal(data[draw]["image"], again[draw]["image"])
    assert not torch.equal(data[draw]["image"], dataset(tmp_path, Shifted(0.8), seed=1)[draw]["image"])


def test_places_are_tried_until_one_reaches_the_threshold(tmp_path):
    matcher = Shifted(0.1, 0.2, 0.75, 0.9)
    data = dataset(tmp_path, matcher, threshold=0.7)
    assert data[draws_of(data)[0]]["score"] == 0.75 and len(matcher.calls) == 3


def test_where_none_does_both_crops_are_of_one_volume_which_is_counted_and_logged(tmp_path, caplog):
    matcher = Shifted(0.3, 0.4, 0.2)
    data = dataset(tmp_path, matcher, threshold=0.7, tries=3)
    draw = draws_of(data)[0]
    item = data[draw]
    assert item["copy"] == 1 and item["score"] == 1 and len(matcher.calls) == 3
    assert torch.equal(item["image"][0], item["image"][1])
    assert "the best of 3 places scores 0.40, the threshold is 0.7" in caplog.text
    for draw in draws_of(data, count=60)[1 : NAMED + 4]:
        data[draw]
    assert data.unmatched == NAMED + 4 and caplog.text.count("both crops are of the first") == NAMED


def test_a_group_of_one_volume_needs_no_matcher(tmp_path, caplog):
    data = dataset(tmp_path, None, groups="a")
    item = data[0]
    assert item["copy"] == 1 and torch.equal(item["image"][0], item["image"][1]) and "one volume only" in caplog.text


def test_pairs_stay_within_a_group(tmp_path):
    matcher = Shifted(0.9)
    data = dataset(tmp_path, matcher, groups="aabb")
    for draw in range(12):
        data[draw]
    assert {frozenset(call[:2]) for call in matcher.calls} == {frozenset(("v0", "v1")), frozenset(("v2", "v3"))}


def test_crops_that_leave_the_volume_are_zeros_and_not_valid():
    cut = crop(volume(0), (0, 9, 7), (4, 4, 4))
    assert cut.shape == (1, 4, 4, 4) and cut[0, 2, 2, 2] == volume(0)[0, 0, 9, 7]
    assert (cut[:, :2] == 0).all() and (cut[:, :, 3:] == 0).all() and (cut[:, 2:, :3] > 0).all()
    assert torch.equal(crop(volume(0), (-50, 99, 7), (4, 4, 4)), cut)


def test_golden_crops():
    """One of the points lies a voxel beyond the volume, where the release crops and ours moves the point in: a layer of
    zeros at the far ends makes it a voxel of the volume, and changes nothing else.
    """
    golden = section("alice", "crop")
    whole = F.pad(torch.arange(10.0 * 12 * 9).view(1, 10, 12, 9), [0, 1] * 3)
    for expected in golden["cases"]:
        cut = crop(whole, expected["point"], golden["roi"])
        assert list(cut[None].shape) == expected["shape"] and cut.sum() == expected["sum"], expected["point"]
        assert cut.count_nonzero() == expected["nonzero"]
        assert cut[0, 0, 0].tolist() == expected["first"] and cut[0, -1, -1].tolist() == expected["corner"]


def test_points_lie_in_what_is_real_and_bright():
    image, valid = torch.zeros(1, *SIZE), torch.zeros(1, *SIZE)
    valid[:, 6:], image[:, 4:8] = 1, 1
    for seed in range(20):
        place = foreground_point({"image": image, "valid": valid}, np.random.RandomState(seed))
        assert 6 <= place[0] < 8
    dark = foreground_point({"image": 0 * image, "valid": valid}, np.random.RandomState(0))
    assert dark[0] >= 6


@pytest.mark.parametrize(
    ("options", "words"),
    [({"threshold": 2}, "threshold .*2"), ({"tries": 0}, "tries .*0"), ({"threshold": -1.5}, "threshold")],
)
def test_numbers_out_of_range_are_named(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        dataset(tmp_path, None, **options)
