import hashlib
import json
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from ssl3d import cli
from ssl3d.synthetic import KINDS, synthesize, writer
from ssl3d.synthetic.canvas import Canvas
from ssl3d.synthetic.deformation import SMALLEST_JACOBIAN, Deformation, Expansion, Frame, Shift, interpolate
from ssl3d.synthetic.head.anatomy import LABELS, LANDMARKS
from ssl3d.synthetic.head.subject import head_deformation
from ssl3d.synthetic.primitives import angle_from_back, ellipsoid, mirrored, outline, smooth_path, tube

SIZE = 48


@pytest.fixture(scope="module")
def brains(tmp_path_factory):
    return synthesize("brain_mri", tmp_path_factory.mktemp("brains") / "set", 4, size=SIZE, contrasts="t1n,t2w")


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return synthesize("hippocampus_mri", tmp_path_factory.mktemp("crops") / "set", 3, seed=5)


def content_of(file):
    return json.loads(file.read_text())


def arrays(file, entry):
    return {key: nib.load(file.parent / entry[key]) for key in ("label", "field")}


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_decathlon_layout(brains):
    content = content_of(brains)
    assert content["synthetic"] is True and content["kind"] == "brain_mri" and "ynthetic" in content["description"]
    assert content["labels"] == {str(index): name for index, name in enumerate(LABELS)}
    assert content["modality"] == {"0": "T1", "1": "T2"} and content["numTraining"] == len(content["training"]) == 4
    for entry in content["training"]:
        assert len(entry["image"]) == 2 and entry["group"] == "brain_mri"
        label = nib.load(brains.parent / entry["label"])
        for file in entry["image"]:
            image = nib.load(brains.parent / file)
            assert image.shape == label.shape and np.array_equal(image.affine, label.affine)
            assert image.get_data_dtype() == np.int16 and np.asarray(image.dataobj).std() > 0
    assert not list(brains.parent.parent.glob(".*building*"))


def test_every_structure_is_in_every_subject(brains):
    for entry in content_of(brains)["training"]:
        assert set(np.unique(arrays(brains, entry)["label"].dataobj)) == set(range(len(LABELS)))


def test_contrasts_differ_as_they_should(brains):
    """Cerebrospinal fluid is darker than white matter on T1 and brighter on T2."""
    for entry in content_of(brains)["training"]:
        label = np.asarray(arrays(brains, entry)["label"].dataobj)
        t1, t2 = (np.asarray(nib.load(brains.parent / file).dataobj) for file in entry["image"])
        fluid, white = label == LABELS.index("lateral ventricle"), label == LABELS.index("white matter")
        assert t1[fluid].mean() < 0.7 * t1[white].mean()
        assert t2[fluid].mean() > 1.3 * t2[white].mean()


def test_spacing_and_orientation_vary(brains):
    affines = [nib.load(brains.parent / entry["label"]).affine for entry in content_of(brains)["training"]]
    assert len({nib.aff2axcodes(affine) for affine in affines}) > 1
    assert len({tuple(np.sort(nib.affines.voxel_sizes(affine)).round(3)) for affine in affines}) > 1


def test_landmarks_lie_in_their_structure(brains):
    assert len(LANDMARKS) >= 20
    hits = []
    for entry in content_of(brains)["training"]:
        label = arrays(brains, entry)["label"]
        values = np.asarray(label.dataobj)
        points = content_of(brains.parent / entry["landmarks"])
        assert set(points) == {mark.name for mark in LANDMARKS}
        for point in points.values():
            voxel = np.array(point["voxel"])
            np.testing.assert_allclose(nib.affines.apply_affine(label.affine, voxel), point["world"], atol=1e-2)
            # within a voxel: at 4 mm some structures are not much wider than that
            near = tuple(slice(v - 1, v + 2) for v in np.rint(voxel).astype(int))
            assert point["label"] in values[near]
            hits.append(values[tuple(np.rint(voxel).astype(int))] == point["label"])
    assert np.mean(hits) > 0.85


def test_landmarks_lie_in_their_structure_at_1_mm(crops):
    for entry in content_of(crops)["training"]:
        values = np.asarray(arrays(crops, entry)["label"].dataobj)
        points = content_of(crops.parent / entry["landmarks"])
        assert len(points) == 4
        for point in points.values():
            assert values[tuple(np.rint(point["voxel"]).astype(int))] == point["label"]


