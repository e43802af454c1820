"""CASA: golden values, a plain version, what a result depends on."""

import pytest
import torch
from golden_alice import assert_summary, cos, section, sin
from reference import alice as plain

from ssl3d.networks import CrossAttentionAlignment


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def small(dropout=0.0, seed=0):
    torch.manual_seed(seed)
    return CrossAttentionAlignment(12, 3, 5, 20, dropout).double()


def golden_module(config):
    module = CrossAttentionAlignment(*(config[key] for key in ("d_model", "n_head", "d_k", "d_inner")), 0.0).double()
    values = {}
    for i, name in enumerate(("query", "key", "value", "out", "linear1", "linear2")):
        values[f"{name}.weight"] = sin(getattr(module, name).weight.shape, config["AMP"], 0.1, 0.5 * i)
    for phase in (0, 1):
        values[f"linear{phase + 1}.bias"] = cos(getattr(module, f"linear{phase + 1}").bias.shape, 0.02, 0.3, phase)
        norm = (config["d_model"],)
        values[f"norm{phase + 1}.weight"] = 1 + sin(norm, 0.1, 0.2, phase)
        values[f"norm{phase + 1}.bias"] = cos(norm, 0.05, 0.1, phase)
    module.load_state_dict(values)
    return module


@pytest.mark.parametrize("case", ["casa_small", "casa_default_dims"])
def test_golden(case):
    golden = section("alice", case)
    config = golden["config"]
    batch, dim = config["B"], config["d_model"]
    query = sin((batch, config["n_query"], dim), 0.5, 0.37).requires_grad_()
    online = sin((batch, config["n_online"], dim), 0.5, 0.23, 1).requires_grad_()
    target = cos((batch, config["n_target"], dim), 0.5, 0.31).requires_grad_()
    module = golden_module(config)
    aligned = {"S": module(query, online), "T": module(query, target)}
    for name, tokens in aligned.items():
        assert_summary(tokens, golden[name])
        if f"{name}_full" in golden:
            torch.testing.assert_close(tokens.detach(), torch.tensor(golden[f"{name}_full"], dtype=torch.float64))
    g = sin(tuple(query.shape), 1, 0.17)
    ((aligned["S"] * g).sum() + (aligned["T"] * g.flip(0)).sum()).backward()
    for name, tokens in (("query", query), ("online", online), ("target", target)):
        assert_summary(tokens.grad, golden[f"grad_{name}"], rel=1e-7)
    for name, released in (("query", "w_qs"), ("key", "w_ks"), ("value", "w_vs"), ("out", "fc")):
        assert_summary(getattr(module, name).weight.grad, golden["grad_w"][released], rel=1e-7)
    for number in (1, 2):
        assert_summary(getattr(module, f"linear{number}").weight.grad, golden[f"grad_w_{number}"], rel=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_plain_version(dtype):
    module = small().to(dtype)
    query, context = random(2, 4, 12, dtype=dtype), random(2, 7, 12, seed=1, dtype=dtype)
    aligned = module(query, context)
    assert aligned.dtype == dtype
    torch.testing.assert_close(aligned, plain.cross_attention(query, context, module.state_dict(), heads=3))


def test_gradient():
    module = small()
    query, context = random(1, 2, 12).requires_grad_(), random(1, 3, 12, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(module, (query, context))


def test_the_order_of_the_context_does_not_matter_and_that_of_the_queries_is_kept():
    module, query, context = small(), random(2, 4, 12), random(2, 7, 12, seed=1)
    aligned = module(query, context)
    torch.testing.assert_close(module(query, context.flip(1)), aligned)
    torch.testing.assert_close(module(query.flip(1), context), aligned.flip(1))
    assert (module(query, context + 1) - aligned).abs().max() > 1e-3


def test_items_do_not_see_each_other():
    module, query, context = small(), random(2, 4, 12), random(2, 7, 12, seed=1)
    torch.testing.assert_close(module(query, context)[:1], module(query[:1], context[:1]))


def test_dropout_acts_in_training_only():
    module, query, context = small(dropout=0.5), random(2, 4, 12), random(2, 7, 12, seed=1)
    assert not torch.equal(module(query, context), module(query, context))
    module.eval()
    torch.testing.assert_close(module(query, context), plain.cross_attention(query, context, module.state_dict(), 3))


@pytest.mark.parametrize("shapes", [[(2, 4, 11), (2, 7, 12)], [(2, 4, 12), (2, 7, 11)], [(2, 4, 12), (3, 7, 12)]])
def test_wrong_shape_is_named(shapes):
    wrong = next(shape for shape in reversed(shapes) if shape[0] == 3 or shape[2] == 11)
    with pytest.raises(ValueError, match=str(wrong)[1:-1]):
        small()(*(torch.zeros(shape).double() for shape in shapes))


@pytest.mark.parametrize("setting", [{"dim": 0}, {"num_heads": 0}, {"ffn_dim": -1}, {"dropout": 1.0}])
def test_constructor_names_a_wrong_value(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name} .*{value}"):
        CrossAttentionAlignment(**setting)
