"""From two scans to one grid and back: orientation, spacing, size, and a displacement that is known."""

import logging
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, ConcatItemsd, CopyItemsd, LoadImaged, Orientationd

from ssl3d.geometry import affine_flow, affine_matrix
from ssl3d.tasks.registration import grids as module
from ssl3d.tasks.registration.grids import OnGridOfd, SaveRegistrationd, WarpOntoFixedd
from ssl3d.transforms import SafeSpacingd

ROLES = ["fixed", "moving"]
# fixed: axes P, I, R of 1, 2 and 1.5 mm; moving: RAS of 1 mm, elsewhere in the world
FIXED = np.array([[0, 0, 1.5, 5], [-1.0, 0, 0, 40], [0, -2.0, 0, 30], [0, 0, 0, 1]])
MOVING = np.array([[1.0, 0, 0, 100], [0, 1.0, 0, -50], [0, 0, 1.0, 7], [0, 0, 0, 1]])
SLOPE = np.array([1.0, 2.0, -0.5])


def world_of(shape, affine) -> np.ndarray:
    """(3, ...) mm."""
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    return np.einsum("ij,jdhw->idhw", affine[:3, :3], voxels) + affine[:3, 3, None, None, None]


def ramp(points) -> np.ndarray:
    return np.einsum("i,idhw->dhw", SLOPE, points) + 500


@pytest.fixture
def files(tmp_path, write_nifti) -> dict[str, str]:
    """A pair whose moving image is linear in world coordinates, with a moving label of two halves."""
    moving = world_of((30, 34, 32), MOVING)
    paths = {
        "fixed": write_nifti(tmp_path / "a.nii.gz", ramp(world_of((20, 9, 13), FIXED)).astype(np.float32), FIXED),
        "moving": write_nifti(tmp_path / "b.nii.gz", ramp(moving).astype(np.float32), MOVING),
        "moving_label": write_nifti(tmp_path / "c.nii.gz", (1 + (moving[0] > 115.2)).astype(np.uint8), MOVING),
    }
    return {key: str(path) for key, path in paths.items()}


def prepared(files, align="centres", pixdim=(1.0, 1.0, 1.0), grid=None) -> dict:
    keys = [key for key in files if key != "name"]
    return Compose(
        [
            LoadImaged(keys, ensure_channel_first=True),
            CopyItemsd(ROLES, names=["fixed_scan", "moving_scan"]),
            Orientationd(ROLES, axcodes="RAS", labels=None),
            SafeSpacingd(ROLES, pixdim, mode="bilinear"),
            grid or OnGridOfd(align=align),
            ConcatItemsd(["moving", "fixed"], name="image"),
        ]
    )(files)


def centre_shift() -> np.ndarray:
    """From the centre of the fixed to that of the moving file, mm."""
    centres = [
        affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
        for shape, affine in (((20, 9, 13), FIXED), ((30, 34, 32), MOVING))
    ]
    return centres[1] - centres[0]


def inside(volume: np.ndarray) -> np.ndarray:
    return volume[..., 2:-2, 2:-2, 2:-2]


def test_centres_are_put_on_each_other(files):
    item = prepared(files)
    shift = item["moving_shift"].numpy()
    np.testing.assert_allclose(shift, centre_shift(), atol=1.0)  # spacing may move a centre within a voxel
    assert item["moving"].shape == item["fixed"].shape
    assert torch.equal(item["moving"].affine, item["fixed"].affine)
    points = world_of(item["fixed"].shape[1:], item["fixed"].affine.numpy())
    np.testing.assert_allclose(
        inside(item["moving"][0].numpy()), inside(ramp(points + shift[:, None, None, None])), rtol=1e-5
    )


def test_world_coordinates_are_kept_where_they_mean_something(files, tmp_path, write_nifti):
    near = FIXED.copy()
    near[:3, 3] += centre_shift() + np.array([3, -2, 1])
    write_nifti(tmp_path / "a.nii.gz", ramp(world_of((20, 9, 13), near)).astype(np.float32), near)
    item = prepared(files, align="world")
    assert item["moving_shift"].tolist() == [0, 0, 0]
    fixed, moving = item["fixed"][0].numpy(), item["moving"][0].numpy()
    np.testing.assert_allclose(inside(moving), inside(fixed), rtol=1e-5)


def test_scans_that_do_not_overlap_in_the_world_are_refused(files):
    with pytest.raises(RuntimeError) as caught:
        prepared(files, align="world")
    message = str(caught.value.__cause__)
    assert isinstance(caught.value.__cause__, ValueError)
    assert files["fixed"] in message
    assert files["moving"] in message
    assert "align=centres" in message
    with pytest.raises(ValueError, match="got 'centers'"):
        OnGridOfd(align="centers")


def test_a_difference_of_the_files_is_said_once(files, caplog):
    caplog.set_level(logging.INFO)
    grid = OnGridOfd()
    for _ in range(2):
        prepared(files, grid=grid)
    (message,) = [record.message for record in caplog.records if record.name == module.__name__]
    assert message.startswith(
        "b.nii.gz (RAS, 1 x 1 x 1 mm, 30 x 34 x 32 voxels) and a.nii.gz (PIR, 1 x 2 x 1.5 mm, 20 x"
    )
    assert "differ in orientation and spacing and size: registered in world coordinates (mm)" in message
    assert "aligned by their centres" in message
    caplog.clear()
    prepared({"fixed": files["fixed"], "moving": files["fixed"]})
    assert not [record for record in caplog.records if record.name == module.__name__]


