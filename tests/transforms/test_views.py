import math

import pytest
import torch

from ssl3d.geometry import warp_affine
from ssl3d.transforms import AppearanceAugmentation, BlockMask, MaskedViews, PairViews, SpatialAugmentation

SIZE = (24, 20, 28)


def batch(copies=(0, 0), draws=(3, 8), channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    fixed, moving = torch.rand(2, len(draws), channels, *SIZE, generator=generator)
    valid = torch.ones(len(draws), 1, *SIZE, dtype=torch.uint8)
    valid[:, :, :4] = 0
    return {
        "fixed": fixed * valid,
        "moving": moving,
        "fixed_valid": valid,
        "draw": torch.tensor(draws),
        "copy": torch.tensor(copies),
        "image": fixed * valid,
        "valid": valid,
    }


def pair_views(spatial=None, appearance=None, seed=0):
    return PairViews(spatial or SpatialAugmentation(), appearance or AppearanceAugmentation(), seed)


STILL = {"rotation": 0, "scale": 0, "shear": 0, "translation": 0, "elastic": 0}
CLEAN = AppearanceAugmentation(shuffling=0, intensity=0, painting=0)


def test_without_augmentation_the_views_are_the_volumes():
    given = batch()
    views, target = pair_views(SpatialAugmentation(**STILL), CLEAN)(given)
    assert target is None
    assert list(views) == ["fixed", "corrupted", "moving", "valid"]
    for name, key in (("fixed", "fixed"), ("corrupted", "fixed"), ("moving", "moving")):
        torch.testing.assert_close(views[name], given[key], atol=1e-6, rtol=0)
    assert torch.equal(views["valid"], given["fixed_valid"].float())


def test_fixed_and_moving_move_together():
    given = batch()
    given["moving"] = given["fixed"].clone()
    views, _ = pair_views()(given)
    assert torch.equal(views["fixed"], views["moving"])
    assert not torch.allclose(views["fixed"], given["fixed"], atol=0.1)


def test_a_copy_of_the_fixed_volume_is_warped_differently():
    given = batch(copies=(0, 1))
    given["moving"] = given["fixed"].clone()
    views, _ = pair_views()(given)
    difference = (views["fixed"] - views["moving"]).abs().amax(dim=(1, 2, 3, 4))
    assert difference[0] == 0
    assert difference[1] > 0.1


def test_only_the_corrupted_view_is_corrupted_and_the_mask_is_the_warped_one():
    flip = SpatialAugmentation(**STILL | {"translation": 0.2})
    given = batch()
    views, _ = pair_views(flip)(given)
    matrix = flip.sample([3, 8], SIZE, 0).matrix
    torch.testing.assert_close(views["fixed"], warp_affine(given["fixed"], matrix), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        views["valid"], (warp_affine(given["fixed_valid"].float(), matrix) > 0.5).float(), atol=0, rtol=0
    )
    assert not torch.allclose(views["corrupted"], views["fixed"], atol=0.1)


@pytest.mark.parametrize("make", [pair_views, lambda: MaskedViews(SpatialAugmentation(), BlockMask())])
def test_views_do_not_depend_on_the_rest_of_the_batch(make):
    given = batch()
    together, _ = make()(given)
    alone, _ = make()({key: value[1:] for key, value in given.items()})
    for name in together:
        torch.testing.assert_close(together[name][1:], alone[name], atol=1e-6, rtol=0)


def test_several_channels_share_the_field_and_the_mask():
    given = batch(channels=3)
    given["image"] = given["image"][:, :1].expand(-1, 3, -1, -1, -1)
    views, _ = MaskedViews(SpatialAugmentation(), BlockMask())(given)
    assert views["image"].shape[1] == 3 and views["hidden"].shape[1] == 1
    assert torch.equal(views["image"][:, 0], views["image"][:, 2])
    assert pair_views()(given)[0]["corrupted"].shape[1] == 3


def test_masked_views_hide_the_share_of_blocks_and_nothing_else():
    views, target = MaskedViews(SpatialAugmentation(**STILL), BlockMask(block_size=4, ratio=0.5))(batch())
    assert target is None
    blocks = math.prod(SIZE) // 4**3
    assert views["hidden"].sum(dim=(1, 2, 3, 4)).tolist() == [round(0.5 * blocks) * 4**3] * 2
    assert torch.equal(views["masked"], torch.where(views["hidden"] > 0, 0.0, views["image"]))
    torch.testing.assert_close(views["image"], batch()["image"], atol=1e-6, rtol=0)
