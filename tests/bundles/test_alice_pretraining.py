"""What is special about Alice's bundle: pairs, options, what is saved, features and previews, retrieval."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles.conftest import BUNDLES, EVALUATE, INFERENCE, TINY, TRAIN, of_kind, workflow
from monai.bundle import ConfigParser

from ssl3d.weights import load
from ssl3d.weights.passport import read

ALICE = of_kind("alice_pretraining")


def history(bundle) -> list[dict[str, float]]:
    with (bundle / "output" / "demo" / "history.csv").open(newline="") as stream:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]


@ALICE
def test_the_matcher_is_a_whole_landmark_embedding(bundle):
    """Of any version: weights of Alice keep the matcher that found their pairs."""
    config = ConfigParser(json.loads((bundle / "configs" / "train.json").read_text()))
    config["bundle_root"] = str(bundle)
    network = config.get_parsed_content("matcher#network", instantiate=True)
    report = load(network, bundle / "models" / "matcher.pth", part="network", min_match=1.0)
    assert report.fraction == 1 and not report.missing and not report.unexpected
    ours, source = (
        read(folder / "models" / f"{name}.json")
        for folder, name in ((bundle, "matcher"), (BUNDLES / "anatomical_landmark_embedding", "model"))
    )
    same = ("method", "network", "backbone_arguments", "corpus", "spacing", "orientation", "intensity", "licence")
    assert [getattr(ours, field) for field in same] == [getattr(source, field) for field in same]


@ALICE
def test_parts_pairs_and_signs_of_collapse_are_in_the_history(bundle):
    workflow(TRAIN, "train", **TINY).run()
    names = {
        "inter",
        "intra",
        "reconstruction",
        "pair_score",
        "fallback",
        "agreement",
        "target_entropy",
        "feature_rank",
    }
    for row in history(bundle):
        assert names <= set(row) and np.isfinite(list(row.values())).all()
        assert 0.7 <= row["pair_score"] <= 1
    kept = torch.load(bundle / "output" / "demo" / "pretraining.pth", weights_only=True)
    for part in (
        "student.backbone.",
        "student.projection.",
        "student.restoration.",
        "teacher.",
        "casa.",
        "inter.center",
    ):
        assert any(name.startswith(part) for name in kept), part
    used = torch.load(bundle / "output" / "demo" / "model.pt", weights_only=True)
    assert {name.split(".")[0] for name in used} == {"backbone", "restoration"}


@ALICE
def test_a_threshold_that_nothing_reaches_leaves_pairs_of_one_volume(bundle, caplog):
    workflow(TRAIN, "train", **TINY, pair_threshold=1.0).run()
    assert all(row["fallback"] == 1 for row in history(bundle))
    assert "both crops are of the first" in caplog.text and "the threshold is 1" in caplog.text


@ALICE
def test_the_options_of_the_publication_train(bundle):
    options = {
        "network_def#target_source": "encoder",
        "network_def#casa_ema#value": "true",
        "views#mask#shape": "tubes",
    }
    flow = workflow(TRAIN, "train", **TINY, **options)
    flow.run()
    method = flow.parser.get_parsed_content("network_def")
    assert method.casa_ema and method.target_source == "encoder" and hasattr(method.teacher, "casa")


@ALICE
def test_pairs_by_known_points(bundle, tmp_path):
    flow = workflow(TRAIN, "train", **TINY)
    rows = ["scan,name,x,y,z,score"]
    for item in flow.parser.get_parsed_content("cases")(section="all"):
        for name, place in json.loads(Path(item["landmarks"]).read_text()).items():
            rows.append(",".join([item["name"], name, *map(str, place["world"]), "0.9"]))
    (tmp_path / "points.csv").write_text("\n".join(rows))
    matcher = {"_target_": "scripts.matching.PointMatcher", "points": str(tmp_path / "points.csv")}
    workflow(TRAIN, "train", **TINY, matcher=matcher).run()
    for row in history(bundle):
        assert row["fallback"] == 0 and row["pair_score"] == pytest.approx(0.9)


@ALICE
def test_features_and_filled_images_in_the_geometry_of_the_scan(bundle, tmp_path, caplog):
    caplog.set_level("INFO")
    affine = np.array([[0, -12.0, 0, 30], [-12.0, 0, 0, 20], [0, 0, 12.0, -5], [0, 0, 0, 1]])  # axes P, L, S: not RAS
    scan = np.random.default_rng(0).normal(50, 40, (40, 30, 35)).astype(np.float32)
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image(scan, affine), tmp_path / "scans" / "patient.nii.gz")
    workflow(INFERENCE, "inference", device="cpu", dataset_dir=str(tmp_path / "scans")).run()
    folder = bundle / "output" / "inference"
    masked, filled = (nib.load(folder / f"patient_{what}.nii.gz") for what in ("masked", "filled"))
    for image in (masked, filled):
        assert image.shape == scan.shape
        np.testing.assert_allclose(image.affine, affine, atol=1e-4)
    hidden = masked.get_fdata() == 0
    assert 0.7 < hidden.mean() < 0.8
    np.testing.assert_allclose(filled.get_fdata()[~hidden], masked.get_fdata()[~hidden], atol=1e-5)
    assert "Features of 1 scan(s): NAME_features.npz" in caplog.text
    with np.load(folder / "patient_features.npz", allow_pickle=False) as features:
        assert features["dense"].shape == (32, 8, 10, 9) and features["whole"].shape == (96,)
        np.testing.assert_allclose(np.linalg.norm(features["dense"].astype(float), axis=0), 1, atol=2e-3)
        assert np.linalg.norm(features["whole"]) == pytest.approx(1, abs=1e-5)
        corner = nib.affines.apply_affine(features["affine"], (0, 0, 0))
        spacing = np.linalg.norm(features["affine"][:3, :3], axis=0)
    np.testing.assert_allclose(spacing, 48, rtol=1e-5)
    lowest = nib.affines.apply_affine(affine, [(0, 0, 0), (39, 29, 34)]).min(axis=0)
    np.testing.assert_allclose(corner, lowest + 1.5 * 12, atol=1e-3)


@ALICE
def test_evaluation_of_reconstruction_and_retrieval(bundle):
    flow = workflow(EVALUATE, "train", **TINY)
    flow.run()
    metrics = flow.parser.get_parsed_content("validate::evaluator").state.metrics
    assert 0 < metrics["val_reconstruction"] < 1 and np.isfinite(metrics["val_loss"])
    with (bundle / "output" / "test" / "retrieval.csv").open(newline="") as stream:
        rows = {row["features"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {"pre-trained", "random weights", "intensities"}
    assert all(int(row["queries"]) == 48 for row in rows.values())
    assert float(rows["intensities"]["first"]) > 5 * float(rows["intensities"]["chance"])


@of_kind(("alice_pretraining", "_landmark_embedding"))
def test_settings_for_mr_train_and_are_those_of_its_inference(bundle):
    flow = workflow([TRAIN, "configs/mr.json"], "train", **TINY)
    assert flow.check_properties() == []
    flow.run()
    passport = read(bundle / "output" / "demo" / "model.json")
    assert passport.intensity == {"kind": "percentiles", "lower": 1, "upper": 99} and passport.spacing == [
        1.0,
        1.0,
        1.0,
    ]
    inference = workflow([INFERENCE, "configs/inference_mr.json"], "inference").parser
    assert flow.parser.get("intensity") == inference.get("intensity")
    assert flow.parser.get("pixdim") == inference.get("pixdim")
    assert flow.parser.get("cases#kind") == inference.get("dataset#data#kind")
