"""What is special about the segmentation bundles."""

import csv
import json
import shutil
import warnings

import nibabel as nib
import numpy as np
import pytest
from bundles.conftest import BUNDLES, EVALUATE, INFERENCE, TINY, TINY_INFERENCE, TRAIN, of_kind, workflow

from ssl3d.data import as_names, label_map, same_names
from ssl3d.engines.class_channels import describe_classes
from ssl3d.imaging.organs import ORGANS
from ssl3d.synthetic import synthesize
from ssl3d.weights import passport

SEGMENTATION = of_kind("_segmentation")


@SEGMENTATION
def test_evaluate_writes_the_scores_of_each_case(bundle):
    flow = workflow(EVALUATE, "train", **TINY)
    flow.run()
    rows = (bundle / "output" / "test" / "test_mean_dice_raw.csv").read_text().splitlines()
    assert len(rows) == 3  # eight subjects leave two for the test
    assert 0 <= float(rows[1].split(",")[-1]) <= 1


@SEGMENTATION
def test_inference_saves_in_the_geometry_of_the_scan(bundle, tmp_path):
    affine = np.array([[0, -1.5, 0, 30], [-1.0, 0, 0, 20], [0, 0, 1.25, -5], [0, 0, 0, 1]])  # axes P, L, S: not RAS
    scan = np.random.default_rng(0).normal(100, 20, (40, 30, 35)).astype(np.float32)
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image(scan, affine), tmp_path / "scans" / "patient.nii.gz")
    settings = TINY_INFERENCE | {"dataset_dir": str(tmp_path / "scans"), "pixdim": [2.0, 2.0, 2.0]}
    workflow(INFERENCE, "inference", **settings).run()
    result = nib.load(bundle / "output" / "inference" / "patient_seg.nii.gz")
    assert result.shape == scan.shape
    np.testing.assert_allclose(result.affine, affine, atol=1e-4)
    assert result.get_data_dtype() == np.uint8


@of_kind("hippocampus_mri_segmentation")
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


@of_kind("abdominal_ct_segmentation")
def test_labels_of_another_data_set_become_ours_and_only_its_organs_are_scored(bundle, tmp_path):
    flare, folder = label_map("flare22"), tmp_path / "set"
    synthesize("abdominal_ct", folder, 8, 0, 32)
    content = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(content | {"synthetic": False}))
    shutil.copytree(folder / "labelsTr", tmp_path / "originals")
    theirs = {ours: given for given, ours in zip(flare.given, flare.ours, strict=True) if ours} | {0: 0, 10: 12}
    for file in (folder / "labelsTr").iterdir():  # the portal vein is what FLARE22 has instead: a piece of duodenum
        label = nib.load(file)
        renumbered = np.vectorize(theirs.get, otypes=[np.uint8])(np.asanyarray(label.dataobj))
        nib.save(nib.Nifti1Image(renumbered, label.affine), file)

    overrides = TINY | {"dataset_dir": str(folder), "label_map": "flare22"}
    flow = workflow(EVALUATE, "train", **overrides)
    item = flow.parser.get_parsed_content("validate::dataset")[0]
    original = np.asanyarray(nib.load(tmp_path / "originals" / f"{item['name']}.nii.gz").dataobj)
    portal = ORGANS.index("portal vein and splenic vein")
    assert portal in original
    np.testing.assert_array_equal(item["label"][0], np.where(original == portal, 0, original))
    flow.run()
    rows = list(csv.reader((bundle / "output" / "test" / "classes.csv").open()))
    assert [row[0] for row in rows[1:]] == flare.names
    assert "portal vein and splenic vein" not in flare.names
    assert [row[1] for row in rows[1:]] == ["2"] * 12


@of_kind("abdominal_ct_segmentation")
def test_a_scan_of_a_person_is_segmented_on_its_own_grid_with_a_warning(bundle, data_dir, tmp_path, caplog):
    (tmp_path / "scans").mkdir()
    scan = data_dir / "totalsegmentator_sample" / "ct.nii.gz"
    shutil.copy(scan, tmp_path / "scans")
    flow = workflow(INFERENCE, "inference", device="cpu", dataset_dir=str(tmp_path / "scans"))
    flow.run()
    image, result = nib.load(scan), nib.load(bundle / "output" / "inference" / "ct_seg.nii.gz")
    assert result.shape == image.shape
    np.testing.assert_allclose(result.affine, image.affine, atol=1e-4)
    assert set(np.unique(result.dataobj)) <= set(range(14))
    assert "DEMONSTRATION WEIGHTS" in caplog.text