def test_field_brings_landmarks_to_the_template(crops):
    template = {mark.name: mark.point for mark in LANDMARKS}
    for entry in content_of(crops)["training"]:
        field = arrays(crops, entry)["field"]
        displacement = field.get_fdata()[:, :, :, 0]
        for name, point in content_of(crops.parent / entry["landmarks"]).items():
            voxel = np.array(point["voxel"])[:, None]
            moved = [ndimage.map_coordinates(displacement[..., axis], voxel, order=1)[0] for axis in range(3)]
            assert np.linalg.norm(np.add(point["world"], moved) - template[name]) < 0.1


def test_field_is_the_map_at_every_voxel_however_it_is_stored(brains):
    for index, entry in enumerate(content_of(brains)["training"]):
        field = arrays(brains, entry)["field"]
        assert field.shape[3:] == (1, 3) and field.header.get_intent()[0] == "displacement vector"
        voxels = np.random.default_rng(0).integers(0, field.shape[:3], (200, 3))
        world = nib.affines.apply_affine(field.affine, voxels)
        expected = head_deformation(0, index).to_template(world.T).T - world
        np.testing.assert_allclose(field.get_fdata()[(*voxels.T, 0)], expected, atol=5e-3)


def test_deformation_and_inverse_are_exact_and_do_not_fold():
    points = np.random.default_rng(0).uniform(-90, 90, (3, 500))
    for index in range(4):
        deformation = head_deformation(0, index)
        assert deformation.jacobian.min() >= SMALLEST_JACOBIAN
        assert deformation.jacobian.std() > 0.02
        np.testing.assert_allclose(deformation.to_template(deformation.to_subject(points)), points, atol=1e-3)


def test_a_violent_velocity_is_tamed():
    frame = Frame(extent=125, spacing=5)
    deformation = Deformation(frame, np.random.default_rng(0), np.eye(3), np.zeros(3), strength=40, smoothness=30)
    assert deformation.jacobian.min() >= SMALLEST_JACOBIAN


def test_a_frame_lies_where_it_is_put():
    """A shift moves its place by its offset, an expansion keeps its centre; beyond the frame nothing moves."""
    frame = Frame(extent=80, spacing=5, centre=(10.0, -20.0, 300.0))
    near = np.array([[10.0], [-20.0], [300.0]])
    for local, moved in (
        ({"shifts": [Shift((10.0, -20.0, 300.0), (4.0, 0.0, 0.0), 30.0)]}, (4.0, 0.0, 0.0)),
        ({"expansions": [Expansion((10.0, -20.0, 300.0), 1.3, 20.0)]}, (0.0, 0.0, 0.0)),
    ):
        deformation = Deformation(
            frame, np.random.default_rng(0), np.eye(3), np.zeros(3), strength=0, smoothness=40, **local
        )
        np.testing.assert_allclose(deformation.to_subject(near) - near, np.array(moved)[:, None], atol=0.3)
        np.testing.assert_array_equal(deformation.to_template(near + 90), near + 90)
        assert deformation.jacobian.std() > 0.002
    larger = np.abs(deformation.to_subject(near + np.array([[8.0], [0.0], [0.0]])) - near)[0, 0]
    assert 8 * 1.2 < larger < 8 * 1.3


def test_a_field_is_read_in_its_frame():
    frame = Frame(extent=20, spacing=10, centre=(5.0, 0.0, -50.0))
    ramp = torch.linspace(-15, 25, frame.nodes).view(1, 1, -1, 1, 1).expand(1, 1, *[frame.nodes] * 3)
    points = np.array([[0.0, 5.0, 24.0, 5.0], [0.0, 3.0, -9.0, 0.0], [-50.0, -41.0, -60.0, 0.0]])
    np.testing.assert_allclose(interpolate(ramp.double(), points, frame)[0], [0, 5, 24, 0], atol=1e-5)


def test_same_seed_same_bytes_and_a_subject_does_not_depend_on_the_others(tmp_path, crops):
    again = synthesize("hippocampus_mri", tmp_path / "again", 2, seed=5).parent
    former, repeated = digest(crops.parent), digest(again)
    assert len(repeated) == 9
    for name, value in repeated.items():
        assert name == "dataset.json" or former[name] == value
    other = digest(synthesize("hippocampus_mri", tmp_path / "other", 1, seed=6).parent)
    assert all(other[name] != repeated[name] for name in other)


