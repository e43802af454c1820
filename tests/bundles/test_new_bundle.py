"""A bundle is a recipe, a README and weights: one of five classes and two channels, from its recipe to its zip file."""

import json
import zipfile

import jsonschema
import nibabel as nib
import numpy as np
import pytest
from bundles.conftest import EVALUATE, INFERENCE, TRAIN, workflow
from golden import DATA
from monai.bundle import verify_net_in_out
from rendering import build_bundles

from ssl3d.release import pack
from ssl3d.weights import passport

NAME = "brain_tumor_mri_segmentation"
CLASSES = ["necrosis", "edema", "enhancing tumor", "ventricles", "resection cavity"]
RECIPE = {
    "family": "segmentation",
    "title": "Brain tumor MRI segmentation",
    "modality": "MR",
    "format": "magnitude",
    "channels": ["T1-weighted MR", "FLAIR"],
    "kind": "brain_mri",
    "synthesis": {"subjects": 24},
    "split": "positional",
    "epochs": 1,
    "batch_size": 2,
    "learning_rate": 0.003,
    "roi_size": [16, 16, 16],
    "pixdim": [1.0, 1.0, 1.0],
    "intensity": {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True},
    "backbone": {"_target_": "scripts.networks.UNet3d", "in_channels": "%recipe#in_channels"},
    "label_mapping": [],
    "crop": [{"_target_": "RandSpatialCropd", "keys": "@keys", "roi_size": "@roi_size", "random_size": False}],
    "augmentation": [{"_target_": "RandGaussianNoised", "keys": "image", "prob": 0.3, "std": 0.05}],
    "classes": ", ".join(CLASSES),
}


@pytest.fixture
def scans(tmp_path):
    """A Decathlon folder of eight scans with two channels and five structures."""
    folder = tmp_path / "scans"
    entries = []
    for number in range(8):
        rng = np.random.default_rng(number)
        label = rng.integers(0, len(CLASSES) + 1, (18, 20, 17)).astype(np.uint8)
        image = rng.normal(label[..., None] * [10, -10], 5).astype(np.float32)
        for part, array in (("imagesTr", image), ("labelsTr", label)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.eye(4)), folder / part / f"c{number}.nii.gz")
        entries.append({"image": f"./imagesTr/c{number}.nii.gz", "label": f"./labelsTr/c{number}.nii.gz"})
    labels = dict(enumerate(["background", *CLASSES]))
    data_set = {"name": "made up", "licence": "CC0-1.0", "labels": labels, "training": entries}
    (folder / "dataset.json").write_text(json.dumps(data_set))
    return folder


@pytest.mark.usefixtures("forget_scripts")
def test_a_recipe_becomes_a_bundle_that_trains_evaluates_infers_and_packs(tmp_path, scans, monkeypatch):
    bundle = tmp_path / "bundles" / NAME
    (bundle / "docs").mkdir(parents=True)
    (bundle / "docs" / "README.md").write_text(f"# {RECIPE['title']}\n")
    (bundle / "recipe.json").write_text(build_bundles.readable_json(RECIPE))
    build_bundles.build(bundle)
    monkeypatch.chdir(bundle)
    monkeypatch.syspath_prepend(bundle)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    given = {"device": "cpu", "dataset_dir": str(scans)}
    training = workflow(TRAIN, "train", **given, epoch_length=2, val_interval=1, publish=True)
    assert training.check_properties() == []
    training.run()
    written = passport.read(bundle / "models" / "model.json")
    assert (written.steps, written.label_names, written.corpus[0]["name"]) == (2, CLASSES, "made up")

    assert build_bundles.build(bundle, check=True) == [], "a published run leaves the metadata as the recipe has them"
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    jsonschema.validate(metadata, json.loads((DATA / "meta_schema_20240725.json").read_text()))
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"]["5"] == CLASSES[4]
    verify_net_in_out(net_id="network_def", meta_file="configs/metadata.json", config_file=INFERENCE, device="cpu")

    workflow(EVALUATE, "train", **given).run()
    scores = (bundle / "output" / "test" / "classes.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in scores[1:]] == CLASSES

    workflow(INFERENCE, "inference", device="cpu", dataset_dir=str(scans)).run()
    (first, *_) = sorted((bundle / "output" / "inference").glob("*_seg.nii.gz"))
    assert nib.load(first).shape == (18, 20, 17)

    (file,) = pack(bundle.parent, tmp_path / "dist")
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    assert {f"{NAME}/models/model.ts", f"{NAME}/configs/train.json", f"{NAME}/docs/README.md"} <= set(names)
    assert f"{NAME}/recipe.json" not in names
