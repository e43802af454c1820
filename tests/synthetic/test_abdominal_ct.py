import json
import runpy
import sys
from importlib.resources import files
from pathlib import Path

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from ssl3d.synthetic import KINDS, synthesize
from ssl3d.synthetic.deformation import SMALLEST_JACOBIAN
from ssl3d.synthetic.torso.abdomen_anatomy import ID, LABELS, LANDMARKS
from ssl3d.synthetic.torso.subject import torso_deformation
from ssl3d.synthetic.torso.tissues import add_couch, hounsfield, scan
from ssl3d.synthetic.torso.views import ABDOMEN

SUBJECTS = 20
SIZE = 72  # voxels of about 5 mm
PAIRS = [(index, (index + 1) % SUBJECTS) for index in range(SUBJECTS)]
RANGES = json.loads(files("ssl3d.synthetic.torso").joinpath("abdomen_ranges.json").read_text())


@pytest.fixture(scope="module")
def subjects():
    return [KINDS["abdominal_ct"].make(0, index, SIZE, ("ct",)) for index in range(SUBJECTS)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return synthesize("abdominal_ct", tmp_path_factory.mktemp("abdomens") / "set", 2, size=40)


def points_of(subject):
    return np.array([point for point, _ in subject.landmarks.values()])


def millilitres(subject, organ):
    return (subject.label == ID[organ]).sum() * abs(np.linalg.det(subject.affine[:3, :3])) / 1000


def test_decathlon_layout(written):
    content = json.loads(written.read_text())
    assert content["modality"] == {"0": "CT"} and content["tensorImageSize"] == "3D" and content["synthetic"] is True
    assert content["labels"] == {str(index): name for index, name in enumerate(LABELS)} and len(LABELS) == 14
    for number, entry in enumerate(content["training"]):
        assert entry["image"] == f"./imagesTr/abdomen_{number:03d}.nii.gz" and entry["group"] == "abdominal_ct"
        image, label, field = (nib.load(written.parent / entry[key]) for key in ("image", "label", "field"))
        assert image.shape == label.shape == field.shape[:3] and np.array_equal(image.affine, label.affine)
        assert image.get_data_dtype() == np.int16 and label.get_data_dtype() == np.uint8
        landmarks = json.loads((written.parent / entry["landmarks"]).read_text())
        assert set(landmarks) == {mark.name for mark in LANDMARKS} and len(landmarks) >= 30
        for landmark in landmarks.values():
            world = nib.affines.apply_affine(image.affine, landmark["voxel"])
            np.testing.assert_allclose(world, landmark["world"], atol=1e-2)


def test_a_subject_depends_on_its_seed_and_index_only(subjects):
    again = KINDS["abdominal_ct"].make(0, 3, SIZE, ("ct",))
    np.testing.assert_array_equal(again.images["ct"], subjects[3].images["ct"])
    np.testing.assert_array_equal(again.label, subjects[3].label)
    other = KINDS["abdominal_ct"].make(1, 3, SIZE, ("ct",))
    assert not np.array_equal(points_of(other), points_of(subjects[3]))


def test_every_organ_is_in_every_subject(subjects):
    for subject in subjects:
        assert set(np.unique(subject.label)) == set(range(14))


def test_grids_vary(subjects):
    spacings = [nib.affines.voxel_sizes(subject.affine) for subject in subjects]
    assert len({nib.aff2axcodes(subject.affine) for subject in subjects}) >= 4
    assert max(spacing.max() / spacing.min() for spacing in spacings) == pytest.approx(2)
    in_plane = [spacing.min() for spacing in spacings]
    assert 4.7 < min(in_plane) < 5.0 and 5.2 < max(in_plane) < 5.5
    extents = np.array([np.sort(spacings[i] * subject.label.shape) for i, subject in enumerate(subjects)])
    assert ((extents > 300) & (extents < 400)).all()


def test_landmarks_lie_in_their_organ(subjects):
    hits = []
    for subject in subjects:
        voxels = np.rint(nib.affines.apply_affine(np.linalg.inv(subject.affine), points_of(subject))).astype(int)
        for voxel, (_, label) in zip(voxels, subject.landmarks.values(), strict=True):
            near = tuple(slice(max(v - 1, 0), v + 2) for v in voxel)
            assert label in subject.label[near]  # at 5 mm some organs are hardly wider than a voxel
            hits.append(subject.label[tuple(voxel)] == label)
    assert np.mean(hits) > 0.95


def test_field_is_the_map_at_every_voxel_however_it_is_stored(subjects):
    for index in (0, 1, 2):
        subject = subjects[index]
        voxels = np.random.default_rng(0).integers(0, subject.label.shape, (200, 3))
        world = nib.affines.apply_affine(subject.affine, voxels)
        expected = torso_deformation(0, index, ABDOMEN).to_template(world.T).T - world
        np.testing.assert_allclose(subject.field[tuple(voxels.T)], expected, atol=1e-3)


def test_deformations_are_invertible_and_none_was_tamed():
    template = np.array([mark.point for mark in LANDMARKS]).T
    for index in range(4):
        deformation = torso_deformation(0, index, ABDOMEN)
        assert deformation.jacobian.min() > 1.5 * SMALLEST_JACOBIAN
        np.testing.assert_allclose(deformation.to_template(deformation.to_subject(template)), template, atol=1e-3)


def test_volumes_are_plausible(subjects):
    assert set(RANGES["volume_ml"]) == set(LABELS[1:])
    for organ, known in RANGES["volume_ml"].items():
        for index, subject in enumerate(subjects):
            assert known["low"] <= millilitres(subject, organ) <= known["high"], f"{organ} of subject {index}"


def test_places_are_plausible(subjects):
    assert set(RANGES["centroid_mm"]) == set(LABELS[1:])
    for organ, known in RANGES["centroid_mm"].items():
        for index, subject in enumerate(subjects):
            centre = nib.affines.apply_affine(subject.affine, np.argwhere(subject.label == ID[organ])).mean(axis=0)
            place = centre - subject.landmarks["vertebra_L1"][0]
            assert (np.array(known["low"]) <= place).all() and (place <= known["high"]).all(), f"{organ} of {index}"


def test_every_range_names_its_source():
    ranges = [known for table in ("volume_ml", "centroid_mm") for known in RANGES[table].values()]
    ranges += [known for known in RANGES["difficulty"].values() if isinstance(known, dict)]
    for known in ranges:
        assert any(word in known["source"] for word in ("doi:", "https://", "sample", "own assumption", "as the"))


def test_difficulty_landmarks(subjects):
    displacements = []
    for first, second in PAIRS:
        source, target = points_of(subjects[first]), points_of(subjects[second])
        homogeneous = np.c_[source, np.ones(len(source))]
        mapped = homogeneous @ np.linalg.lstsq(homogeneous, target, rcond=None)[0]
        displacements.append(np.linalg.norm(mapped - target, axis=1).mean())
    wanted = RANGES["difficulty"]["displacement_mm"]
    assert wanted["low"] <= np.mean(displacements) <= wanted["high"]


def test_difficulty_overlap(subjects):
    axis = np.arange(-160, 161, 5.0)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)

    def on_grid(subject):
        voxels = nib.affines.apply_affine(np.linalg.inv(subject.affine), grid)
        return ndimage.map_coordinates(subject.label, np.moveaxis(voxels, -1, 0), order=0)

    labels = [on_grid(subject) for subject in subjects]
    dice = []
    for first, second in PAIRS:
        volumes = np.bincount(labels[first].ravel(), minlength=14) + np.bincount(labels[second].ravel(), minlength=14)
        common = np.bincount(labels[first][labels[first] == labels[second]], minlength=14)
        dice.append(2 * common[1:].sum() / volumes[1:].sum())  # the mean of the organs' Dice, weighted by volume
    wanted = RANGES["difficulty"]["dice"]
    assert wanted["low"] <= np.mean(dice) <= wanted["high"]


