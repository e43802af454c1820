import math

import numpy as np
import pytest
import torch
from golden import cases
from sampled import assert_a_function_of_seed_and_draw

from ssl3d.geometry import affine_matrix, jacobian_determinant, warp_affine, warp_flow
from ssl3d.transforms import SpatialAugmentation

NOTHING = {"rotation": 0, "scale": 0, "shear": 0, "translation": 0, "elastic": 0}
SIZE = (16, 24, 20)


def image_of(*shape, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


class FixedShare(np.random.RandomState):
    """Draws everything at one share of its range, as the goldens of the release do."""

    def uniform(self, low, high, size=None):
        return np.full(size, low + 0.7 * (high - low)) if size else low + 0.7 * (high - low)


class Extremes(np.random.RandomState):
    """Draws the ends of all ranges only."""

    def uniform(self, low, high, size=None):
        return np.where(self.random_sample(size) < 0.5, low, high) if size else high


def test_golden_matrix():
    case, parameters = cases("gvsl")["aug_mat_general"], cases("gvsl")["affmat_general"]["inputs"]
    names = ("rot_xyz", "scale_xyz", "translate_xyz", "shear_xy_xz_yx_yz_zx_zy")
    matrix = affine_matrix(*[torch.tensor([parameters[name]]) for name in names])
    torch.testing.assert_close(matrix, torch.tensor(case["expected"]["ref_f32"])[None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(10, 9, 8), (16, 16, 16)])
def test_golden_ranges(size, monkeypatch):
    """Where every number stands at 0.7 of its range, the release's matrix; it halves translations on applying them."""
    monkeypatch.setattr("ssl3d.transforms.spatial_augmentation.random_states", lambda *_: [FixedShare()])
    matrix = SpatialAugmentation().sample([0], size, seed=0).matrix[0]
    expected = torch.tensor(cases("gvsl")["rand_coords_{}_{}_{}".format(*size)]["expected"]["mat"])
    expected[:, 3] /= 2
    torch.testing.assert_close(matrix, expected, rtol=1e-5, atol=1e-6)


def test_parameters_depend_on_seed_and_draw_only():
    assert_a_function_of_seed_and_draw(SpatialAugmentation(), SIZE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(6, 7, 8), (48, 20, 41), (1, 5, 4)])
def test_zero_ranges_are_the_identity(size, dtype):
    augmentation, image = SpatialAugmentation(**NOTHING), image_of(2, 2, *size, dtype=dtype)
    (warped,) = augmentation.apply(augmentation.sample([0, 1], size, seed=0), image)
    assert warped.dtype == dtype
    assert (warped - image).abs().max() <= 1e-6


def test_all_volumes_are_warped_by_the_one_field():
    augmentation = SpatialAugmentation()
    parameters = augmentation.sample([0, 1], SIZE, seed=0)
    image, double = image_of(2, 1, *SIZE), image_of(2, 3, *SIZE, dtype=torch.float64)
    labels, mask = (5 * image).long(), image > 0.5
    volumes = (image, labels, double, mask)
    field = augmentation.field(parameters, SIZE)
    assert field.abs().max() > 1
    warped = augmentation.apply(parameters, *volumes)
    for before, after in zip(volumes, warped, strict=True):
        assert after.dtype == before.dtype
        mode = "bilinear" if before.is_floating_point() else "nearest"
        torch.testing.assert_close(after, warp_flow(before, field, mode=mode))
    (alone,) = augmentation.apply(parameters, mask)
    assert torch.equal(alone, warped[3])


def test_without_elastic_part_it_is_the_affine_warp():
    augmentation, image = SpatialAugmentation(elastic=0), image_of(2, 1, *SIZE)
    parameters = augmentation.sample([0, 1], SIZE, seed=0)
    (warped,) = augmentation.apply(parameters, image)
    torch.testing.assert_close(warped, warp_affine(image, parameters.matrix), rtol=0, atol=1e-4)


def test_control_points_that_move_together_move_all_voxels():
    """The weights of the spline sum to one everywhere, the faces included."""
    augmentation = SpatialAugmentation(**NOTHING, elastic_spacing=4.3)
    parameters = augmentation.sample([0], SIZE, seed=0)
    shift = torch.tensor([0.5, -1.0, 2.0]).view(1, 3, 1, 1, 1)
    field = augmentation.field(parameters._replace(control=shift.expand_as(parameters.control)), SIZE)
    torch.testing.assert_close(field, shift.expand_as(field))


