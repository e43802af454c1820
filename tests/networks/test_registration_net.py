"""The registration network: golden values at the published width, geometry of its output, bad input, scripting."""

import io

import pytest
import torch
from golden import assert_statistics, cases
from reference.golden_gvsl import golden_features, golden_method

from ssl3d.geometry import affine_flow, warp_affine, warp_flow
from ssl3d.networks import RegistrationNet, UNet3d
from ssl3d.networks.registration import AffineHead

EXPECTED = cases("gvsl")["gvsl_forward_32x32x32"]["expected"]
STRIDES = pytest.mark.parametrize("stride", [1, 2])


def small_net(stride=2, seed=0):
    torch.manual_seed(seed)
    return RegistrationNet(UNet3d(1, (8, 16, 16), stride), affine_channels=16, flow_channels=8).eval()


def moved_net(stride=2):
    """A network whose matrix and field are far from the identity."""
    net = small_net(stride)
    with torch.no_grad():
        net.head.affine.rotation.bias.copy_(torch.tensor([0.3, -0.2, 0.4]))
        net.head.affine.scale.bias.copy_(torch.tensor([0.3, -0.2, 0.2]))
        net.head.affine.translation.bias.copy_(torch.tensor([1.0, -0.6, 0.4]))
        net.head.affine.shear.bias.copy_(0.1 * torch.tensor([1.0, -1, 1, 2, -1, 0]))
        net.head.flow.flow.weight.mul_(100)
    return net


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# --- golden values ----------------------------------------------------------------------------------------------------


def test_golden_features_at_the_published_width():
    fixed, _ = golden_features()
    assert_statistics(fixed.encoder[-1], EXPECTED["fA_g"], rtol=1e-4, atol=2e-3)
    assert_statistics(fixed.decoder[-1], EXPECTED["fA_l"], rtol=1e-4, atol=2e-3)


def test_golden_matrix_at_the_published_width():
    fixed, moving = golden_features()
    with torch.no_grad():
        alignment = golden_method().student.head(moving, fixed)
        other_way = golden_method().student.head(fixed, moving)
    golden = torch.tensor(EXPECTED["aff_mat_BA"])
    torch.testing.assert_close(alignment.matrix[0], golden, rtol=1e-4, atol=1e-5)
    assert (other_way.matrix[0] - golden).abs().max() > 0.01  # the order of the two volumes is pinned


