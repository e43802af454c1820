import re

import pytest
import torch
import torch.nn.functional as F
from golden import assert_statistics, cases, wave

from ssl3d.losses import FlowSmoothnessLoss

SIZE = (2, 3, 4, 6, 5)
PENALTIES = pytest.mark.parametrize("penalty", ["l1", "l2"])


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def random(*shape, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def ramp(slopes, size=(4, 5, 6), dtype=torch.float64):
    """All three components rise by ``slopes`` a voxel along D, H, W."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(s, dtype=dtype) for s in size], indexing="ij"))
    return torch.einsum("a,adhw->dhw", torch.tensor(slopes, dtype=dtype), grid).expand(1, 3, *size)


@PENALTIES
def test_golden_loss_and_gradient(penalty):
    expected = cases("gvsl")[f"smooth_{penalty}"]["expected"]
    flow = (2 * wave((1, 3, 6, 7, 8), 0.3)).requires_grad_()
    loss = FlowSmoothnessLoss(penalty)(flow)
    loss.backward()
    assert loss.shape == () and loss.item() == pytest.approx(expected["loss"], rel=1e-8)
    assert_statistics(flow.grad, expected["grad"], rtol=1e-8, atol=1e-13)


def test_golden_ramp(dtype):
    expected = cases("gvsl")["smooth_ramp"]["expected"]["loss"]
    loss = FlowSmoothnessLoss()(ramp([0.5, -0.25, 1.0], dtype=dtype))
    assert loss.dtype == dtype and loss.item() == pytest.approx(expected, rel=1e-8)


@PENALTIES
def test_gradient(penalty):
    mask = random(2, 1, 3, 4, 3) < 0.8
    flow = random(2, 3, 3, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda flow: FlowSmoothnessLoss(penalty)(flow, mask), flow)


@PENALTIES
def test_padding_changes_nothing(penalty, dtype):
    flow = random(*SIZE, dtype=dtype)
    mask = F.pad(torch.ones(2, 1, *SIZE[2:]), [16] * 6)
    plain = FlowSmoothnessLoss(penalty)(flow)
    for filling in (0.0, 9.0):
        padded = FlowSmoothnessLoss(penalty)(F.pad(flow, [16] * 6, value=filling), mask)
        assert abs(padded - plain) <= 1e-6


@PENALTIES
@pytest.mark.parametrize("axis", range(3))
def test_only_differences_between_two_valid_voxels_count(axis, penalty):
    """A step of 2 in the middle of an axis, between steps of 1, counts until one of its sides is masked out."""
    slopes = [0.0, 0.0, 0.0]
    slopes[axis] = 1.0
    flow = ramp(slopes, size=(6, 6, 6)).clone()
    flow.narrow(axis + 2, 3, 3).add_(1)
    step = 2 if penalty == "l1" else 4
    assert FlowSmoothnessLoss(penalty)(flow).item() == pytest.approx((4 + step) / 5 / 3)
    for position in (2, 3):
        mask = torch.ones(1, 1, 6, 6, 6, dtype=torch.bool)
        mask.narrow(axis + 2, position, 1).fill_(False)
        assert FlowSmoothnessLoss(penalty)(flow, mask).item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("mask_dtype", [torch.bool, torch.uint8, torch.float32])
def test_each_item_counts_the_same_and_an_empty_one_0(mask_dtype, dtype):
    flow = random(3, 3, 4, 6, 5, dtype=dtype)
    mask = torch.zeros(3, 1, 4, 6, 5)
    mask[0], mask[1, :, :2, :3] = 1, 1
    loss = FlowSmoothnessLoss()
    expected = (loss(flow[:1]) + loss(flow[1:2, :, :2, :3])) / 3
    torch.testing.assert_close(loss(flow, mask.to(mask_dtype)), expected)


def test_a_slab_of_one_voxel_has_no_difference_across():
    flow = random(1, 3, 1, 6, 5).requires_grad_()
    loss = FlowSmoothnessLoss()(flow)
    loss.backward()
    torch.testing.assert_close(loss, (flow.diff(dim=3).square().mean() + flow.diff(dim=4).square().mean()) / 3)
    assert flow.grad.isfinite().all()
    torch.testing.assert_close(FlowSmoothnessLoss()(flow, torch.ones(1, 1, 1, 6, 5)), loss)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_inputs_are_computed_in_full(half):
    flow = (100 * random(*SIZE)).to(half)
    loss = FlowSmoothnessLoss()(flow)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, FlowSmoothnessLoss()(flow.float()))


@pytest.mark.parametrize(
    "shapes",
    [[(3, 4, 4, 7)], [(1, 2, 4, 4, 7)], [(1, 3, 4, 4, 4), (1, 1, 7, 4, 4)], [(1, 3, 4, 4, 4), (1, 3, 4, 4, 7)]],
)
def test_wrong_shape_is_named(shapes):
    with pytest.raises(ValueError, match=re.escape(f"got {shapes[-1]}")):
        FlowSmoothnessLoss()(*map(torch.zeros, shapes))


def test_wrong_penalty_is_refused():
    with pytest.raises(ValueError, match="l3"):
        FlowSmoothnessLoss("l3")
