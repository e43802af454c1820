"""What makes a step cheap on a CPU changes no result."""

import pytest
import torch
import torch.nn.functional as F

from ssl3d.geometry import warp_affine
from ssl3d.networks.convolution import Conv3d, Upsampling, slow


def random(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) - 0.5


def gradients(output, *inputs):
    return torch.autograd.grad((output * torch.linspace(0, 1, output.numel()).view_as(output)).sum(), inputs)


@pytest.mark.parametrize("shape", [(1, 4, 6, 5, 7), (1, 4, 2, 3, 3), (1, 4, 5, 6, 7), (2, 4, 6, 5, 7), (1, 1, 4, 4, 4)])
@pytest.mark.parametrize("kind", ["convolution", "stride", "upsampling"])
def test_a_batch_of_one_in_halves(shape, kind):
    torch.manual_seed(0)
    if kind == "upsampling":
        layer = Upsampling(shape[1])
        plain = F.conv_transpose3d(x := random(*shape).requires_grad_(), layer.weight, layer.bias, stride=2)
    else:
        layer = Conv3d(shape[1], 3, stride=2 if kind == "stride" else 1)
        plain = F.conv3d(x := random(*shape).requires_grad_(), layer.weight, layer.bias, layer.stride, padding=1)
    result = layer(x)
    torch.testing.assert_close(result, plain)
    inputs = (x, layer.weight, layer.bias)
    torch.testing.assert_close(gradients(result, *inputs), gradients(plain, *inputs), rtol=1e-4, atol=1e-5)


def test_which_inputs_are_halved():
    assert slow(torch.zeros(1, 16, 32, 32, 32))
    assert not slow(torch.zeros(2, 16, 32, 32, 32))  # a batch
    assert not slow(torch.zeros(1, 32, 32, 32, 32))  # large
    assert not slow(torch.zeros(1, 16, 31, 32, 32))  # no halves
    assert not slow(torch.zeros(1, 16, 32, 32, 32, dtype=torch.float64))


def test_features_are_warped_in_float32():
    features = random(1, 3, 12, 14, 10)
    matrix = torch.eye(3, 4)[None] + 0.1 * random(1, 3, 4)
    result, exact = warp_affine(features, matrix, exact=False), warp_affine(features, matrix)
    torch.testing.assert_close(result, exact, rtol=0, atol=2e-5)
    assert not torch.equal(result, exact), "the option does something"
    double = features.double()
    assert torch.equal(warp_affine(double, matrix, exact=False), warp_affine(double, matrix))
