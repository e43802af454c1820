import pytest
import torch
from golden import assert_statistics, cases, unit_wave, wave

from ssl3d.geometry import affine_flow, affine_matrix, compose_flow, jacobian_determinant, warp_affine, warp_flow

SIZES = [(6, 7, 8), (31, 40, 24), (1, 5, 4)]


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def matrix_of(rotation=(0, 0, 0), scale=(1, 1, 1), translation=(0, 0, 0), shear=(0,) * 6):
    return affine_matrix(*[torch.tensor([v], dtype=torch.float64) for v in (rotation, scale, translation, shear)])


def grid_of(size):
    return torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 3, indexing="ij")


def smooth_flow(size=12, amplitude=0.8):
    return amplitude * wave((1, 3, size, size, size), 0.8)


@pytest.mark.parametrize(
    ("name", "mode", "released"),
    [
        ("zero_bilinear", "bilinear", True),
        ("half_bilinear", "bilinear", True),
        ("int1_bilinear", "bilinear", True),
        ("form_bilinear", "bilinear", True),
        ("form_nearest", "nearest", True),
        ("form_alignTrue_NOTREF", "bilinear", False),
    ],
)
def test_golden_flow(name, mode, released):
    flow = 1.5 * wave((1, 3, 6, 7, 8), 0.8)
    if not name.startswith("form"):
        flow = torch.full_like(flow, 0.5 if name.startswith("half") else 0)
    if name.startswith("int1"):
        flow[:, 0] = 1
    out = warp_flow(unit_wave((1, 2, 6, 7, 8), 0.4), flow, released=released, mode=mode)
    assert_statistics(out, cases("gvsl")[f"stn_{name}"]["expected"]["out"], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_identity(size, dtype, mode):
    image = random(2, 2, *size, dtype=dtype)
    for warped in (
        warp_affine(image, matrix_of().to(dtype).expand(2, 3, 4), mode),
        warp_flow(image, torch.zeros(2, 3, *size, dtype=dtype), mode=mode),
    ):
        assert warped.dtype == dtype
        assert (warped - image).abs().max() <= 1e-6


@pytest.mark.parametrize("axis", range(3))
def test_one_voxel_along_each_axis_reads_the_next_voxel_and_zeros_beyond(axis):
    image = random(1, 1, 4, 5, 6)
    shift = [0.0, 0.0, 0.0]
    shift[axis] = 1.0
    expected = torch.roll(image, -1, axis + 2)
    expected.select(axis + 2, -1).zero_()
    flow = torch.tensor(shift, dtype=torch.float64).view(1, 3, 1, 1, 1).expand(1, 3, 4, 5, 6)
    torch.testing.assert_close(warp_flow(image, flow), expected)
    torch.testing.assert_close(warp_affine(image, matrix_of(translation=shift)), expected)


def test_affine_equals_its_flow():
    """Both routines read one convention, on a volume with three different sizes."""
    image, matrix = random(1, 2, 5, 7, 9), matrix_of((0.2, -0.1, 0.3), (0.9, 1.1, 1.2), (0.5, -1, 0.25), (0.1,) * 6)
    grid = torch.stack(torch.meshgrid(*[torch.arange(s).double() for s in (5, 7, 9)], indexing="ij"))
    centre = torch.tensor([2.0, 3.0, 4.0], dtype=torch.float64).view(3, 1, 1, 1)
    moved = torch.einsum("ij,jdhw->idhw", matrix[0, :, :3], grid - centre) + centre + matrix[0, :, 3].view(3, 1, 1, 1)
    torch.testing.assert_close(warp_affine(image, matrix), warp_flow(image, (moved - grid)[None]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_affine_flow_warps_as_the_matrix_does(mode, dtype):
    """A volume with three different sizes, and a batch of two different maps."""
    first = matrix_of((0.2, -0.1, 0.3), (0.9, 1.1, 1.2), (0.5, -1, 0.25), (0.1, -0.1, 0.2, 0, 0.1, -0.2))
    matrix = torch.cat([first, matrix_of(scale=(1.2, 0.7, 1.0), translation=(0.3, 0, -2))]).to(dtype)
    image = random(2, 2, 5, 7, 9, dtype=dtype)
    flow = affine_flow(matrix, (5, 7, 9))
    assert flow.shape == (2, 3, 5, 7, 9) and flow.dtype == dtype
    torch.testing.assert_close(warp_flow(image, flow, mode=mode), warp_affine(image, matrix, mode), rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("size", SIZES)
def test_an_inexact_warp_is_beside_the_exact_one_by_rounding(size, channels):
    """A map of its own for each item, one of them far out of the volume; few channels are read by index."""
    matrix = matrix_of((0.2, -0.1, 0.3), (0.9, 1.1, 1.2), (0.5, -1, 0.25), (0.1,) * 6).repeat(3, 1, 1)
    matrix[1] = matrix_of(scale=(-1.47, 0.73, 1.03), translation=(0.31, 0.07, -1.9))[0]
    matrix[2, :, 3] = torch.tensor([99.0, -99, 99])
    results = []
    for exact in (False, True):
        image = random(3, channels, *size, dtype=torch.float32).requires_grad_()
        moving = matrix.clone().requires_grad_()
        warped = warp_affine(image, moving, exact=exact)
        (warped * random(*warped.shape, seed=1, dtype=torch.float32)).sum().backward()
        results.append((warped.detach(), image.grad, moving.grad))
    for inexact, expected in zip(*results, strict=True):
        torch.testing.assert_close(inexact, expected, rtol=1e-3, atol=5e-5)
    assert results[0][0].dtype == torch.float32 and not results[0][0][2].any() and results[0][0][0].any()


def test_affine_flow_of_the_identity_is_the_field_itself():
    flow = smooth_flow(6)
    torch.testing.assert_close(affine_flow(matrix_of(), (6, 6, 6), flow), flow)
    assert affine_flow(matrix_of(), (6, 1, 4)).abs().max() == 0


def test_affine_flow_of_a_translation_adds_it():
    flow = smooth_flow(6)
    shift = torch.tensor([1.0, -2, 0.5], dtype=torch.float64)
    fused = affine_flow(matrix_of(translation=shift.tolist()), (6, 6, 6), flow)
    torch.testing.assert_close(fused, flow + shift.view(1, 3, 1, 1, 1))


def test_affine_flow_with_a_field_equals_two_warps():
    """On a linear image interpolation is exact, so that the two sides must agree wherever no sample leaves it."""
    image = torch.einsum("i,idhw->dhw", torch.tensor([1.0, -2.0, 0.5]).double(), torch.stack(grid_of(12)))[None, None]
    matrix = matrix_of((0.2, -0.1, 0.15), (0.9, 1.1, 0.95), (0.5, -0.3, 0.2), (0.05,) * 6)
    field = smooth_flow()
    twice = warp_flow(warp_affine(image, matrix), field)
    inside = (..., *[slice(4, -4)] * 3)
    torch.testing.assert_close(warp_flow(image, affine_flow(matrix, (12, 12, 12), field))[inside], twice[inside])
    other_order = warp_affine(warp_flow(image, field), matrix)
    assert (other_order - twice)[inside].abs().max() > 0.05


def test_nearest_keeps_a_label_map_a_label_map():
    labels = torch.randint(0, 5, (1, 1, 6, 6, 6), generator=torch.Generator().manual_seed(0))
    flow = 0.4 * torch.ones(1, 3, 6, 6, 6)
    warped = warp_flow(labels, flow, mode="nearest")
    assert warped.dtype == labels.dtype and torch.equal(warped, labels)
    assert torch.equal(warp_affine(labels, matrix_of(translation=(0.4, 0.4, 0.4)), mode="nearest"), labels)


def test_compose_flow_equals_two_warps():
    """On a linear image interpolation is exact, so that the two sides must agree wherever no sample leaves it."""
    image = torch.einsum("i,idhw->dhw", torch.tensor([1.0, -2.0, 0.5]).double(), torch.stack(grid_of(12)))[None, None]
    first, second = smooth_flow(amplitude=0.5), smooth_flow(amplitude=-0.7).flip(4)
    twice = warp_flow(warp_flow(image, first), second)
    inside = (..., *[slice(3, -3)] * 3)
    torch.testing.assert_close(warp_flow(image, compose_flow(first, second))[inside], twice[inside])
    assert (warp_flow(image, compose_flow(second, first)) - twice)[inside].abs().max() > 0.01


def test_jacobian_of_a_linear_map_is_its_determinant():
    linear = torch.tensor([[0.1, 0.2, 0.0], [0.0, -0.3, 0.1], [0.2, 0.0, 0.4]], dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(*[torch.arange(s).double() for s in (4, 5, 6)], indexing="ij"))
    flow = torch.einsum("ij,jdhw->idhw", linear, grid)[None]
    determinant = jacobian_determinant(flow)
    assert determinant.shape == (1, 1, 4, 5, 6)
    torch.testing.assert_close(
        determinant, torch.full_like(determinant, torch.linalg.det(linear + torch.eye(3)).item())
    )


def test_jacobian_shows_a_fold():
    flow = torch.zeros(1, 3, 5, 5, 5)
    flow[:, 0] = -2 * torch.arange(5.0).view(5, 1, 1)
    assert (jacobian_determinant(flow) < 0).all()


def test_gradients():
    image = random(1, 1, 4, 5, 3).requires_grad_()
    flow = (0.31 + 0.2 * random(1, 3, 4, 5, 3, seed=1)).requires_grad_()  # off the kinks at whole voxels
    assert torch.autograd.gradcheck(warp_flow, (image, flow))
    matrix = matrix_of((0.1, 0.2, 0.05), (0.9, 0.8, 0.85), (0.1, 0.2, 0.13)).requires_grad_()
    assert torch.autograd.gradcheck(warp_affine, (image, matrix))
    assert torch.autograd.gradcheck(lambda image, flow: warp_flow(image, flow, released=True), (image, flow))
    assert torch.autograd.gradcheck(lambda matrix, flow: affine_flow(matrix, (4, 5, 3), flow), (matrix, flow))


@pytest.mark.parametrize(
    "call",
    [
        lambda: warp_flow(torch.zeros(1, 4, 4, 7), torch.zeros(1, 3, 4, 4, 7)),
        lambda: warp_flow(torch.zeros(1, 1, 4, 4, 7), torch.zeros(1, 2, 4, 4, 7)),
        lambda: warp_flow(torch.zeros(2, 1, 4, 4, 7), torch.zeros(1, 3, 4, 4, 7)),
        lambda: warp_affine(torch.zeros(1, 1, 4, 4, 7), torch.zeros(1, 4, 7)),
        lambda: warp_affine(torch.zeros(4, 4, 7), torch.zeros(1, 3, 4)),
        lambda: affine_flow(torch.zeros(1, 4, 7), (4, 4, 4)),
        lambda: affine_flow(torch.zeros(4, 7), (4, 4, 4)),
        lambda: affine_flow(torch.zeros(1, 3, 4), (4, 4, 4), torch.zeros(1, 3, 4, 4, 7)),
        lambda: affine_flow(torch.zeros(2, 3, 4), (4, 4, 7), torch.zeros(1, 3, 4, 4, 7)),
        lambda: affine_flow(torch.zeros(1, 3, 4), (4, 4, 7), torch.zeros(3, 4, 4, 7)),
        lambda: compose_flow(torch.zeros(1, 3, 4, 4, 4), torch.zeros(1, 3, 4, 4, 7)),
        lambda: jacobian_determinant(torch.zeros(1, 3, 1, 4, 7)),
        lambda: jacobian_determinant(torch.zeros(3, 4, 4, 7)),
    ],
)
def test_wrong_shape_is_named(call):
    with pytest.raises(ValueError, match=r"7\)"):
        call()


def test_wrong_mode_and_type_are_refused():
    with pytest.raises(ValueError, match="cubic"):
        warp_flow(torch.zeros(1, 1, 2, 2, 2), torch.zeros(1, 3, 2, 2, 2), mode="cubic")
    with pytest.raises(ValueError, match="int64"):
        warp_flow(torch.zeros(1, 1, 2, 2, 2, dtype=torch.int64), torch.zeros(1, 3, 2, 2, 2))


def test_a_diverged_matrix_gives_no_numbers_and_no_error():
    matrix = torch.full((1, 3, 4), torch.nan)
    warped = warp_affine(torch.rand(1, 1, 4, 5, 6), matrix, exact=False)
    assert warped.shape == (1, 1, 4, 5, 6) and not (warped > 0).any()


@pytest.mark.parametrize("which", [0, 1])
def test_inexact_warps_have_a_gradient(which):
    """Reading by index has none, so it is not taken where one is asked for."""
    image = torch.rand(2, 1, 6, 7, 5, generator=torch.Generator().manual_seed(0))
    matrix = torch.eye(3, 4).repeat(2, 1, 1) + 0.1 * torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(1))
    gradients = []
    for exact in (True, False):
        inputs = [image.clone(), matrix.clone()]
        inputs[which].requires_grad_()
        warp_affine(*inputs, exact=exact).square().sum().backward()
        gradients.append(inputs[which].grad)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(warp_affine(*inputs), warp_affine(*inputs, exact=False), rtol=0, atol=1e-5)
