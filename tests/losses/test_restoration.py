import pytest
import torch
import torch.nn.functional as F
from golden import cases, unit_wave

from ssl3d.losses import RestorationLoss, masked_mean

SIZE = (2, 3, 4, 6, 5)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_golden():
    pred, target = unit_wave((1, 1, 12, 11, 10)), unit_wave((1, 1, 12, 11, 10), 0.9)
    loss = RestorationLoss()(pred, target)
    assert loss.shape == () and loss.item() == pytest.approx(cases("gvsl")["mse"]["expected"]["loss"], rel=1e-8)


def test_without_mask_it_is_the_mean_squared_error(dtype):
    pred, target = random(*SIZE, dtype=dtype), random(*SIZE, seed=1, dtype=dtype)
    loss = RestorationLoss()(pred, target)
    assert loss.dtype == dtype
    torch.testing.assert_close(loss, F.mse_loss(pred, target))


def test_gradient():
    pred, target = random(2, 2, 3, 2, 3).requires_grad_(), random(2, 2, 3, 2, 3, seed=1)
    mask = random(2, 1, 3, 2, 3, seed=2) < 0.6
    assert torch.autograd.gradcheck(lambda pred: RestorationLoss()(pred, target, mask), pred)


def test_padding_changes_nothing(dtype):
    pred, target = random(*SIZE, dtype=dtype), random(*SIZE, seed=1, dtype=dtype)
    mask = F.pad(torch.ones(2, 1, *SIZE[2:]), [16] * 6)
    plain = RestorationLoss()(pred, target)
    padded = RestorationLoss()(F.pad(pred, [16] * 6, value=5.0), F.pad(target, [16] * 6), mask)
    assert abs(padded - plain) <= 1e-6


@pytest.mark.parametrize("mask_dtype", [torch.bool, torch.uint8, torch.float32])
def test_each_item_counts_the_same_and_an_empty_one_0(mask_dtype, dtype):
    pred, target = random(3, 2, 4, 6, 5, dtype=dtype), random(3, 2, 4, 6, 5, seed=1, dtype=dtype)
    mask = torch.zeros(3, 1, 4, 6, 5)
    mask[0], mask[1, :, 1, 2, :2] = 1, 1
    squares = (pred - target).square()
    expected = (squares[0].mean() + squares[1, :, 1, 2, :2].mean()) / 3
    torch.testing.assert_close(RestorationLoss()(pred, target, mask.to(mask_dtype)), expected)
    torch.testing.assert_close(masked_mean(squares, mask.to(mask_dtype)), expected)


def test_invalid_voxels_receive_no_gradient():
    pred, target = random(*SIZE).requires_grad_(), random(*SIZE, seed=1)
    mask = random(2, 1, *SIZE[2:], seed=2) < 0.5
    RestorationLoss()(pred, target, mask).backward()
    assert torch.equal(pred.grad != 0, mask.expand(SIZE))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_inputs_are_computed_in_full(half):
    """Squares of 300 exceed float16."""
    pred, target = (300 * random(*SIZE)).to(half), (-300 * random(*SIZE, seed=1)).to(half)
    loss = RestorationLoss()(pred, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, RestorationLoss()(pred.float(), target.float()))


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 4, 4, 7), (1, 4, 4, 7)],
        [(1, 2, 4, 4, 4), (1, 1, 4, 4, 7)],
        [(2, 2, 4, 4, 4), (2, 2, 4, 4, 4), (1, 1, 4, 4, 7)],
        [(2, 2, 4, 4, 4), (2, 2, 4, 4, 4), (2, 2, 4, 4, 7)],
    ],
)
def test_wrong_shape_is_named(shapes):
    with pytest.raises(ValueError, match=r"7\)"):
        RestorationLoss()(*map(torch.zeros, shapes))


def test_masked_mean_names_a_wrong_shape():
    with pytest.raises(ValueError, match=r"\(4, 4, 7\)"):
        masked_mean(torch.zeros(4, 4, 7))
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 4, 7\)"):
        masked_mean(torch.zeros(1, 2, 4, 4, 7), torch.zeros(1, 2, 4, 4, 7))
