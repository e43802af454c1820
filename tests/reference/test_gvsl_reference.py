"""The plain version of GVSL against the golden values of the release."""

import math

import numpy as np
import pytest
import torch
from golden import assert_statistics, cases, unit_wave, wave
from reference import gvsl
from reference.golden_gvsl import golden_method, golden_pair

from ssl3d.geometry import warp_flow
from ssl3d.losses import FlowSmoothnessLoss, LocalNCCLoss, RestorationLoss

CASES = cases("gvsl")
EXACT = {"rtol": 1e-8, "atol": 1e-10}
SINGLE = {"rtol": 1e-4, "atol": 1e-5}  # the file's tolerances for pieces in float32
WAVE_VOLUME = unit_wave((1, 2, 6, 7, 8), 0.4)


def expected(case):
    return CASES[case]["expected"]


def golden_matrix(case):
    return torch.tensor([expected(case)["analytic_f64"]], dtype=torch.float64)


# --- samplers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["identity", "rot_x", "rot_z", "scale", "shear", "trans"])
def test_affine_sampler(name):
    out = gvsl.warp_affine(WAVE_VOLUME, golden_matrix(f"affmat_{name}"))
    assert_statistics(out, expected(f"atn_{name}")["out"], **EXACT)


def test_affine_sampler_nearest():
    out = gvsl.warp_affine(WAVE_VOLUME, golden_matrix("affmat_general"), mode="nearest")
    assert_statistics(out, expected("atn_general_nearest")["out"], **EXACT)


def test_affine_sampler_of_a_batch():
    matrices = torch.cat([golden_matrix("affmat_general"), golden_matrix("affmat_scale")])
    out = gvsl.warp_affine(unit_wave((2, 1, 5, 6, 7), 0.4), matrices)
    assert_statistics(out, expected("atn_batch2")["out"], **EXACT)


def test_affine_sampling_grid():
    grid = gvsl.affine_grid(golden_matrix("affmat_general"), torch.Size((1, 3, 6, 7, 8)))
    assert_statistics(grid, expected("atn_grid_general")["grid(N,D,H,W,3: x,y,z)"], **EXACT)


def flow_of(name):
    shape = (1, 3, 6, 7, 8)
    unit = torch.tensor([1.0, 0, 0], dtype=torch.float64).view(1, 3, 1, 1, 1)
    zeros = torch.zeros(shape, dtype=torch.float64)
    return {"zero": zeros, "half": zeros + 0.5, "int1": zeros + unit, "form": 1.5 * wave(shape, 0.8)}[name]


@pytest.mark.parametrize(
    ("name", "mode"), [(n, "bilinear") for n in ("zero", "half", "int1", "form")] + [("form", "nearest")]
)
def test_flow_sampler_equals_the_product_s_released_one(name, mode):
    flow = flow_of(name)
    out = gvsl.warp_flow(WAVE_VOLUME, flow, mode)
    assert_statistics(out, expected(f"stn_{name}_{mode}")["out"], **EXACT)
    torch.testing.assert_close(warp_flow(WAVE_VOLUME, flow, released=True, mode=mode), out, rtol=0, atol=1e-12)


def test_two_warps_and_their_gradients():
    golden = expected("warp_compose")
    moving, fixed = unit_wave((1, 1, 8, 8, 8), 0.4), unit_wave((1, 1, 8, 8, 8), 1.0)
    matrix = golden_matrix("affmat_general").requires_grad_()
    flow = (0.8 * wave((1, 3, 8, 8, 8), 0.8)).requires_grad_()
    warped = gvsl.warp_flow(gvsl.warp_affine(moving, matrix), flow)
    ncc = 1 - gvsl.local_ncc(warped, fixed).mean()
    ncc.backward()
    assert_statistics(warped, golden["warp"], **EXACT)
    assert ncc.item() == pytest.approx(golden["ncc"], rel=1e-8)
    assert_statistics(flow.grad, golden["grad_flow"], **EXACT)
    torch.testing.assert_close(matrix.grad[0], torch.tensor(golden["grad_mat"], dtype=torch.float64), **EXACT)


# --- network and losses -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[True, False], ids=["released", "differentiable"])
def step(request):
    """Prediction, parts of the loss and gradients by the release's names, with or without its oversight."""
    method = golden_method()
    corrupted, moving, fixed = golden_pair()
    method.zero_grad(set_to_none=True)
    prediction = gvsl.forward(method, corrupted, moving, detach_affine=request.param)
    parts = gvsl.losses(prediction, fixed)
    sum(parts.values()).backward()
    gradients = {name: value.grad for name, value in gvsl.released_parameters(method)}
    yield request.param, prediction, parts, gradients
    method.zero_grad(set_to_none=True)


def test_network_step(step):
    """Outputs and losses are the same with and without the gradient of the affine map; the gradients differ."""
    detached, prediction, parts, gradients = step
    golden = expected("gvsl_forward_32x32x32")
    assert_statistics(prediction.warped, golden["warp_BA"], rtol=1e-4, atol=2e-3)
    assert_statistics(prediction.flow, golden["flow_BA"], rtol=1e-4, atol=2e-3)
    torch.testing.assert_close(prediction.matrix[0], torch.tensor(golden["aff_mat_BA"]), **SINGLE)
    for part, name in {"ncc": "loss_ncc", "restoration": "loss_mse", "smoothness": "loss_smooth"}.items():
        assert parts[part].item() == pytest.approx(golden[name], rel=1e-4), part

    golden = golden if detached else expected("gvsl_grad_differentiable_affine_NOTREF")
    assert sum(parts.values()).item() == pytest.approx(golden["loss"], rel=1e-4)
    for name, norm in golden["grad_l2"].items():
        if norm is None:
            assert gradients[name] is None
        else:
            assert gradients[name].norm().item() == pytest.approx(norm, rel=2e-3), name
    silent = [name for name, gradient in gradients.items() if gradient is None]
    assert silent == golden.get("params_without_grad", [])


