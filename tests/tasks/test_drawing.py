"""One convention in all pictures: sides, letters, proportions, colours."""

import json
import runpy
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from monai.data import MetaTensor

from ssl3d.tasks import drawing, views_preview
from ssl3d.tasks.drawing import AXIAL, CORONAL, PLANES, SAGITTAL
from ssl3d.tasks.landmarks import picture as match_picture
from ssl3d.tasks.palette import PALETTE, class_colour, curve_colour
from ssl3d.tasks.registration import picture as registration_picture
from ssl3d.tasks.registration.scores import Scores
from ssl3d.tasks.segmentation import preview
from ssl3d.tasks.segmentation.label_picture import mean_dice, slice_with_most
from ssl3d.tasks.structures import picture as structure_picture

SIZE, SPACING = (20, 24, 16), (1.0, 2.0, 3.0)
HISTORY = [
    {"epoch": "1", "steps": "5", "seconds": "1", "learning_rate": "0.1", "loss": "0.9", "val_mean_dice": "0.5"},
    {"epoch": "2", "steps": "9", "seconds": "1", "learning_rate": "0.1", "loss": "0.5", "val_mean_dice": "0.6"},
]
TOOLS = Path(__file__).parents[2] / "tools"


def corner_volume() -> np.ndarray:
    """A RAS volume that is bright in the patient's right anterior superior corner, up to the middle slices."""
    volume = np.zeros(SIZE, np.float32)
    volume[10:, 12:, 8:] = 1
    return volume


@pytest.fixture
def figures(monkeypatch, tmp_path):
    """Figures that are saved."""
    saved: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: saved.append(self) or save(self, *args, **kw))
    return saved


def brightest(axes) -> tuple[float, float]:
    """Where the bright part of a panel is on the page, as shares of the panel's width (from left) and height (up)."""
    image = axes.images[0]
    array = np.asarray(image.get_array(), dtype=float)
    array = array if array.ndim == 2 else array[..., 0]
    rows, columns = np.nonzero(array > 0.5)
    places = axes.transData.transform(np.stack([columns, rows], axis=1)).mean(axis=0)
    box = axes.get_window_extent()
    return (places[0] - box.x0) / box.width, (places[1] - box.y0) / box.height


def letters(axes) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.get_position() for text in axes.texts if text.get_transform() == axes.transAxes}


