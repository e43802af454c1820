"""Scaling by percentiles: MONAI's bits where percentiles differ, and 0 to 1 where they do not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import Compose, ScaleIntensityRangePercentilesd

from ssl3d.transforms import ScalePercentilesd
from ssl3d.weights.facts import preprocessing

ARGUMENTS = {"keys": "image", "lower": 1, "upper": 99, "b_min": 0, "b_max": 1, "clip": True}
CONFIGS = sorted((Path(__file__).parents[2] / "bundles").glob("*/configs/*.json"))


def scaled(image, **more) -> torch.Tensor:
    return ScalePercentilesd(**ARGUMENTS | more)({"image": torch.as_tensor(image, dtype=torch.float32)})["image"]


def blob(value=2000.0, background=0.0, side=20) -> np.ndarray:
    """99 % background and a small structure of one value, with one voxel of another."""
    image = np.full((1, side, side, side), background, np.float32)
    image[0, 8:12, 8:12, 8:12] = value
    image[0, 9, 9, 9] = 0.45 * value
    return image


@pytest.mark.parametrize("more", [{}, {"clip": False}, {"relative": True}, {"channel_wise": True}, {"b_min": -1}])
@pytest.mark.parametrize("scale", [1e-3, 1, 1e4])
def test_where_the_percentiles_differ_the_result_is_monais_bit_for_bit(scale, more):
    random = np.random.default_rng(0)
    image = (random.normal(0, scale, (2, 12, 13, 14)) - scale).astype(np.float32)
    image[0, 0, 0, 0] = 1e4 * scale  # an outlier
    expected = ScaleIntensityRangePercentilesd(**ARGUMENTS | more)({"image": torch.from_numpy(image)})["image"]
    assert torch.equal(scaled(image, **more), expected)


@pytest.mark.parametrize("background", [0.0, -1024.0, 3000.0])
def test_a_sparse_volume_is_scaled_and_clipped(background):
    image = scaled(blob(background=background))
    assert image.min() == 0
    assert image.max() == 1


def test_a_structure_of_many_values_keeps_its_contrast():
    image = np.zeros((1, 20, 20, 20), np.float32)
    inside = np.random.default_rng(0).uniform(1000, 2000, (4, 4, 3)).astype(np.float32)
    image[0, 3:7, 3:7, 3:6] = inside
    result = scaled(image)
    assert result.min() == 0
    assert result.max() == 1
    assert result[0, 3:7, 3:7, 3:6].std() > 0.2


def test_rounding_errors_around_the_background_are_background():
    image = blob(background=-1024.0)
    image = image + np.random.default_rng(0).normal(0, 1e-4, image.shape).astype(np.float32)
    result = scaled(image)
    assert (result < 0.01).float().mean() > 0.98  # MONAI's own percentiles make salt and pepper of it


def test_channels_are_told_apart_where_they_are_scaled_apart():
    image = np.concatenate([blob(), np.random.default_rng(0).normal(0, 1, (1, 20, 20, 20)).astype(np.float32)])
    result = scaled(image, channel_wise=True)
    assert result.amin((1, 2, 3)).tolist() == [0, 0]
    assert result.amax((1, 2, 3)).tolist() == [1, 1]


@pytest.mark.parametrize("value", [0.0, -3.0, 1e6])
def test_a_constant_volume_becomes_the_lower_bound(value):
    image = torch.full((1, 4, 4, 4), value)
    assert torch.equal(scaled(image, b_min=0), torch.zeros_like(image))
    assert torch.equal(scaled(image, b_min=-1), -torch.ones_like(image))


def test_the_passport_still_knows_the_intensities():
    assert preprocessing(Compose([ScalePercentilesd(**ARGUMENTS)])) == {
        "intensity": {"kind": "percentiles", "lower": 1, "upper": 99}
    }


def test_no_config_scales_by_monais_own_percentiles():
    assert [str(config) for config in CONFIGS if '"ScaleIntensityRangePercentilesd"' in config.read_text()] == []
