import logging
from collections import Counter

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, LoadImaged, RandFlipd, RandSpatialCropd
from torch.utils.data import DataLoader

from ssl3d.data import PairDataset
from ssl3d.transforms import ValidMaskd

VOLUMES = ["fixed", "moving", "fixed_valid", "moving_valid"]


@pytest.fixture
def items(tmp_path):
    """Three volumes of one group, two of another, one alone; sizes differ."""
    shapes = [(8, 9, 10), (10, 8, 9), (8, 8, 8), (12, 8, 8), (8, 8, 9), (9, 9, 9)]
    made = []
    for number, (shape, group) in enumerate(zip(shapes, "aaabbc", strict=True)):
        path = tmp_path / f"{number}.nii.gz"
        nib.save(nib.Nifti1Image(np.full(shape, number + 1, np.float32), np.eye(4)), path)
        made.append({"image": str(path), "name": str(number), "group": group})
    return made


def dataset(items, seed=0, crop=(6, 6, 6)):
    load = [LoadImaged("image", ensure_channel_first=True), ValidMaskd("image")]
    random = [RandSpatialCropd(VOLUMES, crop, random_size=False), RandFlipd(VOLUMES, 0.5, 0)]
    return PairDataset(items, Compose(load + random), seed=seed)


def test_pairs_stay_within_a_group_and_are_two_people(items):
    pairs = dataset(items)
    for draw in range(200):
        fixed, moving = pairs.pair(draw)
        assert items[fixed]["group"] == items[moving]["group"]
        assert (fixed == moving) == (items[fixed]["group"] == "c")


def test_groups_are_drawn_by_the_square_root_of_their_size(items):
    pairs = dataset(items)
    counts = Counter(items[pairs.pair(draw)[0]]["group"] for draw in range(3000))
    roots = np.sqrt([3, 2, 1])
    for group, expected in zip("abc", roots / roots.sum(), strict=True):
        assert counts[group] / 3000 == pytest.approx(expected, abs=0.04)


def test_both_orders_of_a_pair_are_drawn_equally(items):
    pairs = dataset(items[3:5])
    counts = Counter(pairs.pair(draw) for draw in range(1000))
    assert set(counts) == {(0, 1), (1, 0)}
    assert abs(counts[0, 1] - 500) < 80


def test_an_item_is_a_function_of_seed_and_draw(items):
    one, two = dataset(items), dataset(items)
    for draw in (5, 0, 3):
        assert torch.equal(one[draw]["fixed"], two[draw]["fixed"])
        assert torch.equal(one[draw]["moving"], two[draw]["moving"])
    assert any(one.pair(draw) != dataset(items, seed=1).pair(draw) for draw in range(10))
    with pytest.raises(IndexError, match="-1"):
        one[-1]


def test_the_moving_volume_takes_the_size_of_the_fixed_one_and_knows_its_padding(items):
    items = [items[2], {**items[3], "group": "a"}]
    pairs = PairDataset(items, [LoadImaged("image", ensure_channel_first=True), ValidMaskd("image")])
    item = next(pairs[draw] for draw in range(20) if pairs.pair(draw) == (1, 0))  # 12 x 8 x 8 fixed, 8 x 8 x 8 moving
    assert {item[key].shape for key in VOLUMES} == {(1, 12, 8, 8)}
    assert item["moving_valid"].flatten(2).amax(2).flatten().tolist() == [0, 0, *[1] * 8, 0, 0]
    assert torch.equal(item["moving"] > 0, item["moving_valid"] > 0)
    assert item["fixed_valid"].all()
    item = next(pairs[draw] for draw in range(20) if pairs.pair(draw) == (0, 1))
    assert item["moving"].shape == (1, 8, 8, 8)


def test_batches_hold_what_the_views_need(items):
    batch = next(iter(DataLoader(dataset(items), batch_size=4)))
    assert batch["fixed"].shape == batch["moving_valid"].shape == (4, 1, 6, 6, 6)
    assert batch["draw"].tolist() == [0, 1, 2, 3]
    assert batch["copy"].tolist() == [int(f == m) for f, m in map(dataset(items).pair, range(4))]


def test_groups_of_one_are_counted_in_the_log(items, caplog):
    with caplog.at_level(logging.WARNING):
        dataset(items)
    assert "1 of 3 groups have one volume only" in caplog.text


def test_pairs_of_different_channel_counts_are_refused_by_name(items, tmp_path):
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8, 2), np.float32), np.eye(4)), tmp_path / "two.nii.gz")
    items = [items[2], {"image": str(tmp_path / "two.nii.gz"), "name": "two", "group": "a"}]
    pairs = PairDataset(items, [LoadImaged("image", ensure_channel_first=True), ValidMaskd("image")])
    with pytest.raises(ValueError, match=r"two has 2 channels.*2 has 1|2 has 1 channels and two has 2"):
        pairs[0]
