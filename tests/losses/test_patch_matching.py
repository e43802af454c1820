"""The matching loss: golden values and gradients, the slow loop, masks, collapse, half precision."""

import math

import pytest
import torch
import torch.nn.functional as F
from golden_s2dc import confidence, section, tokens
from reference.s2dc import optimal_transport, patch_matching
from torch import Tensor

from ssl3d.losses import PatchMatchingLoss
from ssl3d.losses.patch_matching import matching_entropy

MATCHERS = ["sinkhorn", "dual_softmax"]


def random_tokens(batch, count, channels, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(batch, count, channels, generator=generator, dtype=torch.float64), dim=2).to(dtype)


def check_case(loss: Tensor, expected: dict, query: Tensor, key: Tensor) -> None:
    """Value and gradients of a golden case of tokens."""
    assert loss.shape == () and loss.item() == pytest.approx(expected["loss"], rel=1e-9)
    loss.backward()
    assert query.grad.norm().item() == pytest.approx(expected["grad_q_norm"], rel=1e-9)
    if "grad_k_norm" in expected:
        assert key.grad.norm().item() == pytest.approx(expected["grad_k_norm"], rel=1e-9)
        per_item = query.grad.flatten(1).norm(dim=1)
        torch.testing.assert_close(per_item, torch.tensor(expected["grad_q_norm_per_item"]).double())
        for gradient, name in ((query.grad[0, 0], "grad_q_0_0"), (key.grad[2, 5], "grad_k_2_5")):
            torch.testing.assert_close(gradient, torch.tensor(expected[name]).double(), rtol=1e-6, atol=1e-9)


def test_golden_features():
    query, key, truth = tokens()
    expected = section("s2dc", "features")
    assert truth.sum() == expected["gt_positives"]
    rows = {"q_0_0": query[0, 0], "k_0_0": key[0, 0], "k_2_5": key[2, 5], "sim_0": query[0] @ key[0].T}
    for name, value in rows.items():
        torch.testing.assert_close(value, torch.tensor(expected[name], dtype=torch.float64), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["p2p_sinkhorn", "p2p_dual_softmax"])
def test_golden_loss_and_gradients(name):
    expected = section("s2dc", name)
    query, key, truth = tokens()
    loss = PatchMatchingLoss(name.removeprefix("p2p_"))
    check_case(loss(query.requires_grad_(), key.requires_grad_(), truth), expected, query, key)
    assert loss.parts["positive"].item() == pytest.approx(expected["pos"], rel=1e-9)
    assert loss.parts["negative"].item() == pytest.approx(expected["neg"], rel=1e-9)
    assert set(loss.parts) == {"positive", "negative"} and not any(p.requires_grad for p in loss.parts.values())


@pytest.mark.parametrize("iterations", [1, 3, 10, 20, 50, 100])
def test_golden_iterations(iterations):
    expected = section("s2dc", "p2p_sinkhorn_iters")[str(iterations)]
    query, key, truth = tokens()
    loss = PatchMatchingLoss(num_iterations=iterations)
    check_case(loss(query.requires_grad_(), key, truth), expected, query, key)


def test_golden_entropy_of_a_confidence():
    expected = section("s2dc", "match_loss")
    given = confidence().requires_grad_()
    torch.testing.assert_close(given, torch.tensor(expected["conf"], dtype=torch.float64), rtol=1e-9, atol=0)
    truth = torch.zeros(1, 3, 4, dtype=torch.bool)
    for i, j in expected["positives"]:
        truth[0, i, j] = True
    none = torch.zeros_like(truth)
    for name, chosen in (("no_positives", none), ("no_negatives", ~none)):
        terms = matching_entropy(given, chosen, ~chosen)
        assert [term.item() for term in terms] == pytest.approx(
            [expected[name]["pos"], expected[name]["neg"]], rel=1e-9
        )
    terms = matching_entropy(given, truth, ~truth)
    assert [term.item() for term in terms] == pytest.approx([expected["pos"], expected["neg"]], rel=1e-9)
    (terms[0] + terms[1]).backward()
    torch.testing.assert_close(given.grad, torch.tensor(expected["grad"], dtype=torch.float64), rtol=1e-9, atol=1e-11)
    bound = expected["clamp_case"]
    conf, truth = torch.tensor([bound["conf"]], dtype=torch.float64), torch.tensor([bound["gt"]]).bool()
    assert sum(matching_entropy(conf, truth, ~truth)).item() == pytest.approx(bound["loss"], rel=1e-9)


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_loop_over_items(matcher, dtype):
    """100 iterations there, 20 here; sets of different size; an item without positives."""
    query, key = random_tokens(3, 10, 6, dtype=dtype), random_tokens(3, 7, 6, seed=1, dtype=dtype)
    truth = torch.zeros(3, 10, 7)
    truth[0, 3, 4] = truth[0, 5, 6] = truth[2, 9, 0] = 1
    slow = [query.clone().requires_grad_(), key.clone().requires_grad_()]
    expected = patch_matching(*slow, truth, matcher)
    loss = PatchMatchingLoss(matcher)(query.requires_grad_(), key.requires_grad_(), truth)
    assert loss.dtype == dtype
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    expected.backward()
    loss.backward()
    for fast, reference in ((query, slow[0]), (key, slow[1])):
        torch.testing.assert_close(fast.grad, reference.grad, rtol=1e-4, atol=1e-7)


