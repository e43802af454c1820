"""Draws: what the sampler yields, and that an item is a function of (seed, draw) whatever else happened."""

from collections import Counter

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    OneOf,
    RandAffined,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandSimulateLowResolutiond,
    RandSpatialCropd,
)

from ssl3d.data import DrawDataset, DrawSampler, PreparedDataset, draw_seed

LOAD = [LoadImaged("image"), EnsureChannelFirstd("image")]


def random_transforms():
    return [
        RandSpatialCropd("image", (5, 5, 5), random_size=False),
        RandAffined("image", prob=0.9, rotate_range=0.3, scale_range=0.1, translate_range=1.0, padding_mode="zeros"),
        Compose([RandFlipd("image", prob=0.5), RandSimulateLowResolutiond("image", prob=0.5)]),
        OneOf([RandGaussianNoised("image", prob=1.0), RandGaussianSmoothd("image", prob=1.0)]),
        RandScaleIntensityd("image", 0.5, prob=0.5),
    ]


@pytest.fixture
def items(tmp_path, write_nifti, image_array):
    paths = [write_nifti(tmp_path / f"case_{i}.nii.gz", image_array(i)) for i in range(5)]
    return [{"image": str(path), "name": path.name} for path in paths]


@pytest.fixture
def dataset(items):
    return DrawDataset(items, LOAD + random_transforms(), seed=3)


def test_each_pass_is_a_permutation_of_its_own(items, dataset):
    passes = [[dataset.index(draw) for draw in range(5 * p, 5 * p + 5)] for p in range(6)]
    assert all(sorted(order) == list(range(5)) for order in passes)
    assert len({tuple(order) for order in passes}) > 3
    other = DrawDataset(items, LOAD, seed=4)
    assert [other.index(draw) for draw in range(30)] != [i for order in passes for i in order]
    assert dataset[7]["name"] == items[dataset.index(7)]["name"]
    assert dataset[7]["draw"] == 7
    assert len(dataset) == 5
    assert [item["draw"] for item in dataset] == list(range(5))
    with pytest.raises(IndexError, match="-1"):
        dataset[-1]


def test_a_draw_is_the_same_in_any_order_and_history(items, dataset):
    expected = {draw: dataset[draw]["image"].clone() for draw in range(20)}
    assert len({image.sum().item() for image in expected.values()}) == 20  # passes over the same item differ
    fresh = DrawDataset(items, Compose([Compose(LOAD), Compose(random_transforms())]), seed=3)
    np.random.seed(0)
    torch.manual_seed(0)
    for draw in (19, 4, 4, 0, 13, 4):
        assert torch.equal(fresh[draw]["image"], expected[draw])
    assert not torch.equal(DrawDataset(items, LOAD + random_transforms(), seed=5)[4]["image"], expected[4])


def test_the_number_of_workers_changes_nothing(dataset):
    def epoch(workers: int, number: int):
        sampler = DrawSampler(dataset, batch_size=2, epoch_length=4)
        sampler.set_epoch(number)
        return list(DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers))

    for number in (1, 3):
        alone, workers = epoch(0, number), epoch(2, number)
        assert [batch["draw"].tolist() for batch in alone] == [
            [8 * (number - 1) + 2 * i, 8 * (number - 1) + 2 * i + 1] for i in range(4)
        ]
        for a, b in zip(alone, workers, strict=True):
            assert torch.equal(a["image"], b["image"])
            assert a["draw"].tolist() == b["draw"].tolist()
            assert a["name"] == b["name"]


def test_multiple_samples_carry_their_draw(items):
    crop = RandCropByPosNegLabeld("image", "image", (3, 3, 3), num_samples=2)
    dataset = DrawDataset(items, [*LOAD, crop])
    assert [sample["draw"] for sample in dataset[6]] == [6, 6]
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(dataset[6], dataset[6], strict=True))


def test_ranks_share_the_draws_of_one_process_with_the_larger_batch():
    data = range(7)
    for epoch in (1, 2, 5):
        ranks = []
        for rank in range(2):
            sampler = DrawSampler(data, batch_size=3, epoch_length=4, num_replicas=2, rank=rank)
            sampler.set_epoch(epoch)
            assert len(sampler) == 12
            ranks.append(list(sampler))
        alone = DrawSampler(data, batch_size=6, epoch_length=4)
        alone.set_epoch(epoch)
        draws = list(alone)
        assert draws == list(range(24 * (epoch - 1), 24 * epoch))
        for i in range(4):
            batches = [rank[3 * i : 3 * i + 3] for rank in ranks]
            assert sorted(batches[0] + batches[1]) == draws[6 * i : 6 * i + 6]
            assert all(draw % 2 == rank for rank in range(2) for draw in batches[rank])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("resumed_after", [0, 1])
def test_monai_trainer_sees_each_epoch_and_resumes(dataset, workers, resumed_after):
    """The draws of epochs 1 to 3, from the start or from the state at the end of epoch 1."""
    seen = []
    network = torch.nn.Conv3d(1, 1, 1)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=3,
        train_data_loader=DataLoader(
            dataset,
            batch_size=2,
            sampler=DrawSampler(dataset, batch_size=2, epoch_length=3),
            num_workers=workers,
            persistent_workers=workers > 0,
        ),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.0),
        loss_function=lambda pred, _: pred.mean(),
        prepare_batch=lambda batch, device, non_blocking, **_: (
            seen.append(batch["draw"].tolist()),
            (batch["image"], None),
        )[1],
        decollate=False,
    )
    assert trainer.state.epoch_length == 3
    if resumed_after:
        trainer.load_state_dict({"epoch": resumed_after, "max_epochs": 3, "epoch_length": 3})
    trainer.run()
    assert seen == [[draw, draw + 1] for draw in range(6 * resumed_after, 18, 2)]


def test_draws_share_the_cache_of_prepared_items(items, dataset):
    assert dataset.cache_dir == PreparedDataset(items, LOAD).cache_dir
    for draw in range(10):
        dataset[draw]
    assert len(list(dataset.cache_dir.glob("*.pt"))) == 5


def test_seeds_of_draws_are_spread():
    seeds = Counter(draw_seed(seed, draw) for seed in range(4) for draw in range(1000))
    assert len(seeds) == 4000
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_what_makes_no_sense():
    for arguments in ({"batch_size": 0, "epoch_length": 1}, {"batch_size": 1, "epoch_length": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            DrawSampler(range(3), **arguments)
    with pytest.raises(ValueError, match="empty"):
        DrawSampler([], batch_size=1, epoch_length=1)
    with pytest.raises(ValueError, match="rank"):
        DrawSampler(range(3), batch_size=1, epoch_length=1, num_replicas=2, rank=2)
    with pytest.raises(ValueError, match="count from 1, got 0"):
        DrawSampler(range(3), batch_size=1, epoch_length=1).set_epoch(0)
