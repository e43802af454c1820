"""What is special about the masked autoencoder's bundle."""

import csv

import nibabel as nib
import numpy as np
from bundles.conftest import EVALUATE, INFERENCE, TINY_INFERENCE, of_kind, workflow

MAE = of_kind("mae_pretraining")


@MAE
def test_inference_fills_in_hidden_blocks_in_the_geometry_of_the_scan(bundle, tmp_path):
    affine = np.array([[0, -1.0, 0, 30], [-1.0, 0, 0, 20], [0, 0, 1.0, -5], [0, 0, 0, 1]])  # axes P, L, S: not RAS
    scan = np.random.default_rng(0).normal(100, 20, (40, 30, 35)).astype(np.float32)
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image(scan, affine), tmp_path / "scans" / "patient.nii.gz")
    workflow(INFERENCE, "inference", **TINY_INFERENCE, dataset_dir=str(tmp_path / "scans")).run()
    masked, filled = (
        nib.load(bundle / "output" / "inference" / f"patient_{what}.nii.gz") for what in ("masked", "filled")
    )
    assert masked.shape == filled.shape == scan.shape
    np.testing.assert_allclose(filled.affine, affine, atol=1e-4)
    low, high = np.percentile(scan, (1, 99))
    visible = masked.get_fdata() > 0
    assert 0.3 < visible.mean() < 0.45, "40 % of the blocks"
    np.testing.assert_allclose(
        masked.get_fdata()[visible], ((scan - low) / (high - low)).clip(0, 1)[visible], atol=0.02
    )
    np.testing.assert_allclose(filled.get_fdata()[visible], masked.get_fdata()[visible], atol=0.02)
    assert np.abs(filled.get_fdata()[~visible]).mean() > 0.05, "the others are filled in"


@MAE
def test_shipped_weights_fill_in_better_than_the_mean(bundle, data_dir):
    """On the real validation cases, with the same masks, the error is far below the variance within a volume."""
    overrides = {"device": "cpu", "dataset_dir": str(data_dir / "msd_hippocampus"), "section": "validation"}
    flow = workflow(EVALUATE, "train", **overrides)
    flow.run()
    with (bundle / "output" / "validation" / "metrics.csv").open() as file:
        (value,) = [float(row[1]) for row in csv.reader(file) if row[0] == "val_loss"]
    assert value < 0.5 * np.mean(
        [item["image"].var().item() for item in flow.parser.get_parsed_content("validate::dataset")]
    )
