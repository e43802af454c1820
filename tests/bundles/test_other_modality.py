"""Weights meet only the scans and settings that they were trained on, or a warning says so by name."""

import json

import nibabel as nib
import numpy as np
import pytest
from bundles.conftest import BUNDLES, INFERENCE, TINY_INFERENCE, of_kind, workflow

OVERLAYS = [
    (file.parents[1].name, f"configs/{file.name}")
    for file in sorted(BUNDLES.glob("*/configs/inference_*.json"))
    if file.name != "inference_trt.json"
]


def scan(folder, low, high):
    values = np.random.default_rng(0).integers(low, high, (36, 40, 32)).astype(np.int16)
    folder.mkdir()
    nib.save(nib.Nifti1Image(values, np.diag([3.0, 3.0, 3.0, 1.0])), folder / "strange.nii.gz")
    return {"dataset_dir": str(folder)}


@of_kind(("_segmentation", "mae_pretraining"))
def test_a_scan_of_another_modality_is_named_in_inference(bundle, tmp_path, caplog):
    ct = json.loads((bundle / "models" / "model.json").read_text())["intensity"]["kind"] == "window"
    data = scan(tmp_path / "scans", *((0, 900) if ct else (-1000, 900)))
    spacing = {"pixdim": [4.0, 4.0, 4.0]}
    workflow(INFERENCE, "inference", **TINY_INFERENCE, **data, **spacing).run()
    assert "strange.nii.gz: it " + ("has no Hounsfield units" if ct else "looks like a CT") in caplog.text
    assert "spacing: the weights were trained with" in caplog.text
    assert sum("strange.nii.gz" in record.message for record in caplog.records if record.levelname == "WARNING") == 1


@pytest.mark.parametrize(("bundle", "overlay"), OVERLAYS, indirect=["bundle"])
def test_settings_for_another_modality_take_weights_of_that_modality_or_none(bundle, overlay, caplog):
    flow = workflow([INFERENCE, overlay], "inference", **{k: v for k, v in TINY_INFERENCE.items() if k != "roi_size"})
    if flow.parser.get_parsed_content("weights") is None:
        with pytest.raises(RuntimeError) as refused:
            flow.run()
        assert "--weights FILE" in str(refused.value.__cause__)
        return
    flow.parser.get_parsed_content("network")
    assert "the weights were trained with" not in caplog.text


@of_kind(("s2dc_pretraining", "alice_pretraining"))
def test_settings_for_another_modality_with_the_usual_weights_warn(bundle, caplog):
    (overlay,) = (overlay for name, overlay in OVERLAYS if name == bundle.name)
    flow = workflow([INFERENCE, overlay], "inference", device="cpu", weights="models/model.pt")
    flow.parser.get_parsed_content("network")
    assert "models/model.pt: spacing: the weights were trained with" in caplog.text
    assert "models/model.pt: intensity: the weights were trained with" in caplog.text