def test_difficulty_intensities(subjects):
    def histogram(subject, organ):
        counts = np.histogram(subject.images["ct"][subject.label == ID[organ]], np.arange(-1100, 3101, 5))[0]
        return counts / counts.sum()

    for first, second in RANGES["difficulty"]["neighbours"]:
        overlaps = [np.minimum(histogram(s, first), histogram(s, second)).sum() for s in subjects]
        assert np.mean(overlaps) >= RANGES["difficulty"]["histogram_intersection"]["low"], f"{first}, {second}"


def test_hounsfield_units_are_those_of_the_tissues(subjects):
    for subject in subjects:
        image, label = subject.images["ct"], subject.label
        assert image.dtype == np.int16 and image.min() >= -1024
        inner = {organ: image[ndimage.binary_erosion(label == ID[organ])] for organ in ("liver", "spleen")}
        assert 40 < np.median(inner["liver"]) < 150 and 30 < np.median(inner["spleen"]) < 180
        assert 6 < inner["liver"].std() < 40
        corners = image[:: image.shape[0] - 1, :: image.shape[1] - 1, :: image.shape[2] - 1]
        assert corners.max() < -900
        assert (image > 300).mean() > 0.005 and 0.1 < ((image > -150) & (image < -60)).mean() < 0.5


