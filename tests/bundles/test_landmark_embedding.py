"""What is special about the landmark bundle: points of a template found in scans, errors beside baselines."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest
from bundles.conftest import EVALUATE, INFERENCE, TRAIN, of_kind, workflow

from ssl3d.tasks.point_files import read_points, write_points

LANDMARKS = of_kind("_landmark_embedding")
FEW = {"device": "cpu", "dataset#data#synthesis#subjects": 3}
EIGHT = {"device": "cpu", "cases#synthesis#subjects": 8}


def run(**overrides):
    workflow(INFERENCE, "inference", device="cpu", **overrides).run()


def refusal(**overrides) -> str:
    with pytest.raises(RuntimeError) as caught:
        run(**overrides)
    error = caught.value
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


@pytest.fixture
def scans(tmp_path, write_nifti):
    """A body of one texture as a file of RAS+, and in ``others`` the same turned, thinned and moved; with points."""
    rng = np.random.default_rng(0)
    whole = np.kron(rng.uniform(-100, 200, (9, 10, 8)), np.ones((5, 4, 4))).astype(np.float32)  # (45, 40, 32)
    whole[:3] = whole[-3:] = -1000
    affine = np.diag([12.0, 12.0, 12.0, 1])
    affine[:3, 3] = -250, -300, 40
    image = nib.Nifti1Image(whole, affine)
    write_nifti(tmp_path / "template.nii.gz", whole, affine)
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt("PIR"))
    turned = image.as_reoriented(turn)
    moved = turned.affine.copy()
    moved[:3, 3] += (100, -40, 1000)
    write_nifti(tmp_path / "others" / "same.nii.gz", whole, affine)
    write_nifti(tmp_path / "others" / "turned.nii.gz", turned.get_fdata().astype(np.float32), moved)
    voxels = {"a": (12, 10, 8), "b": (30, 25, 20), "c": (20, 30, 12)}
    world = {name: tuple(nib.affines.apply_affine(affine, place)) for name, place in voxels.items()}
    for ending in ("mrk.json", "csv", "json"):
        write_points(tmp_path / f"points.{ending}", world)
    write_points(tmp_path / "voxels.csv", voxels, coordinates="voxel")
    return tmp_path, world, voxels


@LANDMARKS
@pytest.mark.parametrize("ending", ["mrk.json", "csv", "json"])
def test_points_are_found_in_each_scan_s_own_coordinates(bundle, scans, ending):
    folder, world, _ = scans
    run(
        template=str(folder / "template.nii.gz"),
        points=str(folder / f"points.{ending}"),
        dataset_dir=str(folder / "others"),
    )
    out = bundle / "output" / "inference"
    for name, shift in (("same", (0, 0, 0)), ("turned", (100, -40, 1000))):
        found = read_points(out / f"{name}_points.{ending}")
        assert list(found) == list(world)
        for point, place in found.items():
            assert np.linalg.norm(np.array(place) - np.array(world[point]) - shift) < 12, (name, point)
    with (out / "points.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 and all(float(row["score"]) > 0.95 and row["kept"] == "yes" for row in rows)


@LANDMARKS
def test_voxels_are_those_of_each_file(bundle, scans):
    folder, _, voxels = scans
    files = {"template": str(folder / "template.nii.gz"), "points": str(folder / "voxels.csv")}
    run(**files, coordinates="voxel", dataset_dir=str(folder / "others"))
    same, turned = (
        read_points(bundle / "output" / "inference" / f"{name}_points.csv", "voxel") for name in ("same", "turned")
    )
    for point, (i, j, k) in voxels.items():
        np.testing.assert_allclose(same[point], (i, j, k), atol=1)
        np.testing.assert_allclose(turned[point], (39 - j, 31 - k, i), atol=1)
    assert "in mm" in refusal(**files, coordinates="voxel", format="mrk.json", dataset_dir=str(folder / "others"))


@LANDMARKS
def test_a_threshold_that_nothing_reaches_writes_no_points_and_says_so(bundle, scans, caplog):
    folder, _, _ = scans
    files = {"template": str(folder / "template.nii.gz"), "points": str(folder / "points.csv")}
    run(**files, dataset_dir=str(folder / "others"), min_score=1.0)
    assert [path.name for path in (bundle / "output" / "inference").iterdir()] == ["points.csv"]
    assert "turned: no point reaches the score 1, the best has 0.9" in caplog.text


@LANDMARKS
def test_what_is_wrong_with_a_template_is_said_before_the_search(bundle, scans, write_nifti, caplog):
    folder, world, _ = scans
    files = {"template": str(folder / "template.nii.gz"), "points": str(folder / "points.csv")}
    data = {"dataset_dir": str(folder / "others")}
    assert "--template is given and --points is not" in refusal(template=files["template"], **data)
    write_points(folder / "far.csv", {**world, "far away": (9999, 0, 0)})
    message = refusal(**files | {"points": str(folder / "far.csv")}, **data)
    assert "1 of 4 points" in message and "'far away' at 9999.0" in message and "template.nii.gz" in message
    run(**files | {"points": str(folder / "far.csv")}, **data, skip_bad="true")
    assert "Left out: far away" in caplog.text
    assert list(read_points(bundle / "output" / "inference" / "same_points.csv")) == list(world)
    huge = write_nifti(
        folder / "huge.nii.gz", np.eye(100, dtype=np.int16)[None].repeat(100, 0), np.diag([98, 98, 98, 1])
    )
    assert "huge.nii.gz" in (message := refusal(**files | {"template": str(huge)}, **data))
    assert "too large to prepare" in message
    air = write_nifti(
        folder / "air.nii.gz", np.random.default_rng(0).uniform(-1000, -900, (20, 20, 20)).astype(np.float32)
    )
    write_points(folder / "air.csv", {"a": (5, 5, 5)})
    message = refusal(template=str(air), points=str(folder / "air.csv"), **data)
    assert "air.nii.gz" in message and "nothing to find" in message
    assert "no case with points" in refusal(**data)
    assert "coordinates must be one of world, voxel" in refusal(**files, **data, coordinates="mm")


@LANDMARKS
def test_an_empty_scan_stops_the_run_or_is_left_out(bundle, scans, write_nifti, caplog):
    folder, _, _ = scans
    files = {"template": str(folder / "template.nii.gz"), "points": str(folder / "points.csv")}
    write_nifti(
        folder / "others" / "air.nii.gz", np.random.default_rng(0).uniform(-1000, -900, (9, 9, 9)).astype(np.float32)
    )
    message = refusal(**files, dataset_dir=str(folder / "others"))
    assert "air.nii.gz" in message and "skip_bad" in message
    run(**files, dataset_dir=str(folder / "others"), skip_bad="true")
    assert "Left out" in caplog.text
    names = {path.name for path in (bundle / "output" / "inference").iterdir()}
    assert names == {"points.csv", "same_points.csv", "turned_points.csv", "matches.png"}


@LANDMARKS
def test_without_data_the_first_synthetic_case_is_the_template(bundle, caplog):
    caplog.set_level("INFO")
    workflow(INFERENCE, "inference", **FEW).run()
    found = read_points(bundle / "output" / "inference" / "abdomen_000_points.mrk.json")
    assert len(found) == 39
    assert "searching for the points of abdomen_000" in caplog.text


@LANDMARKS
def test_evaluation_beside_the_baselines(bundle):
    flow = workflow(EVALUATE, "train", **EIGHT, templates=2)
    flow.run()
    folder = bundle / "output" / "test"
    assert {file.name for file in folder.iterdir()} == {"landmarks.csv", "landmarks.md", "landmarks.png", "matches.png"}
    with (folder / "landmarks.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    methods = {row["method"] for row in rows}
    assert len(methods) == 3 and {row["scan"] for row in rows} == {"abdomen_003", "abdomen_007"}
    assert {row["template"] for row in rows} == {"abdomen_000", "abdomen_001"}
    errors = {m: np.array([float(row["error_mm"]) for row in rows if row["method"] == m]) for m in methods}
    metric = flow.parser.get_parsed_content("validate::evaluator").state.metrics["val_landmark_error"]
    assert metric == pytest.approx(errors["embedding"].mean(), rel=0.02)
    assert errors["affine registration"].mean() < errors["position in the body's box"].mean() < 60
    text = (folder / "landmarks.md").read_text()
    assert "Mechanics only" in text and f"| embedding | {errors['embedding'].mean():.1f} |" in text


@LANDMARKS
def test_evaluation_asks_for_landmarks_by_name(bundle, scans):
    folder, _, _ = scans
    files = {"training": "others/same", "validation": "others/turned", "test": "template"}
    content = {"name": "three", **{part: [{"image": f"{file}.nii.gz"}] for part, file in files.items()}}
    (folder / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(RuntimeError) as caught:
        workflow(EVALUATE, "train", device="cpu", dataset_dir=str(folder)).run()
    assert "same has no landmarks" in str(caught.value.__cause__)


@LANDMARKS
def test_the_published_settings(bundle):
    parser = workflow([TRAIN, "configs/paper.json"], "train").parser
    assert parser["roi_size"] == [96, 96, 32] and parser["pixdim"] == [2.0, 2.0, 2.0]
    loss = parser.get_parsed_content("network_def#loss")
    assert (loss.temperature, loss.candidates, loss.anchors, loss.negatives) == (0.5, 2000, 100, 500)
