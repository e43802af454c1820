"""Entropic transport with dustbins: golden plans, marginals, tokens that are left out."""

import math

import pytest
import torch
from golden_s2dc import mesh, scores, section
from reference.s2dc import optimal_transport

from ssl3d.losses import log_optimal_transport

EXACT = {"rtol": 1e-9, "atol": 1e-11}


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("case", ["a1_it100", "a1_it3", "a0_it100"])
def test_golden_plans(case):
    expected = section("s2dc", "log_optimal_transport")[case]
    plan = log_optimal_transport(scores(), expected["alpha"], expected["iters"])
    torch.testing.assert_close(plan, torch.tensor(expected["Z"], dtype=torch.float64), **EXACT)
    torch.testing.assert_close(plan.exp().sum(2), torch.tensor(expected["row_sums"], dtype=torch.float64), **EXACT)
    torch.testing.assert_close(plan.exp().sum(1), torch.tensor(expected["col_sums"], dtype=torch.float64), **EXACT)
    single = log_optimal_transport(scores().float(), expected["alpha"], expected["iters"])
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), plan, rtol=2e-4, atol=1e-5)


def test_golden_gradient_to_scores_and_dustbin():
    expected = section("s2dc", "log_optimal_transport")["grad_check"]
    given, dustbin = scores().requires_grad_(), torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    b, i, j = mesh(2, 6, 8)
    value = (log_optimal_transport(given, dustbin, 100) * torch.cos(0.5 * i - 0.3 * j + b)).sum()
    value.backward()
    assert value.item() == pytest.approx(expected["value"], rel=1e-9)
    torch.testing.assert_close(given.grad, torch.tensor(expected["grad_scores"], dtype=torch.float64), **EXACT)
    assert dustbin.grad.item() == pytest.approx(expected["grad_alpha"], rel=1e-9)


@pytest.mark.parametrize("n", [8, 144])
def test_golden_identity(n):
    expected = section("s2dc", "log_optimal_transport")["scores_equal_identity_alpha1"][str(n)]
    plan = log_optimal_transport(torch.eye(n, dtype=torch.float64)[None])[0].exp()
    actual = {"P_diag": plan[0, 0], "P_off": plan[0, 1], "P_bin": plan[0, n], "P_corner": plan[n, n]}
    for name, value in actual.items():
        assert value.item() == pytest.approx(expected[name], rel=1e-9), name


@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_the_number_of_iterations_is_exact(iterations):
    given = 4 * random(2, 3, 5)
    plan = log_optimal_transport(given, -0.3, iterations)
    expected = torch.stack([optimal_transport(item, -0.3, iterations) for item in given])
    torch.testing.assert_close(plan, expected, rtol=1e-12, atol=1e-12)


def test_marginals_of_tokens_and_dustbins():
    plan = log_optimal_transport(scores()).exp()
    ones = torch.ones(2, 7, dtype=torch.float64)
    torch.testing.assert_close(plan[:, :5].sum(2), ones[:, :5], rtol=0, atol=1e-8)
    torch.testing.assert_close(plan[:, :, :7].sum(1), ones, rtol=0, atol=1e-12)
    torch.testing.assert_close(plan[:, 5].sum(1), 7 * ones[:, 0], rtol=0, atol=1e-8)


def test_gradcheck_of_scores_and_dustbin():
    given, dustbin = random(2, 3, 4).requires_grad_(), torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, d: log_optimal_transport(s, d, 5), (given, dustbin))
    valid = torch.tensor([[1, 0, 1], [1, 1, 1]])
    assert torch.autograd.gradcheck(lambda s, d: log_optimal_transport(s, d, 5, query_valid=valid), (given, dustbin))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_invalid_token_is_as_if_it_were_not_there(dtype):
    given = (3 * random(2, 5, 6)).to(dtype)
    rows = torch.tensor([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]])
    columns = torch.tensor([[0, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
    spoilt = given.clone()
    spoilt[0, 2] = math.nan
    plan = log_optimal_transport(spoilt, 0.5, 7, query_valid=rows, key_valid=columns)
    kept = torch.tensor([0, 1, 3, 5])[:, None], torch.tensor([1, 2, 3, 4, 6])[None]
    fewer = log_optimal_transport(given[:1, [0, 1, 3], 1:5], 0.5, 7)
    torch.testing.assert_close(plan[0][kept], fewer[0])
    torch.testing.assert_close(plan[1:], log_optimal_transport(given[1:], 0.5, 7))
    mass = plan[0].exp()
    assert mass[[2, 4]].max() < 1e-25 and mass[:, [0, 5]].max() < 1e-25


@pytest.mark.parametrize("side", ["query_valid", "key_valid"])
def test_without_any_valid_token_all_is_finite(side):
    given = random(1, 3, 3).requires_grad_()
    plan = log_optimal_transport(given, **{side: torch.zeros(1, 3)})
    plan.exp().sum().backward()
    assert plan.isfinite().all() and given.grad.isfinite().all()


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_scores_and_large_ones_stay_finite(half):
    plan = log_optimal_transport((200 * random(1, 4, 4) - 100).to(half))
    assert plan.dtype == torch.float32 and plan.isfinite().all()


def test_faults_are_named():
    for shape in [(3, 4), (1, 0, 4), (2, 3, 4, 5)]:
        with pytest.raises(ValueError, match=rf"got \({', '.join(map(str, shape))}\)"):
            log_optimal_transport(torch.zeros(shape))
    with pytest.raises(ValueError, match="int64"):
        log_optimal_transport(torch.zeros(1, 2, 2, dtype=torch.long))
    with pytest.raises(ValueError, match=r"0-dim tensor, got shape \(2,\)"):
        log_optimal_transport(torch.zeros(1, 2, 2), torch.zeros(2))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        log_optimal_transport(torch.zeros(1, 2, 2), num_iterations=0)
    with pytest.raises(ValueError, match=r"key_valid must have shape \(1, 3\).*got \(1, 2\)"):
        log_optimal_transport(torch.zeros(1, 2, 3), key_valid=torch.ones(1, 2))