@pytest.mark.parametrize(("name", "window"), [("default9", 9), ("3", 3), ("7", 7), ("9", 9)])
def test_plain_local_ncc(name, window):
    first, second = unit_wave((1, 1, 12, 11, 10)), unit_wave((1, 1, 12, 11, 10), 0.9)
    loss = 1 - gvsl.local_ncc(first, second, window).mean()
    assert loss.item() == pytest.approx(expected(f"ncc_win_{name}")["loss"], rel=1e-8)


def test_plain_losses_are_those_of_the_product():
    """On a pair without cancellation, where the release's float32 holds."""
    shape = (2, 1, 9, 12, 10)
    generator = torch.Generator().manual_seed(0)
    warped, restored, fixed = (torch.rand(shape, generator=generator) for _ in range(3))
    flow = torch.randn((2, 3, *shape[2:]), generator=generator)
    parts = gvsl.losses(gvsl.Prediction(torch.zeros(2, 3, 4), flow, warped, restored), fixed)
    torch.testing.assert_close(parts["ncc"], LocalNCCLoss()(warped, fixed))
    torch.testing.assert_close(parts["restoration"], RestorationLoss()(restored, fixed))
    torch.testing.assert_close(parts["smoothness"], FlowSmoothnessLoss()(flow))


# --- spatial augmentation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1.5, 4.0, 10.0, 12.1, 13.0])
def test_gaussian_kernel(sigma):
    golden = expected(f"gauss1d_{sigma}")
    kernel = gvsl.gaussian_kernel(sigma)
    assert len(kernel) == golden["len"] == 2 * golden["radius"] + 1
    actual = {"center": kernel[golden["radius"]], "end": kernel[0], "sum": kernel.sum(), "l2": kernel.norm()}
    for name, value in actual.items():
        assert value.item() == pytest.approx(golden[name], rel=1e-8), name


def test_centred_mesh():
    assert_statistics(gvsl.centred_mesh((10, 9, 8)), expected("zero_centred_mesh")["out"], **SINGLE)


@pytest.mark.parametrize(
    ("case", "alpha", "sigma"), [("elastic_small", 100, 1.5), ("elastic_default_sigma", 300, 12.1)]
)
def test_elastic_displacement(case, alpha, sigma):
    displacement = gvsl.elastic_displacement(wave((1, 3, 10, 9, 8), 0.6).float(), alpha, sigma)
    assert_statistics(displacement, expected(case)["offset(out-mesh)"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(10, 9, 8), (16, 16, 16)])
def test_spatial_augmentation(size):
    golden = expected("rand_coords_{}_{}_{}".format(*size))
    matrix, flow = gvsl.spatial_parameters(
        size, lambda low, high: low + 0.7 * (high - low), lambda shape: unit_wave(shape, 0.6).float()
    )
    torch.testing.assert_close(matrix[0], torch.tensor(golden["mat"]), **SINGLE)
    assert_statistics(flow, golden["flow(displacement)"], **SINGLE)
    out = gvsl.augment_spatially(unit_wave((1, 1, *size), 0.4).float(), matrix, flow)
    assert_statistics(out, golden["augmented U(1,1,*patch;p=0.4)"], **SINGLE)


# --- appearance augmentation ------------------------------------------------------------------------------------------


def wave_image():
    return unit_wave((1, 1, 40, 44, 48), 0.4)[0].float().numpy()


@pytest.mark.parametrize(
    ("case", "seed", "augment"),
    [
        ("local_shuffle_seed7", 7, lambda image, rng: gvsl.shuffle_boxes(image, rng, probability=1)),
        ("inpaint_seed7", 7, gvsl.paint_boxes),
        ("rand_aug_seed11", 11, gvsl.augment_appearance),
    ],
)
def test_appearance(case, seed, augment):
    image = wave_image()
    out = augment(image, np.random.RandomState(seed))
    assert np.array_equal(image, wave_image())
    golden = expected(case)
    assert_statistics(torch.from_numpy(out), golden["out"], rtol=1e-6, atol=1e-6)
    if "changed_fraction" in golden:
        assert (out != image).mean() == pytest.approx(golden["changed_fraction"], abs=1e-9)


def test_bezier_curve():
    x, y = gvsl.bezier_curve(np.array([[0, 0], [0.2, 0.7], [0.6, 0.1], [1, 1]]), 11)
    np.testing.assert_allclose(x, expected("bezier")["x"], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(y, expected("bezier")["y"], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("case", ["nonlinear_monotone", "nonlinear_nonmonotone", "nonlinear_swapx"])
def test_intensity_map(case):
    numbers = iter(CASES[case]["inputs"]["seq"])
    mapped = gvsl.map_intensities(np.linspace(-0.1, 1.1, 13), lambda: next(numbers))
    np.testing.assert_allclose(mapped, expected(case)["y"], rtol=1e-8, atol=1e-12)


def test_coverage_of_painting():
    golden = expected("inpaint_coverage_64")
    rng = np.random.RandomState(0)
    image = np.full((1, 64, 64, 64), -1, np.float32)
    share = np.array([(gvsl.paint_boxes(image, rng) >= 0).mean() for _ in range(300)])
    assert share.mean() == pytest.approx(golden["mean"], rel=1e-8)
    assert share.std() == pytest.approx(golden["std"], rel=1e-8)
    assert (share == 0).mean() == pytest.approx(golden["p_zero_boxes"], abs=4 * math.sqrt(0.05 * 0.95 / 300))