def three_classes(folder, count=8):
    """Scans with three structures, whose data set names them."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for i in range(count):
        label = np.zeros((20, 24, 18), np.uint8)
        label[4:8, 4:8, 4:8], label[10:15, 5:9, 5:9], label[5:9, 12:20, 6:12] = 1, 2, 3
        image = (label * 90 + np.random.default_rng(i).normal(0, 20, label.shape)).astype(np.int16)
        nib.save(nib.Nifti1Image(image, np.eye(4)), folder / "imagesTr" / f"c{i}.nii.gz")
        nib.save(nib.Nifti1Image(label, np.eye(4)), folder / "labelsTr" / f"c{i}.nii.gz")
    return folder


@pytest.mark.parametrize("given", ["on the command line", "by the data set"])
@SEGMENTATION
def test_other_classes_are_named_once_and_everything_follows(bundle, tmp_path, given):
    folder = three_classes(tmp_path / "set")
    settings = {k: v for k, v in TINY.items() if "synthesis" not in k} | {"epochs": 1, "pixdim": [1.0, 1.0, 1.0]}
    settings["dataset_dir"] = str(folder)
    named = {"label_names": ("head", "body", "tail")}  # what Fire makes of head,body,tail
    if given == "by the data set":
        labels = {"background": 0, "head": 1, "body": 2, "tail": 3}
        cases = [f"c{i}.nii.gz" for i in range(8)]
        entries = [{"image": f"imagesTr/{case}", "label": f"labelsTr/{case}"} for case in cases]
        (folder / "dataset.json").write_text(json.dumps({"labels": labels, "training": entries}))
        named = {}
    flow = workflow(TRAIN, "train", **settings, **named)
    flow.run()
    (file,) = (path for path in bundle.rglob("model.json") if passport.read(path).label_names)
    assert passport.read(file).label_names == ["head", "body", "tail"]

    weights = {"weights": str(file.with_suffix(".pt"))}
    del settings["pixdim"]  # from the passport, too
    flow = workflow(EVALUATE, "train", **settings, **weights)
    flow.run()
    assert flow.parser.get_parsed_content("pixdim") == [1, 1, 1]
    rows = list(csv.reader((bundle / "output" / "test" / "classes.csv").open()))
    assert [row[0] for row in rows[1:]] == ["head", "body", "tail"]
    flow = workflow(INFERENCE, "inference", device="cpu", roi_size=[16, 32, 16], dataset_dir=str(folder), **weights)
    flow.run()
    assert flow.parser.get_parsed_content("network_def").head.out_channels == 4


@SEGMENTATION
def test_the_classes_of_a_bundle_are_the_same_in_all_its_configs(bundle):
    names = {
        as_names_of(json.loads((bundle / "configs" / config).read_text())["classes"]["bundle_names"])
        for config in ("train.json", "evaluate.json", "inference.json")
    }
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    channels = list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values())
    (found,) = names
    assert same_names(found, [name.removesuffix(" (demo)") for name in channels[1:]])


def as_names_of(text):
    return tuple(as_names(text))


@SEGMENTATION
def test_published_weights_of_other_classes_are_described_to_servers(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    before = json.dumps(metadata)
    describe_classes(metadata, [])
    describe_classes(metadata, as_names_of(json.loads((bundle / TRAIN).read_text())["classes"]["bundle_names"]))
    assert json.dumps(metadata) == before
    describe_classes(metadata, ["head", "tail", "rest"])
    output = metadata["network_data_format"]["outputs"]["pred"]
    assert output["channel_def"] == {"0": "background", "1": "head", "2": "tail", "3": "rest"}
    assert output["num_channels"] == 4
    assert "1 head, 2 tail, 3 rest" in metadata["label_classes"]


@pytest.mark.parametrize("bundle", ["abdominal_ct_segmentation"], indirect=True)
def test_few_classes_are_said_once(bundle, tmp_path, caplog):
    """No warning of MONAI about each class that a scan lacks."""
    data = workflow(TRAIN, "train", **TINY).parser.get_parsed_content("cases")(section="all")
    folder = tmp_path / "few"
    for item in data:
        for key, place in (("image", "imagesTr"), ("label", "labelsTr")):
            volume = nib.load(item[key])
            array = np.asarray(volume.dataobj)
            array = np.where(array <= 3, array, 0).astype(np.uint8) if key == "label" else array
            (folder / place).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, volume.affine), folder / place / f"{item['name']}.nii.gz")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="no available indices")
        workflow(TRAIN, "train", **TINY, dataset_dir=str(folder)).run()
    said = [record.message for record in caplog.records if "no training label holds" in record.message]
    assert len(said) == 1
    assert "Label ids 1, 2, 3 are trained as spleen, right kidney, left kidney." in said[0]
    assert '--label_names "spleen,right kidney,left kidney"' in said[0]
