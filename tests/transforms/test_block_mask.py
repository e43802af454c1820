import pytest
import torch

from ssl3d.transforms import BlockMask


def blocks_of(mask, block_size):
    """Whether each block is hidden; fails where a block is hidden in part."""
    size = mask.shape[2:]
    grid = mask[:, :, ::block_size, ::block_size, ::block_size]
    for axis, length in enumerate(size, start=2):
        grid = grid.repeat_interleave(block_size, axis).narrow(axis, 0, length)
    assert torch.equal(grid, mask)
    return mask[:, 0, ::block_size, ::block_size, ::block_size]


@pytest.mark.parametrize("size", [(16, 24, 32), (17, 20, 9), (8, 8, 40)])
@pytest.mark.parametrize("ratio", [0.3, 0.6, 0.75])
def test_exactly_the_share_of_whole_blocks_is_hidden(size, ratio):
    mask = BlockMask(block_size=8, ratio=ratio).sample([3, 4, 5], size, seed=0)
    assert mask.shape == (3, 1, *size) and mask.dtype == torch.bool
    blocks = blocks_of(mask, 8)
    assert (blocks.flatten(1).sum(1) == round(ratio * blocks[0].numel())).all()


def test_a_mask_depends_on_seed_and_draw_only():
    masks = BlockMask()
    both = masks.sample([7, 2], (32, 32, 32), seed=1)
    assert torch.equal(both[:1], masks.sample(torch.tensor([7]), (32, 32, 32), seed=1))
    assert torch.equal(both[1:], masks.sample([2], (32, 32, 32), seed=1))
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(both, masks.sample([7, 2], (32, 32, 32), seed=2))


def test_all_blocks_are_hidden_equally_often():
    mask = BlockMask(block_size=4, ratio=0.5).sample(range(800), (8, 8, 12), seed=0)
    often = blocks_of(mask, 4).float().mean(0)
    assert (often - 0.5).abs().max() < 5 * (0.25 / 800) ** 0.5


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"block_size .* 0"):
        BlockMask(block_size=0)
    for ratio in (0, 1, -0.1):
        with pytest.raises(ValueError, match=f"ratio .* {ratio}"):
            BlockMask(ratio=ratio)
    masks = BlockMask()
    with pytest.raises(ValueError, match=r"1 of the 1 blocks"):
        masks.sample([0], (8, 8, 8), seed=0)
    for size in ((16, 16), (16, 0, 16)):
        with pytest.raises(ValueError, match=r"\(D, H, W\)"):
            masks.sample([0], size, seed=0)
    for draws in ([], [-1], [0.5], torch.tensor([[1, 2]]), torch.tensor(1.5)):
        with pytest.raises(ValueError, match="draws must be"):
            masks.sample(draws, (16, 16, 16), seed=0)
