"""What is special about the bundle of S2DC."""

import csv
import json
import re

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles.conftest import EVALUATE, INFERENCE, TINY, TINY_INFERENCE, TRAIN, of_kind, workflow
from bundles.test_bad_input import refusal

from ssl3d.weights.passport import read

S2DC = of_kind("s2dc_pretraining")


@S2DC
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"crops": [1, 3, 1]}, r"cannot be cut into \(1, 3, 1\) equal crops along D, H, W"),
        ({"crops": [2, 1, 1]}, r"crop of \(8, 32, 16\) voxels .* coarsest stride is 16"),
        ({"network_def#queue_size": 6}, r"queue holds 6 keys, .* no multiple of the 4 items"),
        ({"cell": 5}, r"stride must be one of the backbone's encoder strides \(2, 4, 8, 16\), got 5"),
    ],
)
def test_settings_that_do_not_fit_stop_before_training(bundle, overrides, message):
    assert re.search(message, refusal(**overrides))


@S2DC
def test_the_teacher_is_published_beside_the_whole_method(bundle):
    workflow(TRAIN, "train", **TINY).run()
    demo = bundle / "output" / "demo"
    whole, published = (torch.load(demo / name, weights_only=True) for name in ("pretraining.pth", "model.pt"))
    assert all(torch.equal(value, whole[f"teacher.{name}"]) for name, value in published.items())
    assert not all(torch.equal(value, whole[f"student.{name}"]) for name, value in published.items())
    passport = (demo / "model.json").read_text()
    assert '"network": "TokenNet, teacher"' in passport and '"trained": "encoder"' in passport
    with (demo / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    parts = ("matching", "consistency", "contrast")
    assert all(sum(float(row[f"gradient_{part}"]) for part in parts) == pytest.approx(1) for row in rows)


@S2DC
def test_inference_writes_structures_and_tokens_in_the_geometry_of_the_scan(bundle, tmp_path):
    affine = np.array([[0, -1.0, 0, 30], [-1.0, 0, 0, 20], [0, 0, 1.0, -5], [0, 0, 0, 1]])  # axes P, L, S: not RAS
    scan = np.random.default_rng(0).normal(100, 20, (40, 30, 35)).astype(np.float32)
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image(scan, affine), tmp_path / "scans" / "patient.nii.gz")
    overrides = {**TINY_INFERENCE, "dataset_dir": str(tmp_path / "scans"), "structures": 4}
    workflow(INFERENCE, "inference", **overrides).run()
    output = bundle / "output" / "inference"
    structures = nib.load(output / "patient_structures.nii.gz")
    assert structures.shape == scan.shape and structures.get_data_dtype() == np.uint8
    np.testing.assert_allclose(structures.affine, affine, atol=1e-4)
    assert set(np.unique(structures.dataobj)) == {1, 2, 3, 4}
    tokens = nib.load(output / "patient_tokens.nii.gz")
    assert tokens.shape == (4, 6, 6, 128), "RAS, in whole cells of 8 mm of the padded scan: 32 x 48 x 48"
    np.testing.assert_allclose(np.linalg.norm(tokens.get_fdata(), axis=-1), 1, atol=1e-5)
    centre = [affine @ [*((np.array(scan.shape) - 1) / 2), 1], tokens.affine @ [1.5, 2.5, 2.5, 1]]
    np.testing.assert_allclose(centre[0], centre[1], atol=1.01, err_msg="padding is even to a voxel")
    assert (output / "patient_structures.png").read_bytes().startswith(b"\x89PNG")


@S2DC
def test_windows_give_the_tokens_that_a_whole_scan_gives(bundle):
    """Windows begin at whole cells, also at the end of a scan."""
    flow = workflow(INFERENCE, "inference", **TINY_INFERENCE, overlap=0.0)
    inferer, network = (flow.parser.get_parsed_content(id) for id in ("inferer", "network"))
    image = torch.rand(1, 1, 16, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, windows = inferer(image, network), [network(image[..., i : i + 16]) for i in (0, 16, 32)]
    torch.testing.assert_close(found, torch.cat(windows, dim=-1), atol=1e-5, rtol=1e-5)


@S2DC
def test_shipped_weights_find_partners_better_than_the_baselines(bundle, data_dir):
    """On the real validation cases: at least 0.3, ten times chance, and above an untrained network."""
    overrides = {"device": "cpu", "dataset_dir": str(data_dir / "msd_hippocampus"), "section": "validation"}
    workflow(EVALUATE, "train", **overrides, crops=[1, 3, 1]).run()
    with (bundle / "output" / "validation" / "tokens.csv").open() as file:
        rows = list(csv.DictReader(file))
    means = {
        name: np.mean([float(row["accuracy"]) for row in rows if row["method"] == name and row["accuracy"]])
        for name in ("S2DC, tokens", "untrained, encoder map", "chance")
    }
    assert means["S2DC, tokens"] > max(0.3, 10 * means["chance"], means["untrained, encoder map"])


@S2DC
@pytest.mark.parametrize("scans", ["ct", "pet"])
def test_settings_for_other_scans_train(bundle, scans):
    coarse = {"pixdim": [12.0, 12.0, 12.0]} if scans == "ct" else {}
    flow = workflow([TRAIN, f"configs/{scans}.json"], "train", **TINY, **coarse, crops=[1, 2, 1])
    assert flow.check_properties() == []
    flow.run()
    intensity = {"ct": {"kind": "window", "lower": -175, "upper": 250}, "pet": {"kind": "z-score"}}
    assert read(bundle / "output" / "demo" / "model.json").intensity == intensity[scans]


@S2DC
def test_inference_on_ct_has_the_intensities_of_the_training_on_ct(bundle):
    training = workflow([TRAIN, "configs/ct.json"], "train").parser
    inference = workflow([INFERENCE, "configs/inference_ct.json"], "inference").parser
    assert training.get("intensity") == inference.get("intensity")
    assert all(training.get(key) == inference.get(key) for key in ("roi_size", "pixdim"))
    assert training.get("cases#kind") == inference.get("dataset#data#kind")


@S2DC
def test_the_matching_accuracy_chooses_the_weights(bundle):
    metrics = json.loads((bundle / TRAIN).read_text())["validate"]["key_metric"]
    assert next(iter(metrics)) == "val_accuracy", "MONAI takes the first one"