def test_golden_matrix_of_raw_outputs():
    """Rotation, scale and shear are clamped and scaled, the translation is neither."""
    case = cases("gvsl")["affhead_raw_to_mat"]
    head = AffineHead(8, 8).double()
    layers = {"rot": head.rotation, "scl": head.scale, "trans": head.translation, "shear": head.shear}
    with torch.no_grad():
        for name, layer in layers.items():
            layer.weight.zero_()
            layer.bias.copy_(torch.tensor(case["inputs"][name], dtype=torch.float64))
        double = head(*torch.rand(2, 1, 8, 2, 2, 2, dtype=torch.float64))
        single = head.float()(*torch.rand(2, 1, 8, 2, 2, 2))
    expected = torch.tensor(case["expected"]["analytic_f64"], dtype=torch.float64)
    torch.testing.assert_close(double[0], expected, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(single[0].float(), torch.tensor(case["expected"]["ref_f32"]), rtol=1e-5, atol=1e-6)


def test_all_four_outputs_are_differentiable_down_to_the_bottlenecks():
    """In the release the matrix is cut off from its inputs (its code rebuilds the matrix from numbers)."""
    torch.manual_seed(0)
    head = AffineHead(8, 8).double()
    for layer in (head.rotation, head.scale, head.translation, head.shear):
        torch.nn.init.normal_(layer.weight, std=0.2)
    pair = torch.randn(2, 1, 8, 2, 1, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(head, [volume.requires_grad_() for volume in pair.unbind()])


# --- the alignment ----------------------------------------------------------------------------------------------------


@STRIDES
@pytest.mark.parametrize("size", [(16, 16, 16), (11, 22, 17), (1, 9, 5)])
def test_flow_has_the_size_of_the_input(stride, size):
    alignment = small_net(stride).decompose(random(2, 2, *size))
    assert alignment.matrix.shape == (2, 3, 4)
    assert alignment.residual.shape == alignment.flow.shape == (2, 3, *size)


@STRIDES
@pytest.mark.parametrize("volumes", ["different", "identical", "empty"])
def test_the_start_is_close_to_the_identity(stride, volumes):
    torch.manual_seed(0)
    net = RegistrationNet(UNet3d(1, (16, 32, 64), stride))
    image = random(1, 2, 24, 32, 20)
    image = {"different": image, "identical": image[:, :1].expand_as(image), "empty": 0 * image}[volumes]
    alignment = net.decompose(image)
    assert (alignment.matrix - torch.eye(3, 4)).abs().max() < 0.05
    assert alignment.flow.abs().max() < 0.5
    if volumes != "empty":
        assert alignment.flow.abs().max() > 0  # not cut off from its gradient


@STRIDES
@pytest.mark.parametrize("size", [(16, 24, 20), (15, 17, 21)])
def test_flow_is_the_affine_map_after_the_residual(stride, size):
    net = moved_net(stride)
    with torch.no_grad():
        matrix, residual, flow = net.decompose(random(2, 2, *size))
    assert residual.abs().max() > 0.1 and (matrix - torch.eye(3, 4)).abs().max() > 0.1
    torch.testing.assert_close(flow, affine_flow(matrix, size, residual))
    # Interpolation of a linear image is exact, so that one warp must equal two, wherever no sample leaves the volume.
    grid = torch.stack(torch.meshgrid([torch.arange(float(side)) for side in size], indexing="ij"))
    image = torch.einsum("i,idhw->dhw", torch.tensor([1.0, -2.0, 0.5]), grid).expand(2, 1, *size)
    once, twice = warp_flow(image, flow), warp_flow(warp_affine(image, matrix), residual)
    ones = torch.ones_like(image)
    inside = (warp_flow(ones, flow) > 1 - 1e-5) & (warp_flow(warp_affine(ones, matrix), residual) > 1 - 1e-5)
    assert inside.float().mean() > 0.2
    torch.testing.assert_close(once[inside], twice[inside], rtol=0, atol=1e-3)
    assert (warp_flow(image, residual) - once)[inside].abs().max() > 0.5


def test_forward_is_the_flow_of_the_alignment():
    net, image = moved_net(), random(1, 2, 16, 16, 16)
    torch.testing.assert_close(net(image), net.decompose(image).flow)


def test_channel_0_moves_and_channel_1_is_fixed():
    net, image = moved_net(), random(1, 2, 16, 16, 16)
    moving, fixed = net.backbone(image[:, :1]), net.backbone(image[:, 1:])
    for ours, expected in zip(net.decompose(image), net.head(moving, fixed), strict=True):
        torch.testing.assert_close(ours, expected)
    assert (net.decompose(image.flip(1)).residual - net.decompose(image).residual).abs().max() > 1e-3


@STRIDES
def test_batch_items_are_independent(stride):
    net, image = moved_net(stride), random(3, 2, 16, 12, 20)
    together = net(image)
    for item in range(3):
        torch.testing.assert_close(net(image[item : item + 1])[0], together[item], rtol=1e-4, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 1e-3


@STRIDES
def test_translation_and_field_are_voxels_at_any_stride(stride):
    """The head's fine maps have one cell for ``stride`` voxels; image and features move by the same length."""
    net = small_net(stride)
    seen = []
    net.head.flow.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    with torch.no_grad():
        for layer in (net.head.affine.rotation, net.head.affine.scale, net.head.affine.shear):
            layer.weight.zero_()
        net.head.affine.translation.weight.zero_()
        net.head.affine.translation.bias.copy_(torch.tensor([4.0, 0, -2]))
        net.head.flow.flow.weight.zero_()
        net.head.flow.flow.bias.copy_(torch.tensor([1.0, 0.5, 0]))
        image = random(1, 2, 16, 16, 16)
        alignment = net.decompose(image)
        fine = net.backbone(image[:, :1]).decoder[net.head.level]
    moved, _ = seen[0]
    assert fine.shape[2] == 16 // stride
    back, left = 4 // stride, 2 // stride
    torch.testing.assert_close(moved[:, :, :-back, :, left:], fine[:, :, back:, :, :-left], rtol=1e-4, atol=1e-4)
    cell = torch.tensor([1.0, 0.5, 0]).view(1, 3, 1, 1, 1)
    torch.testing.assert_close(alignment.residual, (stride * cell).expand(1, 3, 16, 16, 16))
    expected = stride * cell + torch.tensor([4.0, 0, -2]).view(1, 3, 1, 1, 1)
    torch.testing.assert_close(alignment.flow, expected.expand(1, 3, 16, 16, 16), rtol=0, atol=1e-4)


def test_padding_is_even_and_cropped_back():
    """At stride 2 the field is that of the padded volume, without its rim."""
    net, image = moved_net(), random(1, 2, 10, 16, 14)
    padded = torch.nn.functional.pad(image, (1, 1, 0, 0, 3, 3))  # stride 8: 10 -> 16 and 14 -> 16
    inner = (..., slice(3, -3), slice(None), slice(1, -1))
    ours, expected = net.decompose(image), net.decompose(padded)
    torch.testing.assert_close(ours.matrix, expected.matrix)
    torch.testing.assert_close(ours.residual, expected.residual[inner])
    torch.testing.assert_close(ours.flow, expected.flow[inner], rtol=0, atol=1e-4)


def test_every_parameter_gets_a_gradient_from_the_flow():
    for stride in (1, 2):
        net = small_net(stride)
        net(random(1, 2, 16, 16, 16)).square().mean().backward()
        # At stride 2 the last upsampling serves the finest map alone, which registration does not read.
        silent = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
        assert silent == ({"backbone.upsample.weight", "backbone.upsample.bias"} if stride == 2 else set())


# --- what users and MONAI do with it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 16, 16, 16), (1, 3, 16, 16, 16), (2, 16, 16, 16), (2, 2, 16, 16)])
def test_wrong_shape_is_named(shape):
    with pytest.raises(ValueError, match=str(list(shape)).replace("[", r"\[").replace("]", r"\]")):
        small_net()(torch.zeros(shape))


@pytest.mark.parametrize("name", ["affine_channels", "flow_channels"])
@pytest.mark.parametrize("width", [0, 12, -8])
def test_wrong_width_is_named(name, width):
    with pytest.raises(ValueError, match=rf"{name} .* {width}"):
        RegistrationNet(UNet3d(1, (8, 16)), **{name: width})


@pytest.mark.parametrize("backbone", [{}, {"channels": (8, 16), "stem_stride": 1}])
def test_scripts_saves_and_loads(backbone):
    """MONAI's ``ckpt_export`` scripts the network of a bundle."""
    torch.manual_seed(0)
    net = RegistrationNet(UNet3d(**backbone)).eval()
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(net), file)
    file.seek(0)
    scripted = torch.jit.load(file)
    with torch.no_grad():
        for shape in ((1, 2, 16, 16, 16), (2, 2, 13, 24, 18)):
            image = random(*shape)
            torch.testing.assert_close(scripted(image), net(image))


def test_mixed_precision_keeps_the_field():
    """Positions in bfloat16 would be off by a voxel at 200 voxels from the centre."""
    torch.manual_seed(0)
    net = RegistrationNet(UNet3d()).eval()
    with torch.no_grad():
        net.head.affine.rotation.bias.fill_(0.5)
        net.head.affine.translation.bias.fill_(3.3)
        image = torch.rand(1, 2, 96, 32, 32)
        full = net.decompose(image)
        with torch.autocast("cpu", torch.bfloat16):
            half = net.decompose(image)
    assert half.flow.dtype == half.matrix.dtype == torch.float32
    assert full.flow.abs().max() > 10
    assert (half.flow - full.flow).abs().max() < 0.1
