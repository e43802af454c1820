import pytest
import torch
import torch.nn.functional as F
from golden import assert_statistics, cases, unit_wave

from ssl3d.losses import LocalNCCLoss
from ssl3d.losses.local_ncc import local_ncc, window_covariances

GOLDEN_SIZE = (1, 1, 12, 11, 10)
SIZE = (2, 1, 7, 9, 8)
I = unit_wave(GOLDEN_SIZE)  # noqa: E741 (the names of the golden file)
J = unit_wave(GOLDEN_SIZE, 0.9)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def direct_ncc(pred, target, kernel_size, eps):
    """The map cc of a pair, from the deviations in each window: slow, and without cancellation."""
    reach = kernel_size // 2

    def windows(image):
        for dim in (2, 3, 4):
            image = F.pad(image, [0, 0] * (image.ndim - 1 - dim) + [reach, reach]).unfold(dim, kernel_size, 1)
        windowed = image.flatten(5)  # (B, 1, D, H, W, n³)
        return windowed - windowed.mean(-1, keepdim=True)

    a, b = windows(pred.double()), windows(target.double())
    return (a * b).sum(-1).square() / (a.square().sum(-1) * b.square().sum(-1) + eps)


@pytest.mark.parametrize(("name", "kernel_size"), [("default9", 9), ("3", 3), ("7", 7), ("9", 9)])
def test_golden_loss_and_gradient(name, kernel_size):
    expected = cases("gvsl")[f"ncc_win_{name}"]["expected"]
    pred = I.clone().requires_grad_()
    loss = LocalNCCLoss(kernel_size)(pred, J)
    loss.backward()
    assert loss.shape == () and loss.item() == pytest.approx(expected["loss"], rel=1e-8)
    assert_statistics(pred.grad, expected["grad_I"], rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("ncc_same", I),
        ("ncc_neg", -I),
        ("ncc_lin", 2 * I + 3),
        ("ncc_const", torch.full_like(I, 0.5)),
        ("ncc_zero", torch.zeros_like(I)),
    ],
)
def test_golden_pairs(name, target):
    expected = cases("gvsl")[name]["expected"]["loss"]
    assert LocalNCCLoss()(I, target).item() == pytest.approx(expected, rel=1e-8, abs=1e-15)


def test_golden_float32():
    expected = cases("gvsl")["ncc_default9_f32"]["expected"]["loss"]
    loss = LocalNCCLoss()(I.float(), J.float())
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(expected, rel=1e-4)


