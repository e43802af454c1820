import json

import nibabel as nib
import numpy as np
import pytest

from ssl3d.data import Datalist
from ssl3d.synthetic import KINDS, synthesize
from ssl3d.synthetic.canvas import Canvas
from ssl3d.synthetic.subject import grid_affine, grid_points
from ssl3d.synthetic.torso.chest_anatomy import CLASSES, LANDMARKS, LOBES
from ssl3d.synthetic.torso.chest_painting import Finding, draw_finding, paint_chest, within_lobe
from ssl3d.synthetic.torso.subject import torso_deformation
from ssl3d.synthetic.torso.tissues import hounsfield
from ssl3d.synthetic.torso.trunk import cavity, lung
from ssl3d.synthetic.torso.views import CHEST


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return synthesize("chest_ct", tmp_path_factory.mktemp("chests") / "set", 4, size=40)


@pytest.fixture(scope="module")
def grid():
    shape = np.array((60, 60, 50))
    return grid_points(grid_affine(np.array(CHEST.centre), np.full(3, 6.0), shape), tuple(shape))[0]


@pytest.fixture(scope="module")
def painted(grid):
    """``painted(finding)``: noise-free HU of the template with a finding."""

    def paint(finding):
        canvas = Canvas(grid, 6.0, hounsfield(np.random.default_rng(0)))
        paint_chest(canvas, finding)
        assert not canvas.labels.any()
        return canvas.images[0]

    return paint


@pytest.fixture(scope="module")
def healthy(painted):
    return painted(Finding(0, 0, 1.0, (0.0, 0.0, 0.0)))


def test_labels_are_class_numbers(written):
    content = json.loads(written.read_text())
    assert content["labels"] == {str(number): name for number, name in enumerate(CLASSES)}
    assert content["modality"] == {"0": "CT"} and [entry["label"] for entry in content["training"]] == [0, 1, 2, 0]
    assert not (written.parent / "labelsTr").exists()
    items = Datalist(written.parent, "all", label_ids=range(3))
    assert [item["label"] for item in items] == [0, 1, 2, 0] and items.synthetic


def test_files(written):
    for index, entry in enumerate(json.loads(written.read_text())["training"]):
        image, field = (nib.load(written.parent / entry[key]) for key in ("image", "field"))
        assert image.get_data_dtype() == np.int16 and field.shape == (*image.shape, 1, 3)
        voxels = np.random.default_rng(0).integers(0, image.shape, (100, 3))
        world = nib.affines.apply_affine(image.affine, voxels)
        expected = torso_deformation(0, index, CHEST).to_template(world.T).T - world
        np.testing.assert_allclose(field.get_fdata()[(*voxels.T, 0)], expected, atol=5e-3)
        landmarks = json.loads((written.parent / entry["landmarks"]).read_text())
        assert set(landmarks) == {mark.name for mark in LANDMARKS} and len(landmarks) >= 20


def test_a_chest_has_lungs_with_the_heart_between(healthy, grid):
    lungs = lung(grid) < -8
    assert -860 < np.median(healthy[lungs]) < -780
    x, y, z = grid
    heart = (np.abs(x + 30) < 12) & (np.abs(y - 72) < 12) & (np.abs(z - 126) < 12)
    assert healthy[heart].min() > 0
    trachea = (np.hypot(x - 7, y + 6) < 4) & (np.abs(z - 260) < 10)
    assert trachea.any() and healthy[trachea].max() < -600


@pytest.mark.parametrize("number", range(len(LOBES)))
def test_a_consolidation_fills_one_lobe(painted, healthy, grid, number):
    changed = painted(Finding(1, number, 1.0, (0.0, 0.0, 0.0))) - healthy
    lobes = within_lobe(grid, number)
    assert np.abs(changed[lobes > 4]).max() == 0
    inside = (lung(grid) < -8) & (lobes < -8)
    assert (changed[inside] > 600).mean() > 0.7  # the rest is vessels and bronchi


def test_ground_glass_lies_at_the_periphery_of_both_lungs(painted, healthy, grid):
    image = painted(Finding(2, 0, 0.8, (100.0, 200.0, 300.0)))
    changed = np.abs(image - healthy) > 100
    assert (-cavity(grid)[changed]).max() < 40
    assert (changed & (grid[0] > 30)).sum() > 100 and (changed & (grid[0] < -30)).sum() > 100
    assert -700 < np.median(image[changed]) < -350
    lungs = lung(grid) < -4
    assert 0.05 < changed[lungs].mean() < 0.6


def test_extent_and_place_of_findings_vary():
    findings = [draw_finding(1, np.random.default_rng(seed)) for seed in range(40)]
    assert {finding.lobe for finding in findings} == set(range(len(LOBES)))
    assert np.ptp([finding.filled for finding in findings]) > 0.5


def test_a_larger_extent_fills_more(painted, healthy):
    for kind in (1, 2):
        less, more = (np.abs(painted(Finding(kind, 2, filled, (0.0, 0.0, 0.0))) - healthy).sum() for filled in (0.4, 1))
        assert 0 < less < 0.9 * more


def test_classes_take_turns():
    subjects = [KINDS["chest_ct"].make(3, index, 16, ("ct",)) for index in range(3)]
    assert [subject.category for subject in subjects] == [0, 1, 2]
    assert len({nib.aff2axcodes(subject.affine) for subject in subjects}) > 1
