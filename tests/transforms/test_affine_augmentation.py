import math

import pytest
import torch

from ssl3d.transforms import AffineAugmentation


def test_a_function_of_seed_draw_and_purpose_alone():
    augmentation = AffineAugmentation()
    both = augmentation.sample([5, 3], 1, "a", count=2)
    assert both.shape == (2, 2, 3, 4) and both.dtype == torch.float64
    assert torch.equal(augmentation.sample(torch.tensor([3]), 1, "a", count=2)[0], both[1])
    for other in (
        augmentation.sample([3, 5], 1, "a", 2),
        augmentation.sample([5, 3], 2, "a", 2),
        augmentation.sample([5, 3], 1, "b", 2),
    ):
        assert not torch.isclose(other[..., 0, 0], both[..., 0, 0]).any()
    assert not torch.isclose(both[:, 0], both[:, 1]).all()


def test_the_ranges_are_used_and_kept():
    """A similarity: its linear part is a factor times a rotation about the one axis that may turn."""
    augmentation = AffineAugmentation(rotation=(0, 0, 30), scale=(0.9, 1.2), translation=(24, 12, 0))
    matrix = augmentation.sample(range(400), 0, "ranges")[:, 0]
    factor = torch.linalg.det(matrix[:, :, :3]) ** (1 / 3)
    angle = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]).rad2deg()
    ranges = [(factor, 0.9, 1.2), (angle, -30, 30), (matrix[:, 0, 3], -24, 24), (matrix[:, 1, 3], -12, 12)]
    for values, low, high in ranges:
        span = high - low
        assert low <= values.min() < low + 0.05 * span and high - 0.05 * span < values.max() <= high
    assert not matrix[:, 2, [0, 1, 3]].any()
    product = matrix[:, :, :3] @ matrix[:, :, :3].transpose(1, 2)
    torch.testing.assert_close(product, factor[:, None, None] ** 2 * torch.eye(3).double().expand(400, 3, 3))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_axis_can_turn(axis):
    rotation = [0.0, 0.0, 0.0]
    rotation[axis] = 40.0
    matrix = AffineAugmentation(rotation=rotation, scale=(1, 1)).sample([0], 0, "axis")[0, 0, :, :3]
    others = [a for a in range(3) if a != axis]
    assert matrix[axis, axis].item() == pytest.approx(1) and 0 < matrix[others[0], others[1]].abs() < 0.65


def test_millimetres_and_spacing():
    """In voxels a shift is divided by the spacing, and a turn is one in mm."""
    one, other = (
        AffineAugmentation(spacing=spacing, translation=(24, 24, 24)).sample([7], 0, "mm")[0, 0]
        for spacing in ((1, 1, 1), (1, 2, 4))
    )
    spacing = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(other[:, 3], one[:, 3] / spacing)
    torch.testing.assert_close(spacing[:, None] * other[:, :3] / spacing, one[:, :3])


def test_faults_are_named():
    for settings, shown in (
        ({"rotation": (0, 0)}, r"\(0, 0\)"),
        ({"rotation": (0, 0, -3)}, "-3"),
        ({"translation": (0, math.inf, 0)}, "inf"),
        ({"scale": (1.2, 0.9)}, r"\(1.2, 0.9\)"),
        ({"scale": (0, 1)}, r"\(0, 1\)"),
        ({"spacing": (1, 0, 1)}, r"\(1, 0, 1\)"),
    ):
        with pytest.raises(ValueError, match=shown):
            AffineAugmentation(**settings)
