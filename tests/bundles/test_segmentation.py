"""What is special about the segmentation bundles."""

import nibabel as nib
import numpy as np
from bundles.conftest import BUNDLES, EVALUATE, INFERENCE, TINY, TINY_INFERENCE, TRAIN, of_kind, workflow

from ssl3d.weights import passport

SEGMENTATION = of_kind("_segmentation")


@SEGMENTATION
def test_evaluate_writes_the_scores_of_each_case(bundle):
    flow = workflow(EVALUATE, "train", **TINY)
    flow.run()
    rows = (bundle / "output" / "test" / "val_mean_dice_raw.csv").read_text().splitlines()
    assert len(rows) == 3  # eight subjects leave two for the test
    assert 0 <= float(rows[1].split(",")[-1]) <= 1


@SEGMENTATION
def test_inference_saves_in_the_geometry_of_the_scan(bundle, tmp_path):
    affine = np.array([[0, -1.5, 0, 30], [-1.0, 0, 0, 20], [0, 0, 1.25, -5], [0, 0, 0, 1]])  # axes P, L, S: not RAS
    scan = np.random.default_rng(0).normal(100, 20, (40, 30, 35)).astype(np.float32)
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image(scan, affine), tmp_path / "scans" / "patient.nii.gz")
    workflow(INFERENCE, "inference", **TINY_INFERENCE, dataset_dir=str(tmp_path / "scans")).run()
    result = nib.load(bundle / "output" / "inference" / "patient_seg.nii.gz")
    assert result.shape == scan.shape
    np.testing.assert_allclose(result.affine, affine, atol=1e-4)
    assert result.get_data_dtype() == np.uint8


@SEGMENTATION
def test_shipped_weights_find_something_on_real_data(bundle, data_dir):
    """The shipped model on the first real validation cases: far from chance, below any claim."""
    overrides = {"device": "cpu", "dataset_dir": str(data_dir / "msd_hippocampus"), "section": "validation"}
    flow = workflow(EVALUATE, "train", **overrides)
    data = flow.parser.get_parsed_content("validate::dataset::data")
    flow = workflow(EVALUATE, "train", **overrides, **{"validate#dataset#data": list(data)[:4]})
    flow.run()
    assert flow.parser.get_parsed_content("validate::evaluator").state.metrics["val_mean_dice"] > 0.75


@SEGMENTATION
def test_weights_hand_corpus_and_licence_of_their_start_on(bundle):
    for name in ("model.pt", "model.json"):
        target = bundle.parent / "gvsl_pretraining" / "models" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((BUNDLES / "gvsl_pretraining" / "models" / name).read_bytes())
    start = passport.read(target)
    workflow(TRAIN, "train", **TINY, pretrained="gvsl_pretraining").run()
    end = passport.read(bundle / "output" / "demo" / "model.json")
    assert end.method == "supervised, from weights of gvsl"
    assert end.corpus[0]["count"] > 0 and end.corpus[0] != start.corpus[0]
    assert end.corpus[1:] == start.corpus
    assert start.licence in end.licence
    assert end.synthetic