def test_golden_window_sums():
    expected = cases("gvsl")["ncc_local_sums"]["expected"]
    cross, var_i, var_j = window_covariances(I, J, 9)
    cc = local_ncc(I, J, 9, 1e-5)
    for name, actual in {"cross": cross, "I_var": var_i, "J_var": var_j, "cc": cc}.items():
        assert_statistics(actual, expected[name], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_equals_the_direct_computation(kernel_size, dtype):
    pred, target = random(*SIZE, dtype=dtype), random(*SIZE, seed=1, dtype=dtype)
    loss = LocalNCCLoss(kernel_size, eps=1e-2)(pred, target)
    assert loss.dtype == dtype
    expected = 1 - direct_ncc(pred, target, kernel_size, 1e-2).mean()
    torch.testing.assert_close(loss, expected.to(dtype), rtol=1e-6, atol=1e-12)


def test_gradients_reach_both_images():
    pair = [random(2, 1, 4, 3, 5, seed=seed).requires_grad_() for seed in (0, 1)]
    mask = random(2, 1, 4, 3, 5, seed=2) < 0.7
    assert torch.autograd.gradcheck(LocalNCCLoss(3), pair)
    assert torch.autograd.gradcheck(lambda pred, target: LocalNCCLoss(3)(pred, target, mask), pair)


def test_gradient_of_bright_near_constant_images_is_that_of_float64():
    """A hazard of the release: sums in float32 put this gradient 26 % off."""
    pair = [(1 + 1e-3 * noise(1, 1, 16, 16, 16, seed=seed)).float() for seed in (0, 1)]
    gradients = []
    for dtype in (torch.float32, torch.float64):
        pred = pair[0].to(dtype, copy=True).requires_grad_()
        LocalNCCLoss()(pred, pair[1].to(dtype)).backward()
        gradients.append(pred.grad.double())
    assert (gradients[0] - gradients[1]).norm() < 1e-5 * gradients[1].norm()


@pytest.mark.parametrize("brightness", [1.0, 1e3, 1e6])
def test_bright_near_constant_images_stay_in_bounds(brightness, dtype):
    pair = [(brightness * (1 + 1e-7 * noise(*SIZE, seed=seed))).to(dtype) for seed in (0, 1)]
    loss = LocalNCCLoss(3)(pair[0].requires_grad_(), pair[1])
    loss.backward()
    assert 0 <= loss.item() <= 1 and pair[0].grad.isfinite().all()


def test_similarity_stays_in_bounds_where_even_float64_cancels():
    pair = [1e8 * (1 + 1e-9 * noise(*SIZE, seed=seed)) for seed in (0, 1)]
    cross, *variances = window_covariances(*pair, 3)
    free = cross.square() / (variances[0] * variances[1] + 1e-5)
    assert min(v.min() for v in variances) < 0 and free.min() < 0 and free.max() > 1
    cc = local_ncc(*pair, 3, 1e-5)
    assert cc.min() >= 0 and cc.max() <= 1


@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_a_flat_image_resembles_nothing_and_has_a_gradient(value, dtype):
    pred = torch.full((1, 1, 9, 9, 9), value, dtype=dtype, requires_grad=True)
    target = random(1, 1, 9, 9, 9, dtype=dtype)
    inside = (..., *[slice(1, -1)] * 3)  # at the border a flat image has the contrast of the zeros beyond
    assert local_ncc(pred.double(), target.double(), 3, 1e-5)[inside].max() < 1e-9
    LocalNCCLoss(3)(pred, target).backward()
    assert pred.grad.isfinite().all()


def test_two_flat_images_have_a_gradient(dtype):
    pred = torch.zeros(SIZE, dtype=dtype, requires_grad=True)
    loss = LocalNCCLoss()(pred, torch.zeros(SIZE, dtype=dtype))
    loss.backward()
    assert loss.item() == 1 and pred.grad.isfinite().all()


def test_brightness_contrast_and_sign_of_either_image_do_not_matter(dtype):
    """Contrast about the window's mean: inside, where no window meets the zeros beyond the border."""
    pred, target = 10 * random(*SIZE, dtype=dtype), 10 * random(*SIZE, seed=1, dtype=dtype)
    loss = LocalNCCLoss()
    torch.testing.assert_close(loss(-pred, target), loss(pred, target))
    torch.testing.assert_close(loss(pred, -target), loss(pred, target))
    torch.testing.assert_close(loss(pred, 3 * target), loss(pred, target), rtol=1e-5, atol=1e-7)
    inside = (..., *[slice(1, -1)] * 3)
    changed = local_ncc(pred.double(), 2 * target.double() + 3, 3, 1e-5)
    torch.testing.assert_close(
        changed[inside], local_ncc(pred.double(), target.double(), 3, 1e-5)[inside], rtol=1e-4, atol=1e-6
    )


def test_symmetric_in_the_images(dtype):
    pred, target = random(*SIZE, dtype=dtype), random(*SIZE, seed=1, dtype=dtype)
    torch.testing.assert_close(LocalNCCLoss()(pred, target), LocalNCCLoss()(target, pred))


def test_batch_items_are_independent(dtype):
    pred, target = random(*SIZE, dtype=dtype), random(*SIZE, seed=1, dtype=dtype)
    single = [LocalNCCLoss()(pred[i : i + 1], target[i : i + 1]) for i in (0, 1)]
    assert abs(single[0] - single[1]) > 1e-4
    torch.testing.assert_close(LocalNCCLoss()(pred, target), torch.stack(single).mean())


def test_padding_changes_nothing(dtype):
    """16 voxels of padding, with anything in it, under a mask that leaves it out."""
    pred, target = random(*SIZE, dtype=dtype).requires_grad_(), random(*SIZE, seed=1, dtype=dtype)
    mask = F.pad(torch.ones(SIZE), [16] * 6)
    plain = LocalNCCLoss()(pred, target)
    for filling in (0.0, 7.0):
        padded = LocalNCCLoss()(F.pad(pred, [16] * 6, value=filling), F.pad(target, [16] * 6, value=-filling), mask)
        assert abs(padded - plain) <= 1e-6
        torch.testing.assert_close(*(torch.autograd.grad(loss, pred, retain_graph=True)[0] for loss in (padded, plain)))


@pytest.mark.parametrize("mask_dtype", [torch.bool, torch.uint8, torch.float32])
def test_each_item_counts_the_same_and_an_empty_one_0(mask_dtype, dtype):
    pred, target = random(3, 1, 5, 6, 7, dtype=dtype), random(3, 1, 5, 6, 7, seed=1, dtype=dtype)
    mask = torch.zeros(3, 1, 5, 6, 7)
    mask[0], mask[1, :, :2, :3] = 1, 1
    first = LocalNCCLoss(3)(pred[:1], target[:1])
    second = LocalNCCLoss(3)(pred[1:2, :, :2, :3], target[1:2, :, :2, :3])
    torch.testing.assert_close(LocalNCCLoss(3)(pred, target, mask.to(mask_dtype)), (first + second + 0) / 3)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_inputs_are_computed_in_full(half):
    pred, target = random(*SIZE).to(half).requires_grad_(), random(*SIZE, seed=1).to(half)
    loss = LocalNCCLoss()(pred, target)
    loss.backward()
    assert loss.dtype == torch.float32 and pred.grad.dtype == half and pred.grad.abs().max() > 0
    torch.testing.assert_close(loss, LocalNCCLoss()(pred.float(), target.float()))


def test_autocast_leaves_the_value():
    pred, target = (1 + 1e-2 * noise(*SIZE, seed=seed).float() for seed in (0, 1))
    with torch.autocast("cpu", torch.bfloat16):
        loss = LocalNCCLoss()(pred, target)
    assert torch.equal(loss, LocalNCCLoss()(pred, target))


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 4, 4, 7), (1, 4, 4, 7)],
        [(1, 2, 4, 4, 7), (1, 2, 4, 4, 7)],
        [(2, 1, 4, 4, 4), (1, 1, 4, 4, 7)],
        [(2, 1, 4, 4, 4), (2, 1, 4, 4, 4), (1, 1, 4, 4, 7)],
        [(2, 1, 4, 4, 4), (2, 1, 4, 4, 4), (2, 4, 4, 7)],
    ],
)
def test_wrong_shape_is_named(shapes):
    with pytest.raises(ValueError, match=r"7\)"):
        LocalNCCLoss()(*map(torch.zeros, shapes))


def test_wrong_settings_are_refused():
    for kernel_size in (0, 4, -3):
        with pytest.raises(ValueError, match=f"{kernel_size}"):
            LocalNCCLoss(kernel_size)
    for eps in (0.0, -1e-5, float("nan")):
        with pytest.raises(ValueError, match=f"{eps}"):
            LocalNCCLoss(eps=eps)
