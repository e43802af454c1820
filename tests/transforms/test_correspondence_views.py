"""Views for S2DC: one matrix moves all, padding is known, every parameter a function of (seed, draw)."""

import math

import pytest
import torch
from torch.nn.functional import avg_pool3d

from ssl3d.geometry import correspondence, warp_affine
from ssl3d.transforms import AffineAugmentation, CorrespondenceViews, split_crops
from ssl3d.transforms.views.s2dc import WHOLE

SIZE, CROPS, CELL = (16, 8, 24), (2, 1, 3), 4
STILL = AffineAugmentation(rotation=(0, 0, 0), scale=(1, 1), translation=(0, 0, 0))
MOVED = AffineAugmentation(rotation=(10, 10, 30), translation=(3, 3, 3))
ALL = ["image", "warped", "augmented", "correspondence", "image_valid", "warped_valid", "crop_valid", "chosen", "draw"]


def batch(draws=(3, 8), channels=1, padded=0):
    image = torch.rand(len(draws), channels, *SIZE, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(len(draws), 1, *SIZE, dtype=torch.uint8)
    valid[..., :padded] = 0
    return {"image": image * valid, "valid": valid, "draw": torch.tensor(draws)}


def views_of(given, volume=MOVED, crop=MOVED, **settings):
    views, target = CorrespondenceViews(CROPS, CELL, volume, crop, **settings)(given)
    assert target is None and list(views) == ALL
    return views


@pytest.mark.parametrize("channels", [1, 3])
def test_without_augmentation_the_views_are_the_volumes(channels):
    given = batch(channels=channels)
    views = views_of(given, STILL, STILL, intensity=0)
    for name in ("image", "warped", "augmented"):
        torch.testing.assert_close(views[name], given["image"], atol=1e-6, rtol=0)
    assert torch.equal(views["correspondence"], torch.eye(48, dtype=torch.bool).expand(2, 48, 48))
    assert views["image_valid"].shape == (2, 48) and views["crop_valid"].shape == (2, 6)
    assert all(views[name].all() for name in ("image_valid", "warped_valid", "crop_valid"))
    assert views["draw"].tolist() == [3, 8]


def test_one_matrix_moves_volume_mask_and_correspondence():
    given = batch(padded=8)
    views = views_of(given, intensity=0, seed=5)
    matrix = MOVED.sample([3, 8], 5, WHOLE)[:, 0]
    torch.testing.assert_close(views["warped"], warp_affine(given["image"], matrix))
    share = avg_pool3d(warp_affine(given["valid"].float(), matrix), CELL).flatten(1)
    assert torch.equal(views["warped_valid"], share >= 0.5)
    expected = torch.stack([correspondence(item, (4, 2, 6), (CELL,) * 3) for item in matrix])
    assert torch.equal(views["correspondence"], expected) and not torch.equal(expected[0], expected[1])


def test_tokens_that_correspond_show_the_same_place():
    """Mean coordinates of the cells agree within half a cell where two cells correspond."""
    axes = [torch.arange(float(side)) for side in SIZE]
    given = {**batch(draws=(4,)), "image": torch.stack(torch.meshgrid(axes, indexing="ij"))[None] + 100}
    views = views_of(given, intensity=0)
    shown, warped = (avg_pool3d(views[name], CELL).flatten(2)[0].T for name in ("image", "warped"))
    inside = avg_pool3d((views["warped"][:, :1] > 90).float(), CELL).flatten() == 1
    distance = (shown[:, None] - warped[None]).abs().amax(dim=2)
    pairs = views["correspondence"][0] & inside
    assert pairs.sum() > 5 and distance[pairs].max() <= CELL / 2 + 1e-3


def test_crops_are_warped_one_by_one():
    given = batch()
    given["image"] = torch.zeros_like(given["image"])
    given["image"][:, :, :8, :, :8] = 1  # the first crop alone
    bright = split_crops(views_of(given, intensity=0)["augmented"], CROPS).view(2, 6, -1).amax(dim=2)
    assert (bright[:, 0] > 0.9).all() and not bright[:, 1:].any()
    image = batch()["image"]
    pieces = split_crops(views_of(batch(), volume=STILL, intensity=0)["augmented"], CROPS).view(2, 6, 1, 8, 8, 8)
    assert (pieces - split_crops(image, CROPS).view_as(pieces)).abs().amax(dim=(2, 3, 4, 5)).min() > 0.1


def test_mostly_padded_cells_and_crops_are_not_valid():
    views = views_of(batch(padded=6), STILL, STILL)
    columns = views["image_valid"].view(2, 4, 2, 6)
    assert not columns[..., 0].any() and columns[..., 1:].all()  # the second cell is half real
    assert torch.equal(views["warped_valid"], views["image_valid"])
    assert views["crop_valid"].view(2, 2, 3).tolist() == [[[False, True, True]] * 2] * 2


def test_the_chosen_crop_is_real_where_there_is_one():
    draws = tuple(range(60))
    chosen = views_of(batch(draws, padded=6), STILL, STILL)["chosen"]
    assert set(chosen.tolist()) == {1, 2, 4, 5}
    chosen = views_of(batch(draws, padded=21), STILL, STILL)["chosen"]  # 3/8 of the last crops are real
    assert set(chosen.tolist()) <= {2, 5}


def test_views_do_not_depend_on_the_rest_of_the_batch():
    together = views_of(batch(padded=5))
    alone = views_of({key: value[1:] for key, value in batch(padded=5).items()})
    for name in ALL:
        torch.testing.assert_close(together[name][1:], alone[name], atol=1e-6, rtol=0)


def test_views_differ_with_the_seed_and_with_the_draw():
    first, again, other = views_of(batch(), seed=1), views_of(batch(), seed=1), views_of(batch(), seed=2)
    later = views_of(batch(draws=(4, 9)), seed=1)
    for name in ("warped", "augmented"):
        assert torch.equal(first[name], again[name])
        assert not torch.allclose(first[name], other[name]) and not torch.allclose(first[name], later[name])


def test_intensities_of_real_voxels_are_shifted():
    given = batch(draws=tuple(range(50)), padded=8)
    views = views_of(given, STILL, STILL, intensity=0.3, intensity_probability=0.5)
    for name in ("warped", "augmented"):
        shift = views[name] - given["image"]
        assert shift[..., :8].abs().max() < 1e-6, "padding stays 0"
        assert 0.25 < shift.abs().max() <= 0.3 + 1e-6
    whole = (views["warped"] - given["image"])[..., 8:].flatten(1)
    torch.testing.assert_close(whole.amax(1), whole.amin(1), atol=1e-5, rtol=0)
    assert 10 < (whole.abs().amax(1) > 1e-4).sum() < 40
    crops = split_crops(views["augmented"] - given["image"], CROPS).reshape(50, 6, -1).mean(2)
    assert (crops[:, 1] - crops[:, 2]).abs().max() > 0.1, "each crop its own"
    assert torch.equal(views["image"], given["image"])


def test_faults_are_named():
    def call(crops, cell):
        return CorrespondenceViews(crops, cell)(batch())

    with pytest.raises(ValueError, match=r"\(16, 8, 24\) voxels cannot be cut into \(3, 1, 1\)"):
        call((3, 1, 1), 4)
    with pytest.raises(ValueError, match=r"cannot be cut into \(1, 16, 1\)"):  # smaller than one crop
        call((1, 16, 1), 4)
    with pytest.raises(ValueError, match=r"A crop of \(8, 8, 24\) voxels .* no multiple of the cells of 16 voxels"):
        call((2, 1, 1), 16)
    for settings, shown in (
        ({"crops": (1, 0, 1), "cell": 4}, r"\(1, 0, 1\)"),
        ({"crops": CROPS, "cell": 0}, "got 0"),
        ({"crops": CROPS, "cell": 4, "intensity": math.nan}, "nan"),
        ({"crops": CROPS, "cell": 4, "intensity_probability": 2}, "got 2"),
    ):
        with pytest.raises(ValueError, match=shown):
            CorrespondenceViews(**settings)
