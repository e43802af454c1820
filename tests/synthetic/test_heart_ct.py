import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from ssl3d.synthetic import KINDS, synthesize
from ssl3d.synthetic.canvas import Canvas
from ssl3d.synthetic.subject import grid_affine, grid_points
from ssl3d.synthetic.torso.heart_anatomy import ID, LABELS, LANDMARKS
from ssl3d.synthetic.torso.heart_painting import paint_heart_view
from ssl3d.synthetic.torso.subject import torso_deformation
from ssl3d.synthetic.torso.tissues import hounsfield
from ssl3d.synthetic.torso.views import HEART


@pytest.fixture(scope="module")
def subjects():
    return [KINDS["heart_ct"].make(0, index, 64, ("ct",)) for index in range(5)]


@pytest.fixture(scope="module")
def template():
    """Labels of the template in voxels of 1.5 mm."""
    shape = np.array((120, 120, 104))
    points = grid_points(grid_affine(np.array(HEART.centre), np.full(3, 1.5), shape), tuple(shape))[0]
    canvas = Canvas(points, 1.5, hounsfield(np.random.default_rng(0)))
    paint_heart_view(canvas)
    return canvas.labels


def test_layout(tmp_path):
    file = synthesize("heart_ct", tmp_path / "set", 1, size=32)
    content = json.loads(file.read_text())
    assert content["modality"] == {"0": "CT"} and content["labels"] == {str(i): name for i, name in enumerate(LABELS)}
    entry = content["training"][0]
    assert entry["image"] == "./imagesTr/heart_000.nii.gz" and (file.parent / entry["label"]).is_file()


def test_every_structure_is_in_every_subject(subjects):
    for subject in subjects:
        assert set(np.unique(subject.label)) == set(range(len(LABELS)))


def test_landmarks_lie_in_their_structure(subjects):
    hits = []
    for subject in subjects:
        points = np.array([point for point, _ in subject.landmarks.values()])
        voxels = np.rint(nib.affines.apply_affine(np.linalg.inv(subject.affine), points)).astype(int)
        for voxel, (_, label) in zip(voxels, subject.landmarks.values(), strict=True):
            near = tuple(slice(max(v - 1, 0), v + 2) for v in voxel)
            assert label in subject.label[near]
            hits.append(subject.label[tuple(voxel)] == label)
    assert len(LANDMARKS) >= 20 and np.mean(hits) > 0.85  # an artery is hardly wider than a voxel of 3 mm


def test_field_is_the_map(subjects):
    for index, subject in enumerate(subjects[:2]):
        voxels = np.random.default_rng(0).integers(0, subject.label.shape, (100, 3))
        world = nib.affines.apply_affine(subject.affine, voxels)
        deformation = torso_deformation(0, index, HEART)
        expected = deformation.to_template(world.T).T - world
        np.testing.assert_allclose(subject.field[tuple(voxels.T)], expected, atol=1e-3)
        assert deformation.jacobian.std() > 0.02


def test_the_left_side_is_filled_with_contrast_medium(subjects):
    for subject in subjects:
        values = {organ: np.median(subject.images["ct"][subject.label == ID[organ]]) for organ in LABELS[1:]}
        for bright in ("left ventricle blood cavity", "left atrium", "ascending aorta"):
            assert 180 < values[bright] < 600
            assert values[bright] > values["left ventricle myocardium"] + 80
            assert values[bright] > values["right atrium"]


def test_volumes_are_those_of_a_heart(subjects):
    """Own assumptions, in ml: wide ranges about an adult's diastolic heart."""
    known = {
        "left ventricle blood cavity": (40, 200),
        "right ventricle blood cavity": (50, 250),
        "left atrium": (30, 140),
        "right atrium": (30, 150),
        "left ventricle myocardium": (60, 220),
        "ascending aorta": (20, 110),
        "pulmonary artery": (25, 130),
        "coronary artery": (1.5, 10),
    }
    for subject in subjects:
        voxel = abs(np.linalg.det(subject.affine[:3, :3])) / 1000
        for organ, (low, high) in known.items():
            assert low < (subject.label == ID[organ]).sum() * voxel < high, organ


def test_the_left_ventricle_lies_in_its_myocardium(template):
    cavity = template == ID["left ventricle blood cavity"]
    rim = ndimage.binary_dilation(cavity, iterations=2) & ~cavity
    around = np.bincount(template[rim], minlength=len(LABELS)) / rim.sum()
    assert around[ID["left ventricle myocardium"]] > 0.75
    assert around[ID["left atrium"]] + around[ID["ascending aorta"]] > 0.05  # its valves
    assert around[ID["right ventricle blood cavity"]] < 0.02


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("right atrium", "right ventricle blood cavity"),
        ("right ventricle blood cavity", "pulmonary artery"),
        ("left atrium", "left ventricle blood cavity"),
        ("left ventricle blood cavity", "ascending aorta"),
        ("ascending aorta", "coronary artery"),
    ],
)
def test_blood_can_flow(template, first, second):
    """Chambers and vessels that follow each other touch, or nearly so: valves are not drawn."""
    touching = ndimage.binary_dilation(template == ID[first], iterations=2) & (template == ID[second])
    assert touching.sum() >= 3


def test_the_coronary_arteries_are_two_trees_on_the_surface(template):
    tree = template == ID["coronary artery"]
    parts, _ = ndimage.label(tree, np.ones((3, 3, 3)))
    sizes = np.sort(np.bincount(parts.ravel())[1:])[::-1]
    assert sizes[:2].sum() > 0.9 * tree.sum() and sizes[1] > 0.2 * tree.sum()
    near = ndimage.binary_dilation(tree, iterations=1) & ~tree
    assert (template[near] == 0).mean() > 0.4  # fat