def test_crops_resemble_those_of_the_decathlon(crops):
    assert content_of(crops)["labels"] == {"0": "background", "1": "anterior", "2": "posterior"}
    for entry in content_of(crops)["training"]:
        label = arrays(crops, entry)["label"]
        values = np.asarray(label.dataobj)
        assert all(31 <= x <= 43 and 40 <= y <= 59 and 24 <= z <= 47 for x, y, z in [values.shape])
        assert nib.aff2axcodes(label.affine) == ("R", "A", "S")
        anterior, posterior = (np.argwhere(values == part) for part in (1, 2))
        assert 500 < len(anterior) < 3500 and 500 < len(posterior) < 3500
        assert anterior[:, 1].mean() > posterior[:, 1].mean() + 5
        assert set(np.unique(values)) == {0, 1, 2}


def test_label_maps(tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    grid = np.indices((20, 24, 18)) - np.array([10, 12, 9]).reshape(3, 1, 1, 1)
    radius = np.sqrt(np.square(grid).sum(0))
    for number, outer in enumerate((7, 8)):
        values = np.where(radius < 4, 1001, np.where(radius < outer, 17, 0)).astype(np.int16)
        affine = np.diag([-2.0, 2.0, 3.0, 1.0])
        nib.save(nib.Nifti1Image(values, affine), folder / f"map_{number}.nii.gz")
    file = synthesize("brain_mri", tmp_path / "set", 2, size=24, label_maps=folder)
    content = content_of(file)
    assert content["labels"] == {"0": "background", "1": "label 17", "2": "label 1001"}
    for entry in content["training"]:
        label = arrays(file, entry)["label"]
        values = np.asarray(label.dataobj)
        assert values.shape == (24, 24, 24) and set(np.unique(values)) == {0, 1, 2}
        for point in content_of(file.parent / entry["landmarks"]).values():
            assert values[tuple(np.rint(point["voxel"]).astype(int))] == point["label"]
        image = np.asarray(nib.load(file.parent / entry["image"]).dataobj)
        assert abs(image[values == 2].mean() - image[values == 1].mean()) > 0


def test_label_maps_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        synthesize("brain_mri", tmp_path / "set", label_maps=tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="empty"):
        synthesize("brain_mri", tmp_path / "set", label_maps=empty)
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.uint8), np.eye(4)), empty / "series.nii.gz")
    with pytest.raises(ValueError, match=r"series\.nii\.gz"):
        synthesize("brain_mri", tmp_path / "set", label_maps=empty)
    (empty / "series.nii.gz").write_bytes(b"no NIfTI")
    with pytest.raises(ValueError, match=r"series\.nii\.gz"):
        synthesize("brain_mri", tmp_path / "set", label_maps=empty)
    assert not (tmp_path / "set").exists()


def test_the_same_settings_are_reused_and_others_refused(brains):
    before = brains.stat().st_mtime_ns
    assert synthesize("brain_mri", brains.parent, 4, size=SIZE, contrasts=("t1n", "t2w")) == brains
    assert brains.stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="seed=0"):
        synthesize("brain_mri", brains.parent, 4, seed=1, size=SIZE, contrasts=("t1n", "t2w"))


