"""Tokens and embeddings of a backbone: unit length, independence of the batch, the level of the stride."""

import pytest
import torch
from torch import nn

from ssl3d.networks import TokenHead, TokenNet, UNet3d
from ssl3d.networks.tokens import unit_norm


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small_net(stride=4):
    torch.manual_seed(0)
    return TokenNet(UNet3d(1, (8, 16, 24)), stride, hidden_channels=12, out_channels=6)


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_tokens_and_embeddings_have_unit_length(stride):
    net = small_net(stride)
    x = random(2, 1, 16, 8, 24)
    tokens, embedding = net(x), net.embedding(net.encode(x))
    assert tokens.shape == (2, 6, 16 // stride, 8 // stride, 24 // stride) and embedding.shape == (2, 6)
    torch.testing.assert_close(tokens.norm(dim=1), torch.ones_like(tokens[:, 0]))
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(2))


def test_tokens_are_heads_of_the_map_of_that_stride():
    net = small_net(2)
    x = random(1, 1, 8, 8, 8)
    maps = net.encode(x)
    one = net.token_head(maps[0][0, :, 1, 2, 3])
    torch.testing.assert_close(net(x)[0, :, 1, 2, 3], one / one.norm())
    assert torch.equal(net.tokens([maps[0], maps[1], 0 * maps[2]]), net.tokens(maps))
    mean = net.global_head(maps[2].mean((2, 3, 4)))
    torch.testing.assert_close(net.embedding(maps), mean / mean.norm(dim=1))


def test_the_encoder_alone_gives_the_same_maps():
    net, x = small_net(), random(1, 1, 12, 8, 9)
    for given, complete in zip(net.encode(x), net.backbone(x).encoder, strict=True):
        assert torch.equal(given, complete)


def test_an_item_does_not_depend_on_the_rest_of_the_batch_nor_on_the_mode():
    net, x = small_net(), random(3, 1, 8, 8, 8)
    together = net(x)
    torch.testing.assert_close(together[1:2], net.eval()(x[1:2]), atol=1e-6, rtol=1e-5)


def test_every_parameter_of_a_head_gets_a_gradient():
    head = TokenHead(4, 8, 3)
    (head(random(5, 4)) * random(5, 3, seed=1)).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())
    assert [type(layer) for layer in head][:3] == [nn.Linear, nn.LayerNorm, nn.ReLU]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_zeros_have_no_direction_and_no_nan(dtype):
    x = torch.zeros(2, 4, dtype=dtype, requires_grad=True)
    result = unit_norm(x)
    result.sum().backward()
    assert not result.any() and result.dtype == torch.promote_types(dtype, torch.float32)
    assert torch.isfinite(x.grad).all() or dtype == torch.float16  # 1 / eps is beyond float16


def test_faults_are_named():
    with pytest.raises(ValueError, match=r"encoder strides \(2, 4, 8\), got 3"):
        small_net(3)
    with pytest.raises(ValueError, match="hidden 0"):
        TokenHead(4, 0, 3)