def test_temperature_divides_cosines_and_dustbin():
    query, key, truth = tokens(1)
    loss = PatchMatchingLoss(dustbin=0.3, temperature=0.2)(query, key, truth)
    plan = optimal_transport(query[0] @ key[0].T / 0.2, 0.3 / 0.2)[:-1, :-1].exp()
    positive, negative = -plan[truth[0]].log().mean(), -(1 - plan[~truth[0]]).log().mean()
    torch.testing.assert_close(loss, positive + negative, rtol=1e-6, atol=0)


def test_unmatched_is_the_mass_in_the_dustbin():
    query, key, truth = tokens()
    loss = PatchMatchingLoss(num_iterations=50)
    loss(query, key, truth)
    bins = torch.stack([optimal_transport(q @ k.T, 1.0)[:-1, -1].exp().mean() for q, k in zip(query, key, strict=True)])
    torch.testing.assert_close(loss.unmatched, bins.mean())


@pytest.mark.parametrize("matcher", MATCHERS)
def test_gradcheck(matcher):
    query, key = (random_tokens(2, 4, 3, seed=seed).requires_grad_() for seed in (0, 1))
    truth, valid = torch.eye(4), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    loss = PatchMatchingLoss(matcher, num_iterations=4, temperature=0.5)
    assert torch.autograd.gradcheck(lambda q, k: loss(q, k, truth), (query, key))
    assert torch.autograd.gradcheck(lambda q, k: loss(q, k, truth, valid, valid.flip(1)), (query, key))


@pytest.mark.parametrize("matcher", MATCHERS)
def test_invalid_tokens_are_as_if_they_were_not_there(matcher):
    query, key, truth = tokens(2)
    rows, columns = torch.ones(2, 8), torch.ones(2, 8, dtype=torch.bool)
    rows[0, [1, 6]] = 0
    columns[0, [2, 3, 7]] = False
    spoilt_query, spoilt_key = query.clone(), key.clone()
    spoilt_query[0, 1], spoilt_key[0, 7] = math.nan, math.inf
    spoilt_query.requires_grad_(), spoilt_key.requires_grad_()
    loss = PatchMatchingLoss(matcher)
    value = loss(spoilt_query, spoilt_key, truth, rows, columns)
    value.backward()
    kept_rows, kept_columns = rows[0].bool(), columns[0]
    fewer = loss(query[:1, kept_rows], key[:1, kept_columns], truth[:1, kept_rows][:, :, kept_columns])
    torch.testing.assert_close(value, (fewer + loss(query[1:], key[1:], truth[1:])) / 2)
    assert spoilt_query.grad.isfinite().all() and spoilt_key.grad.isfinite().all()
    assert not spoilt_query.grad[0, [1, 6]].any() and spoilt_query.grad[0, kept_rows].any()


@pytest.mark.parametrize("matcher", MATCHERS)
def test_an_item_without_valid_pairs_counts_0(matcher):
    query, key, truth = tokens(2)
    query.requires_grad_()
    loss = PatchMatchingLoss(matcher)
    value = loss(query, key, truth, torch.tensor([[0] * 8, [1] * 8]))
    torch.testing.assert_close(value, loss(query[1:], key[1:], truth[1:]) / 2)
    value.backward()
    assert not query.grad[0].any() and query.grad[1].any()


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.25])
def test_collapsed_features(matcher, dtype, value):
    query, key = (torch.full((2, 6, 16), value, dtype=dtype, requires_grad=True) for _ in range(2))
    loss = PatchMatchingLoss(matcher, temperature=0.1)(query, key, torch.eye(6))
    loss.backward()
    assert loss.isfinite() and query.grad.isfinite().all() and key.grad.isfinite().all()


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_inputs_are_computed_in_full(matcher, half):
    query, key = (random_tokens(2, 9, 8, seed=seed).to(half).requires_grad_() for seed in (0, 1))
    truth = torch.eye(9)
    loss = PatchMatchingLoss(matcher, temperature=0.02)
    value = loss(query, key, truth)
    value.backward()
    assert value.dtype == torch.float32 and query.grad.dtype == half and query.grad.isfinite().all()
    torch.testing.assert_close(value, loss(query.float(), key.float(), truth))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(query.float(), key.float(), truth), value)


def test_the_mask_may_be_of_any_dtype_and_shared():
    query, key, truth = tokens(2)
    expected = PatchMatchingLoss()(query, key, truth[:1].expand(2, 8, 8))
    for dtype in (torch.bool, torch.uint8, torch.float16, torch.int64):
        assert torch.equal(PatchMatchingLoss()(query, key, truth[0].to(dtype)), expected)


@pytest.mark.parametrize(
    "shapes",
    [
        [(8, 77), (2, 8, 16), (8, 8)],
        [(2, 8, 16), (2, 8, 77), (8, 8)],
        [(2, 8, 16), (77, 8, 16), (8, 8)],
        [(2, 8, 16), (2, 7, 16), (77, 8)],
        [(2, 8, 16), (2, 7, 16), (2, 8, 77)],
        [(2, 8, 16), (2, 8, 16), (8, 8), (2, 77)],
        [(2, 8, 16), (2, 7, 16), (8, 7), (2, 8), (77, 7)],
    ],
)
def test_wrong_shapes_are_named(shapes):
    with pytest.raises(ValueError, match="77"):
        PatchMatchingLoss()(*map(torch.zeros, shapes))


def test_wrong_settings_are_refused():
    for settings, shown in (
        ({"matcher": "hungarian"}, "hungarian"),
        ({"dustbin": math.nan}, "nan"),
        ({"num_iterations": 0}, "0"),
        ({"num_iterations": 2.5}, "2.5"),
        ({"temperature": 0.0}, "0.0"),
        ({"temperature": math.inf}, "inf"),
    ):
        with pytest.raises(ValueError, match=shown):
            PatchMatchingLoss(**settings)
