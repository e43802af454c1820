"""Registration by the GVSL bundle: inference and evaluation, with weights whose displacement is known."""

import csv
import json
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles.conftest import EVALUATE, INFERENCE, copy_bundle, of_kind, workflow

from ssl3d.networks import RegistrationNet, UNet3d
from ssl3d.weights import Passport, save

MOVE = (2.0, -1.0, 1.0)  # voxels: what the weights find in any pair
FEW = {"device": "cpu", "dataset#data#synthesis#subjects": 8, "pairs": 1}
TEST = {"device": "cpu", "cases#synthesis#subjects": 8}  # two of them for the test
PASSPORT = {
    "method": "none",
    "backbone": "UNet3d",
    "part": "network",
    "network": "RegistrationNet",
    "corpus": [],
    "synthetic": True,
    "spacing": [1.0, 1.0, 1.0],
    "orientation": "RAS",
    "intensity": {"kind": "percentiles", "lower": 1, "upper": 99},
    "roi_size": [32, 48, 32],
    "steps": 0,
    "seed": 0,
    "ssl3d_version": "0",
    "licence": "none",
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Random features under heads that always find ``MOVE``."""
    network = RegistrationNet(UNet3d())
    for layer in (network.head.flow.flow, *(getattr(network.head.affine, n) for n in ("rotation", "scale", "shear"))):
        torch.nn.init.zeros_(layer.weight)
    translation = network.head.affine.translation
    torch.nn.init.zeros_(translation.weight)
    with torch.no_grad():
        translation.bias.copy_(torch.tensor(MOVE))
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save(network, path, Passport(backbone_arguments=network.backbone.arguments, **PASSPORT))
    return path


@pytest.fixture
def registration(tmp_path, monkeypatch, forget_scripts, weights) -> Path:
    """Root of a copy of the bundle with these weights, as working directory."""
    root = copy_bundle("gvsl_pretraining", tmp_path)
    for name in ("model.pt", "model.json"):
        (root / "models").mkdir(exist_ok=True)
        (root / "models" / name).write_bytes(weights.with_name(name).read_bytes())
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(root)
    return root


@pytest.fixture
def scans(tmp_path, write_nifti) -> dict[str, str]:
    """Fixed and moving scan of one texture, 1 mm, of which the moving one lies ``MOVE`` further; with labels."""
    rng = np.random.default_rng(0)
    whole = np.kron(rng.uniform(0, 1000, (10, 10, 10)), np.ones((5, 5, 5))) + rng.uniform(0, 300, (50, 50, 50))
    label = np.zeros(whole.shape, np.uint8)
    label[20:30, 18:30, 20:30], label[20:30, 18:30, 30:36] = 1, 2
    cut = {"fixed": (slice(8, 40), slice(8, 44), slice(8, 42)), "moving": (slice(6, 38), slice(9, 45), slice(7, 41))}
    files = {}
    for role, part in cut.items():
        files[role] = str(write_nifti(tmp_path / "scans" / f"{role}.nii.gz", whole[part].astype(np.float32)))
        files[f"{role}_label"] = str(write_nifti(tmp_path / "scans" / f"{role}_label.nii.gz", label[part]))
    return files


def run(registration: Path, **overrides) -> Path:
    workflow(INFERENCE, "inference", device="cpu", **overrides).run()
    (folder,) = (registration / "output" / "inference").iterdir()
    return folder


def cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


@pytest.mark.parametrize(
    ("config", "workflow_type", "overrides"),
    [(EVALUATE, "train", TEST), (INFERENCE, "inference", FEW)],
    ids=["evaluate", "inference"],
)
def test_properties(registration, config, workflow_type, overrides):
    assert workflow(config, workflow_type, **overrides).check_properties() == []


def test_without_data_synthetic_pairs_are_registered_and_named_so(registration, caplog):
    caplog.set_level(logging.INFO)
    workflow(INFERENCE, "inference", **FEW).run()
    (folder,) = (registration / "output" / "inference").iterdir()
    files = {"affine.txt", "field.nii.gz", "picture.png", "warped.nii.gz", "warped_label.nii.gz"}
    assert {file.name for file in folder.iterdir()} == files
    assert "SYNTHETIC" in caplog.text
    assert f"{folder.name}: Dice" in caplog.text
    assert str(registration / "output" / "inference") in caplog.records[-1].message


def test_two_files_are_registered(registration, scans, caplog):
    """The weights find exactly what is between the two scans: everything that is saved must show it."""
    caplog.set_level(logging.INFO)
    folder = run(registration, **scans)
    assert folder.name == "moving_onto_fixed"
    assert "→ 1.000" in caplog.text
    inner = (slice(3, -3),) * 3
    fixed, warped = nib.load(scans["fixed"]), nib.load(folder / "warped.nii.gz")
    np.testing.assert_allclose(warped.get_fdata()[inner], fixed.get_fdata()[inner], rtol=1e-3)
    label = nib.load(folder / "warped_label.nii.gz").get_fdata()
    np.testing.assert_array_equal(label, nib.load(scans["fixed_label"]).get_fdata())
    np.testing.assert_allclose(nib.load(folder / "field.nii.gz").get_fdata() - MOVE, 0, atol=1e-3)
    np.testing.assert_allclose(np.loadtxt(folder / "affine.txt")[:3], np.c_[np.eye(3), MOVE], atol=1e-3)


@pytest.mark.parametrize("align", ["centres", "world"])
def test_scans_of_other_orientation_and_spacing(registration, scans, tmp_path, write_nifti, caplog, align):
    """The fixed scan turned to P, I, R and thinned to 2 mm along one axis: the same world, so the same anatomy."""
    caplog.set_level(logging.INFO)
    fixed, label = nib.load(scans["fixed"]), nib.load(scans["fixed_label"])
    turn = nib.orientations.ornt_transform(nib.io_orientation(fixed.affine), nib.orientations.axcodes2ornt("PIR"))
    turned, turned_label = (image.as_reoriented(turn).slicer[:, 1::2] for image in (fixed, label))
    files = {"fixed": turned, "fixed_label": turned_label}
    for role, image in files.items():
        write_nifti(tmp_path / "turned" / f"{role}.nii.gz", image.get_fdata().astype(np.float32), image.affine)
        scans[role] = str(tmp_path / "turned" / f"{role}.nii.gz")
    folder = run(registration, **scans, align=align)
    warped, field = nib.load(folder / "warped.nii.gz"), nib.load(folder / "field.nii.gz")
    assert warped.shape == turned.shape == field.shape[:3]
    np.testing.assert_allclose(warped.affine, turned.affine)
    assert "differ in orientation and spacing and size: registered in world coordinates (mm)" in caplog.text
    moved = np.array(MOVE)
    if align == "centres":  # the thinned scan has lost a plane at one end: its centre lies half a millimetre off
        centre = nib.affines.apply_affine(turned.affine, (np.array(turned.shape) - 1) / 2)
        moved = moved + np.array([15.5, 17.5, 16.5]) - centre
    np.testing.assert_allclose(field.get_fdata(), np.broadcast_to(moved, field.shape), atol=0.02)
    if align == "world":
        inner = (slice(3, -3), slice(2, -2), slice(3, -3))
        np.testing.assert_allclose(warped.get_fdata()[inner], turned.get_fdata()[inner], rtol=1e-3)


def test_a_scan_onto_itself(registration, scans):
    folder = run(registration, fixed=scans["fixed"], moving=scans["fixed"])
    assert folder.name == "fixed_onto_fixed"
    np.testing.assert_allclose(nib.load(folder / "field.nii.gz").get_fdata() - MOVE, 0, atol=1e-3)


def test_volumes_that_are_almost_flat_give_finite_results(registration, scans, tmp_path, write_nifti):
    """One bright voxel passes the checks, and both percentiles of the intensities are then equal."""
    flat = np.zeros((20, 24, 22), np.float32)
    flat[3, 4, 5] = 1
    scans["moving"] = str(write_nifti(tmp_path / "flat" / "moving.nii.gz", flat))
    scans["fixed"] = str(write_nifti(tmp_path / "flat" / "fixed.nii.gz", flat[::-1].copy()))
    folder = run(registration, fixed=scans["fixed"], moving=scans["moving"])
    for name in ("warped", "field"):
        assert np.isfinite(nib.load(folder / f"{name}.nii.gz").get_fdata()).all()
    assert np.isfinite(np.loadtxt(folder / "affine.txt")).all()


def test_what_is_wrong_with_a_pair_is_said_before_the_run(registration, scans, tmp_path, write_nifti, image_array):
    bad = tmp_path / "bad"
    files = {
        "NaN": write_nifti(bad / "nan.nii.gz", np.full((6, 7, 8), np.nan, np.float32)),
        "2 channels": write_nifti(bad / "channels.nii.gz", image_array(shape=(6, 7, 8, 2))),
        "constant image": write_nifti(bad / "constant.nii.gz", np.ones((6, 7, 8), np.float32)),
        "missing file": bad / "absent.nii.gz",
    }
    for words, file in files.items():
        message = refusal(**scans | {"moving": str(file)})
        assert words in message
        assert file.name in message
    assert "image and label differ" in refusal(**scans | {"moving_label": str(files["NaN"])})
    message = refusal(fixed=scans["fixed"])
    assert scans["fixed"] in message
    assert "not 'moving'" in message
    (bad / "pairs.json").write_text(json.dumps({"test": [{"moving": scans["moving"]}]}))
    assert "not 'fixed'" in refusal(datalist=str(bad / "pairs.json"))
    assert "align must be one of centres, world" in refusal(**scans, align="center")
    assert "did you mean pairs" in refusal(pair=3)


def refusal(**overrides) -> str:
    with pytest.raises(RuntimeError) as caught:
        workflow(INFERENCE, "inference", device="cpu", **overrides).run()
    assert type(caught.value.__cause__).__name__ == "PreflightError"
    return str(caught.value.__cause__)


def test_scans_without_a_common_world_are_told_to_align_by_centres(registration, scans, write_nifti, tmp_path):
    affine = np.eye(4)
    affine[:3, 3] = 500
    far = write_nifti(
        tmp_path / "far" / "moving.nii.gz", nib.load(scans["moving"]).get_fdata().astype(np.float32), affine
    )
    with pytest.raises(RuntimeError) as caught:
        workflow(INFERENCE, "inference", device="cpu", fixed=scans["fixed"], moving=str(far), align="world").run()
    message = cause(caught.value)
    assert str(far) in message
    assert "align=centres" in message


def test_evaluation_of_synthetic_pairs(registration):
    flow = workflow(EVALUATE, "train", **TEST)
    flow.run()
    folder = registration / "output" / "test"
    assert {file.name for file in folder.iterdir()} == {"registration.csv", "registration.md", "median_pair.png"}
    with (folder / "registration.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(row["pair"] for row in rows) == [
        "hippocampus_003_onto_hippocampus_007",
        "hippocampus_007_onto_hippocampus_003",
    ]
    mean = np.mean([float(row["dice_after"]) for row in rows])
    metrics = flow.parser.get_parsed_content("validate::evaluator").state.metrics
    assert metrics["val_mean_dice"] == pytest.approx(mean)
    assert "Mechanics only" in (folder / "registration.md").read_text()


def test_evaluation_of_a_list_of_pairs(registration, scans, tmp_path):
    entries = [scans, {**scans, "fixed": scans["moving"], "fixed_label": scans["moving_label"]}]
    (tmp_path / "scans" / "dataset.json").write_text(json.dumps({"name": "two", "test": entries}))
    workflow(EVALUATE, "train", device="cpu", dataset_dir=str(tmp_path / "scans"), output_dir="results").run()
    with (registration / "results" / "test" / "registration.csv").open() as stream:
        rows = {row["pair"]: row for row in csv.DictReader(stream)}
    found = rows["moving_onto_fixed"]
    assert float(found["dice_after"]) == 1
    assert float(found["tre_before_mm"]) == pytest.approx(np.linalg.norm(MOVE))
    assert float(found["tre_after_mm"]) == pytest.approx(0, abs=1e-3)
    same = rows["moving_onto_moving"]
    assert float(same["dice_before"]) == 1
    assert float(same["tre_after_mm"]) == pytest.approx(np.linalg.norm(MOVE), rel=1e-3)


def test_real_pairs_overlap_by_half_where_their_centres_meet(registration, data_dir):
    """The number before any registration, which registration must exceed."""
    overrides = {"device": "cpu", "dataset_dir": str(data_dir / "msd_hippocampus"), "section": "validation", "pairs": 6}
    flow = workflow(EVALUATE, "train", **overrides)
    flow.run()
    with (registration / "output" / "validation" / "registration.csv").open() as stream:
        before = [float(row["dice_before"]) for row in csv.DictReader(stream)]
    assert 0.35 < np.mean(before) < 0.75


@of_kind("gvsl_pretraining")
def test_shipped_weights_register_real_scans(bundle, data_dir):
    """Far from chance, below any claim."""
    overrides = {"device": "cpu", "dataset_dir": str(data_dir / "msd_hippocampus"), "section": "validation", "pairs": 8}
    workflow(EVALUATE, "train", **overrides).run()
    with (bundle / "output" / "validation" / "registration.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    before, after = (np.mean([float(row[key]) for row in rows]) for key in ("dice_before", "dice_after"))
    assert len(rows) == 8
    assert after > before + 0.05
    assert np.mean([float(row["folding_percent"]) for row in rows]) < 2