def test_contrast_phases(subjects):
    """From native, where vessels are as dark as the liver, to arterial, where they are much brighter."""
    values = {
        organ: np.array([np.median(s.images["ct"][s.label == ID[organ]]) for s in subjects])
        for organ in ("aorta", "liver", "inferior vena cava")
    }
    enhancement = values["aorta"] - values["liver"]
    assert enhancement.min() < 15 and enhancement.max() > 120
    assert (values["aorta"] - values["inferior vena cava"]).max() > 80
    assert np.diff(np.sort(enhancement)).max() < 100  # no gap between phases


def test_gas_lies_in_front_of_fluid_in_the_stomach(subjects):
    for subject in subjects:
        stomach = subject.label == ID["stomach"]
        world = nib.affines.apply_affine(subject.affine, np.argwhere(stomach))
        gas = subject.images["ct"][stomach] < -500
        assert gas.sum() >= 10
        assert world[gas, 1].mean() > world[~gas, 1].mean() + 15


def test_partial_volume_and_dose():
    moments = [hounsfield(np.random.default_rng(seed)) for seed in range(30)]
    assert all(value.shape == (1,) for tissues in moments for value in tissues.values())
    aorta = np.array([float(tissues["artery"][0]) for tissues in moments])
    assert aorta.min() < 90 and aorta.max() > 220


def test_noise_has_grain_within_slices_and_none_across():
    image = np.full((48, 48, 48), 50.0, np.float32)
    stored = scan(image, np.zeros_like(image), np.ones_like(image), np.full(3, 2.0), np.random.default_rng(0))
    noise = stored - 50.0
    assert 10 <= noise.std() <= 22.5 and abs(noise.mean()) < 1

    def correlation(step, axis):
        return np.mean(noise * np.roll(noise, step, axis)) / noise.var()

    assert correlation(1, 0) > 0.2 and correlation(1, 1) > 0.2 and abs(correlation(1, 2)) < 0.03
    assert correlation(3, 0) < 0  # the lowest frequencies are missing


def test_the_couch_is_behind_the_patient_and_covers_nothing():
    axes = [np.arange(-180, 181, 4.0, dtype=np.float32)] * 2 + [np.arange(3.0)]
    image = np.full((91, 91, 3), -1000.0, np.float32)
    image[:, 50:] = 40.0
    before = image.copy()
    add_couch(image, axes, back=20.0)
    assert np.array_equal(image[:, 50:], before[:, 50:])
    drawn = image > -900
    assert drawn[45, :50].sum() >= 2 and not drawn[45, 49].any()


def test_pictures_for_the_documentation(written, tmp_path, monkeypatch):
    script = Path(__file__).parents[2] / "tools" / "draw_synthetic.py"
    picture = tmp_path / "abdomens.png"
    monkeypatch.setattr(sys, "argv", [str(script), str(written.parent), str(picture), "--subjects", "1"])
    runpy.run_path(str(script), run_name="__main__")
    pixels = matplotlib.image.imread(picture)[..., :3]
    colour = np.ptp(pixels, axis=2)
    assert pixels.shape[1] == 1300 and np.unique(pixels[..., 0]).size > 50
    assert 0.02 < (colour > 0.2).mean() < 0.5, "labels, beside images without colour"
