import numpy as np
import pytest
import torch
from golden import assert_statistics, cases, unit_wave
from sampled import assert_a_function_of_seed_and_draw

from ssl3d.transforms import AppearanceAugmentation
from ssl3d.transforms.appearance import bezier_curve, intensity_curve, map_intensities
from ssl3d.transforms.sampling import random_states

NOTHING = {"shuffling": 0, "intensity": 0, "painting": 0}
SHUFFLING = {**NOTHING, "shuffling": 1}
INTENSITY = {**NOTHING, "intensity": 1}
PAINTING = {**NOTHING, "painting": 0.95}
SIZE = (24, 32, 28)


def image_of(*shape, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def corrupt(image, settings, seed=0):
    augmentation = AppearanceAugmentation(**settings)
    parameters = augmentation.sample(range(len(image)), image.shape[2:], seed, channels=image.shape[1])
    return augmentation.apply(image, parameters)


class ReleasedStream(np.random.RandomState):
    """The release's random numbers, after gates that it does not draw."""

    def __init__(self, seed, *gates):
        super().__init__(seed)
        self.gates = list(gates)

    def random_sample(self, size=None):
        return self.gates.pop() if self.gates else super().random_sample(size)


@pytest.mark.parametrize(
    ("case", "settings", "stream"),
    [
        ("local_shuffle_seed7", SHUFFLING, ReleasedStream(7)),
        ("inpaint_seed7", PAINTING, ReleasedStream(7, 1, 1)),
        ("rand_aug_seed11", {}, ReleasedStream(11)),
    ],
)
def test_golden_corruption(case, settings, stream, monkeypatch):
    """The release's random numbers give the release's boxes, permutation, map and noise."""
    monkeypatch.setattr("ssl3d.transforms.appearance.random_states", lambda *_: [stream])
    image = unit_wave((1, 1, 40, 44, 48), 0.4).float()
    corrupted = corrupt(image, settings)[0]
    expected = cases("gvsl")[case]["expected"]
    assert_statistics(corrupted, expected["out"], rtol=1e-6, atol=1e-6)
    if "changed_fraction" in expected:
        assert abs((corrupted != image[0]).float().mean().item() - expected["changed_fraction"]) < 1e-6


def test_golden_bezier_curve():
    expected = cases("gvsl")["bezier"]["expected"]
    x, y = bezier_curve(np.array([[0.2, 0.7], [0.6, 0.1]]), 11)
    np.testing.assert_allclose(x[::-1], expected["x"], atol=1e-12)  # the release runs from the last point to the first
    np.testing.assert_allclose(y[::-1], expected["y"], atol=1e-12)


@pytest.mark.parametrize("name", ["nonlinear_monotone", "nonlinear_nonmonotone", "nonlinear_swapx"])
def test_golden_intensity_map(name):
    case = cases("gvsl")[name]
    curve = torch.from_numpy(intensity_curve(np.array(case["inputs"]["seq"][1:]).reshape(2, 2)))
    values = torch.linspace(-0.1, 1.1, 13, dtype=torch.float64)  # inputs outside [0, 1] are clamped
    mapped = map_intensities(values[None, None], curve[None, None])[0, 0]
    torch.testing.assert_close(mapped, torch.tensor(case["expected"]["y"]).double(), rtol=0, atol=1e-6)


def test_golden_coverage_of_painting():
    expected = cases("gvsl")["inpaint_coverage_64"]["expected"]
    augmentation = AppearanceAugmentation(**PAINTING)
    share = np.array([(augmentation.sample([d], (64,) * 3, 0).paint >= 0).double().mean().item() for d in range(300)])
    error = expected["std"] * (2 / 300) ** 0.5  # of the difference of two means
    assert abs(share.mean() - expected["mean"]) < 4 * error
    assert abs(share.std() / expected["std"] - 1) < 0.25
    assert abs((share == 0).mean() - expected["p_zero_boxes"]) < 4 * (0.05 * 0.95 / 300) ** 0.5


def test_parameters_depend_on_seed_and_draw_only():
    assert_a_function_of_seed_and_draw(AppearanceAugmentation(shuffling=1, intensity=1, painting=1), SIZE)


def test_transforms_that_share_a_seed_do_not_share_their_numbers():
    """Else an item that is not shuffled would always have a large first angle."""
    first, second = (
        np.array([state.random_sample() for state in random_states(0, range(500), purpose)])
        for purpose in ("spatial augmentation", "appearance augmentation")
    )
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / 500**0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_changes_without_corruption(dtype):
    image = image_of(2, 2, *SIZE, dtype=dtype)
    unchanged = corrupt(image, NOTHING)
    assert unchanged.dtype == dtype
    assert (unchanged - image).abs().max() <= 1e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_result_stays_in_the_unit_interval_in_shape_and_dtype(dtype):
    image = (3 * image_of(3, 2, *SIZE) - 1).to(dtype)
    before = image.clone()
    corrupted = corrupt(image, {})
    assert corrupted.shape == image.shape and corrupted.dtype == dtype
    assert corrupted.min() >= 0 and corrupted.max() <= 1
    assert torch.equal(image, before)


@pytest.mark.parametrize("size", [(10, 12, 16), (24, 32, 28), (40, 40, 40), (48, 64, 48)])
def test_shuffling_exchanges_neighbours_at_every_size(size):
    """Each voxel comes from its own box, in all channels from the same place; two to five tenths change."""
    index = torch.arange(np.prod(size)).view(1, 1, *size)
    image = torch.cat([index, index.flip(2)], 1).double() / index.max()
    corrupted = corrupt(image, SHUFFLING)
    source = (corrupted * index.max()).round().long()
    assert torch.equal(source[:, 1], index.flip(2).flatten()[source[:, 0]])
    changed = (source[:, :1] != index).double().mean()
    assert 0.25 < changed < 0.5
    positions = np.unravel_index(source[0, 0].flatten(), size)
    for axis, (came_from, stands_at) in enumerate(zip(positions, np.indices(size), strict=True)):
        shift = np.abs(came_from - stands_at.ravel())
        assert shift.max() == max(2, size[axis] // 20) - 1


def test_a_single_box_keeps_its_values():
    augmentation = AppearanceAugmentation(**SHUFFLING)
    parameters = augmentation.sample([0], SIZE, seed=0)
    image = image_of(1, 1, *SIZE)
    corrupted = augmentation.apply(image, parameters._replace(corners=parameters.corners[:, :1]))
    assert 0 < (corrupted != image).sum() <= 8
    assert torch.equal(corrupted.flatten().sort()[0], image.flatten().sort()[0])


def test_shuffling_and_intensity_are_drawn_with_their_probability():
    parameters = AppearanceAugmentation(shuffling=0.3, intensity=0.6).sample(range(400), (10, 10, 10), 0, channels=2)
    in_order = (parameters.permutation == torch.arange(8)).all(1)
    identity = (parameters.curves - torch.linspace(0, 1, 4097)).abs().amax(2) < 1e-6
    assert abs(in_order.double().mean() - 0.7) < 4 * (0.21 / 400) ** 0.5
    assert abs(identity.double().mean() - 0.4) < 4 * (0.24 / 800) ** 0.5


def test_intensity_maps_increase_and_differ_between_channels():
    curves = AppearanceAugmentation(**INTENSITY).sample(range(50), SIZE, 0, channels=2).curves
    assert (curves.diff(dim=2) >= 0).all()
    assert (curves[..., 0] == 0).all() and (curves[..., -1] == 1).all()
    assert ((curves[:, 0] - curves[:, 1]).abs().amax(1) > 0.01).all()
    ramp = torch.linspace(0, 1, 50000).expand(50, 2, -1)
    assert (map_intensities(ramp, curves).diff(dim=2) >= -1e-6).all()


def test_painted_boxes_hold_fresh_noise_in_all_channels():
    image = torch.full((20, 2, 40, 50, 60), 0.5)
    corrupted = corrupt(image, {**PAINTING, "painting": 1})
    painted = corrupted != image
    assert torch.equal(painted[:, 0], painted[:, 1]) and torch.equal(corrupted[:, 0], corrupted[:, 1])
    noise = corrupted[:, 0][painted[:, 0]]
    assert abs(noise.mean() - 0.5) < 0.01 and abs(noise.std() - 12**-0.5) < 0.01
    assert (painted.flatten(1).any(1)).all()
    for axis in (2, 3, 4):  # three voxels of each face stay
        assert not painted.narrow(axis, 0, 3).any() and not painted.narrow(axis, image.shape[axis] - 4, 4).any()


def test_bad_arguments_are_named():
    for name in NOTHING:
        with pytest.raises(ValueError, match=rf"{name} .* 1\.5"):
            AppearanceAugmentation(**{name: 1.5})
    augmentation = AppearanceAugmentation()
    with pytest.raises(ValueError, match=r"\(16, 9, 16\)"):
        augmentation.sample([0], (16, 9, 16), seed=0)
    with pytest.raises(ValueError, match=r"channels .* 0"):
        augmentation.sample([0], SIZE, seed=0, channels=0)
    parameters = augmentation.sample([0], SIZE, seed=0)
    for shape in ((2, 1, *SIZE), (1, 2, *SIZE), (1, 1, 24, 28, 32), (1, *SIZE)):
        with pytest.raises(ValueError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
            augmentation.apply(torch.zeros(shape), parameters)
    with pytest.raises(ValueError, match="int64"):
        augmentation.apply(torch.zeros(1, 1, *SIZE, dtype=torch.int64), parameters)