def check(figure: Figure, at_least: int = 1) -> None:
    """Each slice shows the corner on the upper left, and says with letters what is on the left and at the top."""
    panels = [axes for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"]
    assert len(panels) >= at_least
    for axes in panels:
        found = letters(axes)
        assert {"R", "A"} <= set(found) or {"R", "S"} <= set(found) or {"A", "S"} <= set(found)
        assert {"R", "A", "S"} >= set(found)
        left, top = min(found, key=lambda name: found[name][0]), max(found, key=lambda name: found[name][1])
        assert found[left][0] < 0.1 and found[top][1] > 0.9
        assert (left, top) in {("R", "A"), ("R", "S"), ("A", "S")}
        x, y = brightest(axes)
        assert x < 0.5 < y
    assert any("R" in letters(axes) for axes in panels)


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_the_right_anterior_superior_corner_is_on_the_upper_left(plane):
    index = corner_volume().shape[plane.axis] * 3 // 4
    picture = drawing.slice_of(corner_volume(), plane, index)
    assert picture.shape == (SIZE[plane.up], SIZE[plane.across])
    rows, columns = picture.shape
    expected = np.zeros_like(picture)
    expected[: rows // 2, : columns // 2] = 1
    np.testing.assert_array_equal(picture, expected)
    assert not drawing.slice_of(corner_volume(), plane, 0).any()


def test_planes_name_their_sides():
    assert [(plane.name, plane.left, plane.top) for plane in PLANES] == [
        ("axial", "R", "A"),
        ("coronal", "R", "S"),
        ("sagittal", "A", "S"),
    ]
    assert AXIAL.title(7) == "axial 7, from below"


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_points_and_channels_go_with_their_slice(plane):
    volume, voxel = np.zeros((3, *SIZE)), (4, 17, 9)
    volume[(1, *voxel)] = 5
    (column, row) = drawing.pixels_of(np.array([voxel]), SIZE, plane)[0]
    picture = drawing.slice_of(volume, plane, voxel[plane.axis])
    assert picture.shape[0] == 3 and picture[1, row, column] == 5


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_pixels_have_the_proportions_of_voxels(plane):
    axes = Figure(figsize=(5, 5)).subplots()
    drawing.show(axes, drawing.slice_of(corner_volume(), plane, 12), plane, SPACING)
    axes.apply_aspect()
    box = axes.get_window_extent()
    width, height = SIZE[plane.across] * SPACING[plane.across], SIZE[plane.up] * SPACING[plane.up]
    assert box.width / box.height == pytest.approx(width / height, rel=1e-6)
    assert drawing.aspect_of(SIZE, SPACING, plane) == pytest.approx(width / height)


def test_spacing_comes_from_the_affine_of_an_image_or_of_a_batch():
    affine = torch.diag(torch.tensor([-1.5, 2.0, 3.0, 1.0], dtype=torch.float64))
    assert drawing.spacing_of(MetaTensor(torch.zeros(1, 2, 2, 2), affine=affine)) == [1.5, 2, 3]
    batch = MetaTensor(torch.zeros(4, 1, 2, 2, 2), affine=affine.expand(4, 4, 4))
    assert drawing.spacing_of(batch) == [1.5, 2, 3]
    assert drawing.spacing_of(torch.zeros(2)) == drawing.spacing_of(None) == [1, 1, 1]


def test_the_fullest_slice_is_the_one_nearest_to_the_middle():
    mask = np.zeros((4, 4, 9))
    assert drawing.fullest(mask, AXIAL) == 4
    mask[:, :, [1, 7]] = 1
    mask[:2, :, 3] = 1
    assert drawing.fullest(mask, AXIAL) in (1, 7)
    assert drawing.fullest(mask, AXIAL, 0.5) == 3


def test_colours_are_one_for_each_class():
    okabe_ito = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"]
    assert [class_colour(number) for number in range(1, 8)] == okabe_ito
    assert len(PALETTE) == len(set(PALETTE)) >= 14
    assert class_colour(len(PALETTE) + 1) == class_colour(1)
    assert curve_colour(0) == "#000000" != curve_colour(1)


def test_every_function_draws_a_class_in_its_colour(figures, tmp_path):
    label = np.zeros(SIZE, np.uint8)
    label[4:9, 5:12, 3:9] = 3
    preview.draw(tmp_path / "a.png", corner_volume(), label, label, ["one", "two", "three"], HISTORY, "case", SPACING)
    contours = [c for axes in figures[0].axes for c in axes.collections]
    assert {to_hex(c.get_edgecolor()[0]) for c in contours} == {PALETTE[2]}
    axes = Figure().subplots()
    drawing.show(axes, corner_volume()[:, :, 5], AXIAL, SPACING)
    drawing.overlay(axes, label[:, :, 5])
    colours = axes.images[1].get_array()
    assert to_hex(colours[6, 7, :3]) == PALETTE[2] and colours[0, 0, 3] == 0 < colours[6, 7, 3] < 1


def test_the_preview(figures, tmp_path):
    label = corner_volume().astype(int)
    pred = np.roll(label, 2, axis=0)
    preview.draw(tmp_path / "a.png", corner_volume(), label, pred, ["organ"], HISTORY, "case 7", SPACING)
    check(figures[0], 6)
    titles = " ".join(axes.get_title(loc="left") for axes in figures[0].axes)
    assert f"mean Dice {mean_dice(label, pred, [1]):.3f}" in titles and "from the front" in titles
    assert figures[0].get_suptitle() == "case 7\nslices of the scan as the network sees it, 1 x 2 x 3 mm"


def test_the_views(figures, tmp_path):
    volume = np.stack([corner_volume()] * 2)
    pictures = {"image": volume, "colours": np.stack([volume] * 3, axis=1), "one channel": volume[:, None]}
    views_preview.draw(tmp_path / "a.png", pictures, HISTORY, "title", SPACING, ["one", "two"])
    check(figures[0], 6)
    assert "axial, from below" in figures[0].get_suptitle()
    assert figures[0].axes[0].get_title(loc="left") == "one, slice 8\nimage"
    assert figures[0].axes[1].get_title() == "colours"


def test_hidden_voxels_have_a_colour_of_their_own(figures, tmp_path):
    volume = corner_volume()[None]
    views_preview.draw(tmp_path / "a.png", {"masked": np.where(volume > 0, np.nan, 0.5)}, [], "title", SPACING)
    assert figures[0].get_suptitle().endswith("blue: hidden")
    image = figures[0].axes[0].images[0]
    assert to_hex(image.get_cmap().get_bad()) not in (to_hex(image.get_cmap()(0.0)), to_hex(image.get_cmap()(1.0)))


def test_quantities_of_different_units_have_panels_of_their_own():
    columns = ["loss", "matching", "accuracy", "chance", "rank", "gradient_a", "gradient_b", "val_loss", "val_accuracy"]
    history = [{"epoch": "1", "steps": str(step), "learning_rate": "1", "seconds": "1"} for step in (1, 2)]
    for number, row in enumerate(history):
        row |= {name: str(number + place) for place, name in enumerate(columns)}
    panels = views_preview.curves_of(history)
    assert {title: [name for name, _, _ in curves] for title, curves in panels.items()} == {
        "loss": ["loss", "val_loss"],
        "matching": ["matching"],
        "accuracy": ["accuracy", "chance", "val_accuracy"],
        "rank": ["rank"],
        "gradient shares": ["gradient_a", "gradient_b"],
    }


def test_the_only_part_of_a_loss_is_not_drawn_twice():
    history = [{"epoch": "1", "steps": str(step), "loss": "1", "reconstruction": "1"} for step in (1, 2)]
    assert list(views_preview.curves_of(history)) == ["loss"]


def test_the_structures(figures, tmp_path):
    volume = corner_volume()
    structure_picture.draw(
        tmp_path / "a.png", volume, np.stack([volume] * 3), volume.astype(np.uint8) + 1, list(SPACING), "scan"
    )
    check(figures[0], 9)


def test_the_points(figures, tmp_path):
    volume = corner_volume()
    front = drawing.picture_of(volume.mean(axis=1))
    place = drawing.pixels_of(np.array([[15.0, 3, 12]]), SIZE, CORONAL)
    panel = match_picture.Panel("scan", front, list(SPACING), place, place)
    match_picture.draw(tmp_path / "a.png", [panel, panel], ["point"], False)
    axes = figures[0].axes[0]
    assert set(letters(axes)) == {"R", "S"} and letters(axes)["R"][0] < 0.1
    x, y = axes.transAxes.inverted().transform(axes.transData.transform(place[0]))
    assert x < 0.5 < y


def test_the_registration(figures, tmp_path):
    volume = torch.tensor(corner_volume())
    affine = torch.diag(torch.tensor([*SPACING, 1.0], dtype=torch.float64))
    flow = torch.zeros(3, *SIZE)
    flow[0] = 2  # to the patient's right: to the left in the picture
    item = {
        "image": MetaTensor(torch.stack([volume, volume]), affine=affine),
        "fixed": MetaTensor(volume[None], affine=affine),
        "moving_shift": torch.zeros(3, dtype=torch.float64),
        "pred": flow,
    }
    slices = registration_picture.cut(item)
    assert [s.plane for s in slices] == [AXIAL, CORONAL, SAGITTAL]
    assert slices[0].flow[:, 0, 0].tolist() == [-2, 0] and slices[2].flow[:, 0, 0].tolist() == [0, 0]
    scores = Scores(0.5, 0.75, 3.0, 1.0, "label centres", 0.0)
    registration_picture.draw(tmp_path / "a.png", slices, scores, "pair", False)
    panels = [axes for axes in figures[0].axes if axes.images]
    for axes in panels[:15]:
        assert len(letters(axes)) == 2
    for row in range(3):
        for axes in panels[5 * row : 5 * row + 2]:
            x, y = brightest(axes)
            assert x < 0.5 < y
    assert [axes.get_title() for axes in panels[1:3]] == ["before, Dice 0.500", "registered, Dice 0.750"]


def test_a_legend_has_as_many_columns_as_its_names_leave_room_for():
    names = dict(enumerate("abcde", start=1))
    assert drawing.legend_columns(names, 8.0) == 5
    assert drawing.legend_columns(names, 2.0) == 2
    assert drawing.legend_columns({1: "portal vein and splenic vein", 2: "aorta"}, 3.0) == 1


def test_the_slice_with_most_classes():
    label = np.zeros((4, 4, 6))
    label[:, :, 1] = 1
    label[0, 0, 4], label[1, 1, 4] = 1, 2
    assert slice_with_most(label, AXIAL, [1, 2]) == 4
    assert slice_with_most(label, AXIAL, [1]) == 1
    assert slice_with_most(label, AXIAL, [3]) == 3


def run(monkeypatch, script: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    runpy.run_path(str(TOOLS / script), run_name="__main__")


@pytest.mark.parametrize("stored", ["RAS", "LPS", "PIR"])
def test_the_tool_for_segmentations_reads_any_orientation(stored, figures, monkeypatch, tmp_path):
    affine = np.diag([*SPACING, 1])
    ras = nib.orientations.axcodes2ornt("RAS")
    volume = corner_volume()
    for name, voxels in {"image": 1000 * volume - 500, "label": volume, "prediction": 6 * volume}.items():
        image = nib.Nifti1Image(voxels.astype(np.int16), affine)
        turn = nib.orientations.ornt_transform(ras, nib.orientations.axcodes2ornt(stored))
        nib.save(image.as_reoriented(turn), tmp_path / f"{name}.nii.gz")
    (tmp_path / "map.json").write_text(json.dumps({"0": 0, "1": 6}))
    files = [tmp_path / f"{name}.nii.gz" for name in ("image", "label", "prediction")]
    run(monkeypatch, "draw_segmentation.py", *files, tmp_path / "a.png", "--label_map", tmp_path / "map.json")
    check(figures[0], 6)
    assert any("mean Dice 1.000" in axes.get_title(loc="left") for axes in figures[0].axes)
    assert figures[0].get_suptitle() == "image"


@pytest.mark.parametrize(("label", "modality"), [("file", "CT"), (0, "CT"), (0, "T1")])
def test_the_tool_for_synthetic_sets(label, modality, figures, monkeypatch, tmp_path):
    image = nib.Nifti1Image((2000 * corner_volume() - 1000).astype(np.int16), np.diag([*SPACING, 1]))
    nib.save(image, tmp_path / "image.nii.gz")
    nib.save(nib.Nifti1Image(corner_volume().astype(np.uint8), image.affine), tmp_path / "label.nii.gz")
    entry = {"image": "image.nii.gz", "label": "label.nii.gz" if label == "file" else label}
    content = {"kind": "toy", "modality": {"0": modality}, "labels": {"0": "healthy"}, "training": [entry]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    run(monkeypatch, "draw_synthetic.py", tmp_path, tmp_path / "a.png")
    panels = [axes for axes in figures[0].axes if axes.images]
    check(figures[0], 6 if modality == "CT" else 3)
    assert len(panels) == (6 if modality == "CT" else 3)
    assert sum(len(axes.images) == 2 for axes in panels) == (3 if label == "file" else 0)