def test_elastic_field_has_standard_deviation_and_correlation_of_the_release():
    """Noise U(-1, 1), filtered along each axis by a Gaussian of U(10, 13) voxels, times U(0, 512), off the faces.

    The deviation of filtered noise is that of the noise times the norm of the kernel, once for each axis.
    """
    sigma = np.linspace(10, 13, 301)
    norm = (2 * np.pi**0.5 * sigma) ** -0.5
    for name in ("10.0", "12.1", "13.0"):
        assert abs(np.interp(float(name), sigma, norm) / cases("gvsl")[f"gauss1d_{name}"]["expected"]["l2"] - 1) < 1e-3
    middle = (256 * 3**-0.5 * norm**3).mean()  # at the middle of the amplitudes

    size = 40
    augmentation = SpatialAugmentation(**{**NOTHING, "elastic": SpatialAugmentation().elastic})
    fields = augmentation.field(augmentation.sample(range(100), (size,) * 3, seed=0), (size,) * 3)
    power = fields.square().mean().item()
    # a standard deviation that is uniform from 0 has a root mean square of 2/√3 of its middle
    assert abs(power**0.5 / (2 / 3**0.5) / middle - 1) < 0.1
    for lag in (5, 10, 20):
        products = [(fields.narrow(a, 0, size - lag) * fields.narrow(a, lag, size - lag)).mean() for a in (2, 3, 4)]
        released = np.exp(-(lag**2) / 4 / sigma**2).mean()
        assert abs(sum(products) / 3 / power - released) < 0.05, lag


def test_elastic_strength_is_uniform_over_the_draws():
    parameters = SpatialAugmentation(**{**NOTHING, "elastic": 1}).sample(range(400), (64, 64, 64), seed=0)
    spread = parameters.control.flatten(1).std(1) * (151 / 315) ** 1.5  # of the field, from its control points
    assert spread.max() < 1.1
    assert abs(spread.mean() - 0.5) < 4 * (1 / 12 / 400) ** 0.5
    assert abs((spread < 0.25).double().mean() - 0.25) < 4 * (3 / 16 / 400) ** 0.5


@pytest.mark.parametrize("spacing", [20, 8])
def test_nothing_folds_at_the_ends_of_the_ranges(spacing, monkeypatch):
    """At the largest elastic displacement that is accepted, with control points at their bounds only."""
    largest = math.floor(77 * spacing) / 1000
    states = [Extremes(seed) for seed in range(12)]
    monkeypatch.setattr("ssl3d.transforms.spatial_augmentation.random_states", lambda *_: states)
    augmentation = SpatialAugmentation(elastic=largest, elastic_spacing=spacing)
    parameters = augmentation.sample(range(12), (40, 32, 36), seed=0)
    assert parameters.matrix[:, :, :3].det().min() > 0.3
    assert jacobian_determinant(augmentation.field(parameters, (40, 32, 36))).min() > 0.05
    with pytest.raises(ValueError, match="fold"):
        SpatialAugmentation(elastic=largest * 1.01, elastic_spacing=spacing)


def test_the_bound_of_the_elastic_part_is_needed():
    """Control points that close in along the diagonal fold the field where they move by more than the bound."""
    augmentation, size = SpatialAugmentation(**NOTHING, elastic_spacing=20), (61, 61, 61)
    parameters = augmentation.sample([0], size, seed=0)
    diagonal = sum(torch.meshgrid(*[torch.arange(7.0)] * 3, indexing="ij"))
    towards = torch.sign(8.5 - diagonal).expand(1, 3, 7, 7, 7) * augmentation.elastic_spacing
    below, above = (
        jacobian_determinant(augmentation.field(parameters._replace(control=share * towards), size)).min()
        for share in (0.39, 0.42)
    )
    assert below > 0 > above


@pytest.mark.parametrize(
    "arguments",
    [
        {"rotation": -0.1},
        {"scale": 1.0},
        {"shear": 0.5},
        {"translation": math.nan},
        {"elastic": math.inf},
        {"elastic": 1.6},
        {"elastic_spacing": 0},
    ],
)
def test_bad_ranges_are_named(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"{name} .*{value}"):
        SpatialAugmentation(**arguments)


def test_bad_shapes_are_named():
    augmentation = SpatialAugmentation()
    parameters = augmentation.sample([0, 1], SIZE, seed=0)
    with pytest.raises(ValueError, match=r"\(16, 24\)"):
        augmentation.sample([0], SIZE[:2], seed=0)
    with pytest.raises(ValueError, match=r"\(16, 24, 50\)"):
        augmentation.field(parameters, (16, 24, 50))
    with pytest.raises(ValueError, match="no volume"):
        augmentation.apply(parameters)
    for shape in ((1, 1, *SIZE), (2, *SIZE), (2, 1, 16, 24, 21)):
        with pytest.raises(ValueError, match="volumes must have shape") as error:
            augmentation.apply(parameters, torch.zeros(2, 1, *SIZE), torch.zeros(shape))
        assert str(shape) in str(error.value)