@pytest.mark.parametrize("pixdim", [(1.0, 1.0, 1.0), (2.0, 1.0, 3.0)])
def test_no_displacement_puts_the_moving_file_on_the_fixed_files_own_grid(files, pixdim):
    item = prepared(files, pixdim=pixdim)
    item = WarpOntoFixedd()(item | {"pred": torch.zeros(3, *item["image"].shape[1:])})
    shift = item["moving_shift"].numpy()[:, None, None, None]
    assert item["warped"].shape == (1, 20, 9, 13)
    np.testing.assert_array_equal(item["warped"].affine.numpy(), FIXED)
    points = world_of((20, 9, 13), FIXED) + shift
    np.testing.assert_allclose(item["warped"][0].numpy(), ramp(points), rtol=1e-5)
    np.testing.assert_allclose(item["field"].numpy(), np.broadcast_to(shift, (3, 20, 9, 13)), atol=1e-4)
    assert torch.equal(item["warped_label"], item["aligned_label"])
    clear = np.abs(points[0] - 115.2) > 0.51  # nearest: at most half a voxel off
    np.testing.assert_array_equal(item["warped_label"][0].numpy()[clear], 1 + (points[0] > 115.2)[clear])


def registered(files) -> tuple[dict, torch.Tensor]:
    """A pair, registered by an affine map that is known, on a grid that is neither file's; and its matrix."""
    item = prepared(files, pixdim=(2.0, 1.0, 1.5))
    values = ([0.05, -0.1, 0.08], [0.95, 1.05, 0.9], [1.0, -0.7, 0.5])
    matrix = affine_matrix(*[torch.tensor([v]) for v in values], torch.full((1, 6), 0.03))
    return WarpOntoFixedd()(item | {"pred": affine_flow(matrix, item["image"].shape[1:])[0]}), matrix


def test_what_is_saved_belongs_together(files, tmp_path):
    item, matrix = registered(files)
    network = SimpleNamespace(decompose=lambda image: SimpleNamespace(matrix=matrix))
    SaveRegistrationd(tmp_path / "out", network)(item | {"name": "b_onto_a"})
    folder = tmp_path / "out" / "b_onto_a"
    assert sorted(file.name for file in folder.iterdir()) == [
        "affine.txt",
        "field.nii.gz",
        "warped.nii.gz",
        "warped_label.nii.gz",
    ]
    saved = {name: nib.load(folder / f"{name}.nii.gz") for name in ("field", "warped", "warped_label")}
    for image in saved.values():
        np.testing.assert_allclose(image.affine, FIXED)
        assert image.shape[:3] == (20, 9, 13)
    field, points = saved["field"].get_fdata(), world_of((20, 9, 13), FIXED)
    assert field.shape == (20, 9, 13, 3)
    found = points + np.moveaxis(field, -1, 0)
    affine = np.loadtxt(folder / "affine.txt")
    by_matrix = np.einsum("ij,jdhw->idhw", affine[:3, :3], points) + affine[:3, 3, None, None, None]
    # beyond the network's outermost voxels the field is that of the border: compare within
    np.testing.assert_allclose(inside(found), inside(by_matrix), atol=1e-3)
    np.testing.assert_allclose(inside(saved["warped"].get_fdata()), inside(ramp(found)), rtol=1e-4)
    clear = np.abs(found[0] - 115.2) > 0.51
    assert set(np.unique(saved["warped_label"].get_fdata())) == {1, 2}
    np.testing.assert_array_equal(saved["warped_label"].get_fdata()[clear], 1 + (found[0] > 115.2)[clear])
    assert np.issubdtype(saved["warped_label"].get_data_dtype(), np.integer)


def test_the_field_takes_landmarks_where_the_map_takes_them(files):
    """A point goes through the network's grid by hand: into its voxels, through the matrix about its centre, back."""
    item, matrix = registered(files)
    grid, size = item["fixed"].affine.numpy(), np.array(item["image"].shape[1:])
    linear, translation = matrix[0, :, :3].double().numpy(), matrix[0, :, 3].double().numpy()
    for voxel in ((5, 4, 6), (12, 3, 9), (8, 6, 4)):
        world = FIXED[:3, :3] @ voxel + FIXED[:3, 3]
        on_grid = np.linalg.inv(grid) @ [*world, 1]
        centre = (size - 1) / 2
        moved = linear @ (on_grid[:3] - centre) + centre + translation
        expected = grid[:3, :3] @ moved + grid[:3, 3] + item["moving_shift"].numpy()
        np.testing.assert_allclose(world + item["field"][(slice(None), *voxel)].numpy(), expected, atol=1e-3)


def test_without_a_label_nothing_is_made_up(files, tmp_path):
    files.pop("moving_label")
    item, matrix = registered(files)
    assert not {"warped_label", "aligned_label"} & set(item)
    network = SimpleNamespace(decompose=lambda image: SimpleNamespace(matrix=matrix))
    SaveRegistrationd(tmp_path / "out", network)(item | {"name": "pair"})
    assert not (tmp_path / "out" / "pair" / "warped_label.nii.gz").exists()
