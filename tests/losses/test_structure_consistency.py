"""The consistency loss: golden values and gradients, the slow loop, masks, collapse, half precision."""

import math

import pytest
import torch
import torch.nn.functional as F
from golden_s2dc import section, tokens
from reference.s2dc import structure_consistency

from ssl3d.losses import StructureConsistencyLoss
from ssl3d.losses.structure_consistency import _sharpness_weights


def random_tokens(batch, count, channels, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(batch, count, channels, generator=generator, dtype=torch.float64), dim=2).to(dtype)


def test_golden_loss_and_gradients():
    expected = section("s2dc", "p2s_sharpness")
    query, key, truth = tokens()
    loss = StructureConsistencyLoss()(query.requires_grad_(), key.requires_grad_(), truth)
    loss.backward()
    assert loss.shape == () and loss.item() == pytest.approx(expected["loss"], rel=1e-9)
    assert query.grad.norm().item() == pytest.approx(expected["grad_q_norm"], rel=1e-9)
    assert key.grad.norm().item() == pytest.approx(expected["grad_k_norm"], rel=1e-9)
    for gradient, name in ((query.grad[0, 0], "grad_q_0_0"), (key.grad[2, 5], "grad_k_2_5")):
        torch.testing.assert_close(gradient, torch.tensor(expected[name], dtype=torch.float64), rtol=1e-9, atol=1e-11)


def test_golden_weights():
    query, key, _ = tokens()
    expected = torch.tensor(section("s2dc", "p2s_sharpness")["column_sharpness"], dtype=torch.float64)
    similarity, valid = (1 + key @ query.transpose(1, 2)) / 2, torch.ones(3, 8, dtype=torch.bool)
    torch.testing.assert_close(_sharpness_weights(similarity, valid, valid), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_loop_over_items(dtype):
    query, key = (random_tokens(3, 9, 6, seed, dtype) for seed in (0, 1))
    truth = torch.eye(9).expand(3, 9, 9).clone()
    truth[1] = 0  # no positives
    truth[2, 4:] = 0
    slow = [query.clone().requires_grad_(), key.clone().requires_grad_()]
    expected = structure_consistency(*slow, truth)
    loss = StructureConsistencyLoss()(query.requires_grad_(), key.requires_grad_(), truth)
    assert loss.dtype == dtype
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    expected.backward()
    loss.backward()
    for fast, reference in ((query, slow[0]), (key, slow[1])):
        torch.testing.assert_close(fast.grad, reference.grad, rtol=1e-4, atol=1e-7)


def test_no_positives_or_no_negatives_is_0_for_that_term():
    query, key, _ = tokens(1)
    loss, ones = StructureConsistencyLoss(), torch.ones(8, 8)
    similarity = (1 + query[0] @ key[0].T) / 2
    torch.testing.assert_close(loss(query, key, 0 * ones), -(1 - similarity).log().mean())
    torch.testing.assert_close(loss(query, key, ones), structure_consistency(query, key, ones[None]))


def test_gradcheck():
    query, key = (random_tokens(2, 5, 3, seed).requires_grad_() for seed in (0, 1))
    truth, valid = torch.eye(5), torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    assert torch.autograd.gradcheck(lambda q, k: StructureConsistencyLoss()(q, k, truth), (query, key))
    assert torch.autograd.gradcheck(lambda q, k: StructureConsistencyLoss()(q, k, truth, valid, valid), (query, key))


def test_invalid_tokens_are_as_if_they_were_not_there():
    query, key, truth = tokens(2)
    rows, columns = torch.ones(2, 8), torch.ones(2, 8)
    rows[0, [1, 6]] = 0
    columns[0, [2, 7]] = 0
    spoilt_query, spoilt_key = query.clone(), key.clone()
    spoilt_query[0, 1], spoilt_key[0, 7] = math.nan, 1e6
    spoilt_query.requires_grad_(), spoilt_key.requires_grad_()
    loss = StructureConsistencyLoss()
    value = loss(spoilt_query, spoilt_key, truth, rows, columns)
    value.backward()
    kept_rows, kept_columns = rows[0].bool(), columns[0].bool()
    fewer = loss(query[:1, kept_rows], key[:1, kept_columns], truth[:1, kept_rows][:, :, kept_columns])
    torch.testing.assert_close(value, (fewer + loss(query[1:], key[1:], truth[1:])) / 2)
    assert spoilt_query.grad.isfinite().all() and not spoilt_query.grad[0, [1, 6]].any()
    assert spoilt_key.grad.isfinite().all() and spoilt_key.grad[0, kept_columns].any()


@pytest.mark.parametrize("count", [0, 1])
def test_items_with_hardly_any_valid_tokens(count):
    """Without pairs an item counts 0; a single pair has no spread, and weight 1."""
    query, key, _ = tokens(1)
    query.requires_grad_()
    valid = (torch.arange(8) < count)[None]
    value = StructureConsistencyLoss()(query, key, torch.eye(8), valid, valid)
    value.backward()
    expected = -((1 + query[0, 0] @ key[0, 0]) / 2).log() if count else torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(value, expected)
    assert query.grad.isfinite().all() and bool(query.grad.any()) == bool(count)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("direction", ["zero", "even", "random"])
def test_collapsed_features(dtype, direction):
    one = {"zero": torch.zeros(16), "even": torch.full((16,), 0.25), "random": random_tokens(1, 1, 16)[0, 0]}[direction]
    query, key = (one.to(dtype).expand(2, 6, 16).clone().requires_grad_() for _ in range(2))
    loss = StructureConsistencyLoss()(query, key, torch.eye(6))
    loss.backward()
    assert loss.isfinite() and query.grad.isfinite().all() and key.grad.isfinite().all()
    if direction == "zero":  # all similarities are 1/2
        assert loss.item() == pytest.approx(2 * math.log(2), rel=1e-6)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_inputs_are_computed_in_full(half):
    query, key = (random_tokens(2, 9, 8, seed).to(half).requires_grad_() for seed in (0, 1))
    loss, truth = StructureConsistencyLoss(), torch.eye(9)
    value = loss(query, key, truth)
    value.backward()
    assert value.dtype == torch.float32 and query.grad.dtype == half and query.grad.isfinite().all()
    torch.testing.assert_close(value, loss(query.float(), key.float(), truth))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(query.float(), key.float(), truth), value)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"equally many tokens, got \(2, 8, 4\) and \(2, 7, 4\)"):
        StructureConsistencyLoss()(torch.zeros(2, 8, 4), torch.zeros(2, 7, 4), torch.zeros(8, 7))
    with pytest.raises(ValueError, match=r"correspondence must have shape.*got \(8, 9\)"):
        StructureConsistencyLoss()(torch.zeros(2, 8, 4), torch.zeros(2, 8, 4), torch.zeros(8, 9))
