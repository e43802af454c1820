"""The projection head: golden values, unit vectors, what a result depends on."""

import pytest
import torch
from golden_alice import cos, section, sin

from ssl3d.networks import ProjectionHead

NAMES = {
    "last_layer.weight_v": "whole_out.weight",
    "last_layer2.weight_v": "patch_out.weight",
    "mlp3.": "encoder_in.",
    "mlp4.": "decoder_in.",
}


def inputs(batch=2, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shapes = (batch, 12), (batch, 12, 2, 1, 2), (batch, 8, 2, 3, 2)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def small(seed=0):
    torch.manual_seed(seed)
    return ProjectionHead(12, 8, out_dim=6, patch_dim=5, hidden_dim=16, bottleneck_dim=7).double()


def test_golden():
    golden = section("alice", "head")
    head = ProjectionHead(384, 192, out_dim=6, patch_dim=5, hidden_dim=16, bottleneck_dim=8).double()
    state = {}
    for entry in golden["param_order"]:
        name = entry["name"]
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        state[name] = sin(tuple(entry["shape"]), 0.1, 0.1, entry["phase"])
    head.load_state_dict(state)
    whole, encoder = sin((2, 384), 0.5, 0.3), sin((2, 384, 2, 1, 2), 0.5, 0.2, 1)
    out = head(whole, encoder, cos((2, 192, 2, 1, 3), 0.5, 0.2))
    for tokens, name in zip(out, ("cls_out", "enc_tokens_out", "dec_tokens_out"), strict=True):
        torch.testing.assert_close(tokens.detach(), torch.tensor(golden[name], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_cosines(dtype):
    out = small().to(dtype)(*inputs(dtype=dtype))
    assert [tuple(t.shape) for t in out] == [(2, 6), (2, 4, 5), (2, 12, 5)]
    assert all(t.dtype == dtype and t.abs().max() <= 1 + 1e-6 for t in out)


def test_the_length_of_the_prototypes_does_not_matter():
    head = small()
    before = head(*inputs())
    with torch.no_grad():
        head.whole_out.weight *= 3
        head.patch_out.weight *= 0.2
    for one, other in zip(head(*inputs()), before, strict=True):
        torch.testing.assert_close(one, other)


def test_items_and_cells_do_not_see_each_other():
    head, (whole, encoder, decoder) = small(), inputs()
    out = head(whole, encoder, decoder)
    alone = head(whole[1:], encoder[1:], decoder[1:, :, :, 1:2])
    torch.testing.assert_close(alone.whole, out.whole[1:])
    torch.testing.assert_close(alone.encoder, out.encoder[1:])
    torch.testing.assert_close(alone.decoder, out.decoder[1:].unflatten(1, (2, 3, 2))[:, :, 1].flatten(1, 2))


def test_every_parameter_gets_a_gradient():
    head = small()
    sum((t * torch.randn_like(t)).sum() for t in head(*inputs())).backward()
    assert all(p.grad is not None and p.grad.any() for p in head.parameters())


@pytest.mark.parametrize(
    ("position", "shape"), [(0, (2, 11)), (1, (2, 12, 2, 2)), (2, (2, 12, 2, 3, 2)), (2, (3, 8, 2, 3, 2))]
)
def test_wrong_shape_is_named(position, shape):
    given = inputs()
    given[position] = torch.zeros(shape, dtype=torch.float64)
    with pytest.raises(ValueError, match=str(shape)[1:-1]):
        small()(*given)


@pytest.mark.parametrize("setting", ["encoder_channels", "out_dim", "patch_dim", "hidden_dim", "bottleneck_dim"])
def test_constructor_names_a_wrong_value(setting):
    with pytest.raises(ValueError, match=f"{setting} .*0"):
        ProjectionHead(**{"encoder_channels": 8, "decoder_channels": 8, setting: 0})
