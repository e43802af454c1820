"""Views for Alice: what is hidden and what the teacher sees, as a function of (seed, draw)."""

import pytest
import torch

from ssl3d.transforms import BlockMask, MatchedViews

SIZE = (16, 8, 16)


def make(shape="cubes", seed=0, **options):
    return MatchedViews(BlockMask(block_size=4, ratio=0.75, shape=shape), (2, 2, 3), seed=seed, **options)


def batch_of(draws=(3, 8)):
    image = torch.rand(len(draws), 2, 1, *SIZE, generator=torch.Generator().manual_seed(0)) + 0.5
    ones = torch.ones(len(draws), 2, 1, *SIZE, dtype=torch.uint8)
    return {
        "image": image,
        "valid": ones,
        "score": torch.tensor([0.8, 1.0]),
        "copy": torch.tensor([0, 1]),
        "draw": torch.tensor(draws),
    }


def test_the_student_s_crops_have_hidden_blocks_and_the_teacher_s_have_none():
    batch = batch_of()
    views, target = make()(batch)
    assert target is None and torch.equal(views["image"], batch["image"])
    hidden = views["hidden"].bool()
    assert hidden.float().mean() == 0.75 and (views["masked"][hidden] == 0).all()
    assert torch.equal(views["masked"][~hidden], views["image"][~hidden])
    assert not torch.equal(hidden[:, 0], hidden[:, 1]), "each crop has a mask of its own"
    assert (views["target"][hidden] > 0.2).float().mean() > 0.7
    assert views["score"].tolist() == pytest.approx([0.8, 1.0]) and views["copy"].tolist() == [0, 1]


def test_the_teacher_s_crops_are_turned_and_noisy_and_each_in_its_own_way():
    batch = batch_of()
    assert torch.allclose(make(noise=0, rotation=0)(batch)[0]["target"], batch["image"], atol=1e-6)
    noise = make(rotation=0)(batch)[0]["target"] - batch["image"]
    assert 0 < noise.std() < 0.1 and not torch.equal(noise[:, 0], noise[:, 1])
    turned = make(noise=0)(batch)[0]["target"]
    assert not torch.allclose(turned, batch["image"], atol=0.05)


def test_views_are_a_function_of_seed_and_draw():
    batch = batch_of()
    second = {key: value[1:] for key, value in batch.items()}
    together, alone = make()(batch)[0], make()(second)[0]
    for name in ("masked", "target", "hidden"):
        assert torch.equal(together[name][1:], alone[name]), name
        assert not torch.equal(make(seed=5)(batch)[0][name], together[name]), name


def test_tubes_run_through_the_whole_third_axis():
    hidden = make("tubes")(batch_of())[0]["hidden"]
    assert torch.equal(hidden, hidden[..., :1].expand_as(hidden)) and hidden.mean() == 0.75
    cubes = make("cubes")(batch_of())[0]["hidden"]
    assert not torch.equal(cubes, cubes[..., :1].expand_as(cubes))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"noise .*-1"):
        make(noise=-1)
    with pytest.raises(ValueError, match=r"shape .*'balls'"):
        make("balls")
