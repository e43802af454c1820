"""Resampling axis by axis gives what MONAI's dense grid gives, metadata and inverse included."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import AsDiscreted, Compose, Invertd, Orientationd, Spacingd, SpatialResample

from ssl3d.transforms import SafeSpacingd
from ssl3d.upstream import separable_resample as separable_module
from ssl3d.upstream.separable_resample import SeparableResample, resample_axes

TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
AFFINES = {
    "straight": np.diag([0.7, 0.9, 2.5]),
    "flipped": np.diag([-0.7, -0.9, 2.5]),
    "permuted": np.diag([0.7, 2.5, 0.9])[:, [2, 0, 1]],
    "turned": TURN @ np.diag([0.7, 0.9, 2.5]),
}


def volume(affine: np.ndarray, channels: int = 1, shape: tuple[int, ...] = (11, 9, 7)) -> MetaTensor:
    values = torch.rand(channels, *shape, generator=torch.Generator().manual_seed(0))
    full = np.eye(4)
    full[:3, :3], full[:3, 3] = affine, (5.0, -3.0, 2.0)
    return MetaTensor(values, affine=torch.from_numpy(full))


@pytest.fixture
def ours_only(monkeypatch):
    """MONAI's dense grid may not be used."""

    def refuse(*_, **__):
        raise AssertionError("went to MONAI")

    def forbid() -> None:
        monkeypatch.setattr(SpatialResample, "__call__", refuse)

    return forbid


@pytest.mark.parametrize("axes", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("pixdim", [(1.5, 1.5, 1.5), (0.5, 0.4, 6.0), (3.1, 0.9, 1.0)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_values_and_metadata_are_those_of_monai(axes, pixdim, align_corners, ours_only):
    arguments = {"pixdim": pixdim, "mode": "bilinear", "align_corners": align_corners}
    expected = Spacingd("image", **arguments)({"image": volume(axes, 2)})["image"]
    ours_only()
    found = SafeSpacingd("image", **arguments)({"image": volume(axes, 2)})["image"]
    torch.testing.assert_close(found.as_tensor(), expected.as_tensor(), rtol=0, atol=1e-5)
    assert found.is_contiguous() and found.dtype == expected.dtype
    assert torch.equal(found.affine, expected.affine)
    (one,), (other,) = found.applied_operations, expected.applied_operations
    assert one["orig_size"] == other["orig_size"]
    assert one["extra_info"].keys() == other["extra_info"].keys()
    assert torch.equal(one["extra_info"].pop("src_affine"), other["extra_info"].pop("src_affine"))
    assert one["extra_info"] == other["extra_info"]


@pytest.mark.parametrize("axes", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("nearest", [True, False])
def test_inverse_is_that_of_monai(axes, nearest, ours_only):
    def inverted(spacing: type) -> tuple[MetaTensor, MetaTensor]:
        chain = Compose([Orientationd("image", "RAS", labels=None), spacing("image", (1.3, 1.7, 2.1), mode="bilinear")])
        item = chain({"image": volume(axes)})
        item["pred"] = MetaTensor((item["image"].as_tensor() * 5).round() if nearest else item["image"].as_tensor())
        back = Invertd("pred", transform=chain, orig_keys="image", nearest_interp=nearest)(item)
        return item["image"], back["pred"]

    there, expected = inverted(Spacingd)
    ours_only()
    here, found = inverted(SafeSpacingd)
    torch.testing.assert_close(here.as_tensor(), there.as_tensor(), rtol=0, atol=1e-5)
    assert found.shape == expected.shape == (1, 11, 9, 7)
    assert torch.equal(found.affine, expected.affine)
    assert found.applied_operations == expected.applied_operations == []
    if nearest:
        assert torch.equal(found.as_tensor(), expected.as_tensor())  # no voxel lies halfway
    else:
        torch.testing.assert_close(found.as_tensor(), expected.as_tensor(), rtol=0, atol=1e-5)


def test_labels_stay_integers_in_the_order_of_the_file():
    """As the segmentation bundles do it: labels are made first, and a file is written without transposing it."""
    chain = Compose([SafeSpacingd("image", (2.0, 2.0, 2.0), mode="bilinear")])
    item = chain({"image": volume(AFFINES["flipped"])})
    item["pred"] = MetaTensor(torch.rand(3, *item["image"].shape[1:]))
    item = AsDiscreted("pred", argmax=True, dtype=torch.uint8)(item)
    labels = Invertd("pred", transform=chain, orig_keys="image", nearest_interp=True)(item)["pred"]
    assert labels.dtype == torch.uint8
    assert labels.shape == (1, 11, 9, 7)
    assert labels[0].numpy().flags.f_contiguous


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 2, 1), (0, 2, 3, 1)])
@pytest.mark.parametrize("nearest", [True, False])
def test_strides_change_nothing(order, nearest):
    values = torch.rand(2, 6, 5, 4)
    arguments = (0.4, 1.0, 1.7), (0.3, -0.2, -1.0), (14, 5, 3), nearest
    strided = values.permute(order).contiguous().permute(np.argsort(order).tolist())
    assert torch.equal(resample_axes(strided, *arguments), resample_axes(values, *arguments))


def test_positions():
    ramp = torch.arange(6.0).view(1, 6, 1, 1).expand(1, 6, 2, 2)
    same = (1.0, 1.0), (0.0, 0.0), (2, 2)
    for nearest, expected in ((False, [0.0, 0.5, 2.0, 3.5, 5.0]), (True, [0.0, 0.0, 2.0, 4.0, 5.0])):
        scale, shift, size = ((first, *rest) for first, rest in zip((1.5, -1.0, 5), same, strict=True))
        found = resample_axes(ramp, scale, shift, size, nearest)
        assert found[0, :, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("axes", "arguments", "lazy"),
    [
        (np.array([[0.7, 0.2, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0, 2.5]]), {}, False),
        (AFFINES["straight"], {"mode": 3, "padding_mode": "nearest"}, False),
        (AFFINES["straight"], {"padding_mode": "zeros"}, False),
        (AFFINES["straight"], {}, True),
    ],
    ids=["sheared", "spline", "zeros", "lazy"],
)
def test_the_rest_is_left_to_monai(axes, arguments, lazy, monkeypatch):
    monkeypatch.setattr(separable_module, "resample_axes", None)
    expected = Compose([Spacingd("image", (1.5, 1.5, 1.5), **arguments)], lazy=lazy)({"image": volume(axes)})["image"]
    found = Compose([SafeSpacingd("image", (1.5, 1.5, 1.5), **arguments)], lazy=lazy)({"image": volume(axes)})["image"]
    assert torch.equal(found.as_tensor(), expected.as_tensor())
    assert torch.equal(found.affine, expected.affine)


def test_a_grid_that_does_not_change_is_not_touched(ours_only):
    image = volume(np.diag([1.0, 1.0, 1.0]))
    found = SafeSpacingd("image", (1.0, 1.0, 1.0))({"image": image})["image"]
    assert torch.equal(found.as_tensor(), image.as_tensor())
    assert isinstance(SafeSpacingd("image", 1.0).spacing_transform.sp_resample, SeparableResample)