def test_two_processes_may_make_one_set(tmp_path, monkeypatch):
    """The slower one finds the set in place when it comes to rename its own."""
    genuine = KINDS["hippocampus_mri"]

    def overtaken(*arguments):
        monkeypatch.setitem(KINDS, "hippocampus_mri", genuine)
        monkeypatch.setattr(writer.os, "getpid", lambda: -1)
        synthesize("hippocampus_mri", tmp_path / "set", 1)
        return genuine.make(*arguments)

    monkeypatch.setitem(KINDS, "hippocampus_mri", replace(genuine, make=overtaken))
    file = synthesize("hippocampus_mri", tmp_path / "set", 1)
    assert content_of(file)["numTraining"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_foreign_folder_and_a_file_are_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="mine"):
        synthesize("hippocampus_mri", tmp_path / "mine", 1)
    with pytest.raises(NotADirectoryError, match="thesis"):
        synthesize("hippocampus_mri", tmp_path / "mine" / "thesis.txt", 1)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_a_stopped_run_leaves_nothing_that_looks_complete(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(KINDS, "hippocampus_mri", replace(KINDS["hippocampus_mri"], make=stop))
    with pytest.raises(KeyboardInterrupt):
        synthesize("hippocampus_mri", tmp_path / "set", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"kind": "knee"}, "knee"),
        ({"subjects": 0}, "subjects"),
        ({"seed": -1}, "seed"),
        ({"size": 8}, "size"),
        ({"contrasts": "t1n,t3"}, "t3"),
        ({"contrasts": ()}, "contrasts"),
        ({"kind": "abdominal_ct", "contrasts": "t1n"}, "t1n"),
        ({"kind": "hippocampus_mri", "label_maps": "."}, "label_maps"),
        ({"kind": "abdominal_ct", "label_maps": "."}, "label_maps"),
    ],
)
def test_bad_arguments_are_named(tmp_path, arguments, named):
    with pytest.raises(ValueError, match=named):
        synthesize(**{"kind": "brain_mri", "output_dir": tmp_path / "set", **arguments})


def test_distances_to_primitives():
    points = np.random.default_rng(0).uniform(-9, 9, (3, 1000)).astype(np.float32)
    radius = np.linalg.norm(points, axis=0)
    np.testing.assert_allclose(ellipsoid(points, (0, 0, 0), (5, 5, 5)), radius - 5, atol=1e-4)
    capsule = tube(points, ((-20, 0, 0, 2), (20, 0, 0, 2)))
    np.testing.assert_allclose(capsule, np.linalg.norm(points[1:], axis=0) - 2, atol=1e-4)
    lifted = np.array([[0], [4 * np.cos(0.5)], [4 * np.sin(0.5)]], np.float32)
    assert ellipsoid(lifted, (0, 0, 0), (1, 5, 1), tilt=np.degrees(0.5)) < 0 < ellipsoid(lifted, (0, 0, 0), (1, 5, 1))


def test_distances_to_a_trunk():
    levels = ((-50, 40, -20, 20), (50, 40, -20, 20), (90, 80, -40, 60))
    points = np.array([[0, 40, -40, 0, 0, 80], [20, 0, 0, -26, 60, 10], [0, 10, -90, 0, 120, 90]], np.float32)
    np.testing.assert_allclose(outline(points, levels), [0, 0, 0, 6, 0, 0], atol=0.02)
    np.testing.assert_allclose(angle_from_back(points, levels), [180, 90, 90, 0, 180, 90], atol=1e-3)
    assert outline(np.zeros((3, 1), np.float32), levels) < -5


def test_paths():
    nodes = ((10, 0, 0, 2), (20, 10, 0, 4), (30, 0, 5, 2))
    path = smooth_path(nodes, 2)
    assert np.linalg.norm(np.diff(np.array(path)[:, :3], axis=0), axis=1).max() < 4
    np.testing.assert_allclose([path[0], path[-1]], [nodes[0], nodes[-1]], atol=1e-6)
    assert mirrored(nodes)[1] == (-20, 10, 0, 4)


def test_a_tube_is_measured_near_it_only():
    axis = np.arange(-40, 41, 2, dtype=np.float32)
    canvas = Canvas(np.stack(np.meshgrid(axis, axis, axis, indexing="ij")), 2.0, {"air": np.zeros(1)})
    nodes = ((-30, -5, 0, 3), (0, 5, 0, 5), (20, 20, 10, 2))
    distance, box = canvas.tube(nodes, margin=4)
    exact = tube(canvas.inside(box), nodes)
    near = exact < 4
    assert near.sum() > 100
    np.testing.assert_array_equal(distance[near], exact[near])
    assert (distance[~near] >= 4).all() and (tube(canvas.points, nodes) < 0).sum() == (distance < 0).sum()
    assert canvas.tube(((200, 0, 0, 3), (220, 0, 0, 3))) is None


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ssl3d", "synthesize", "hippocampus_mri", str(tmp_path / "set"), "--subjects=1"])
    cli.main()
    assert str(tmp_path / "set" / "dataset.json") in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["ssl3d", "synthesize", "knee", str(tmp_path / "other")])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("ssl3d: kind must be one of")
