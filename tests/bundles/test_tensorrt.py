"""The TensorRT overlay, as far as a computer without a GPU can tell: a network that knows nothing but its forward."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles.conftest import BUNDLES, INFERENCE, NAMES, TINY_INFERENCE, workflow

OVERLAY = [INFERENCE, "configs/inference_trt.json"]

# bundles whose post-processing needs more of the network than its forward have no overlay
pytestmark = pytest.mark.parametrize(
    "bundle", [name for name in NAMES if (BUNDLES / name / OVERLAY[1]).is_file()], indirect=True
)


def outputs(folder: Path) -> dict[str, np.ndarray]:
    return {str(file.relative_to(folder)): nib.load(file).get_fdata() for file in sorted(folder.rglob("*.nii.gz"))}


def test_a_compiled_network_takes_the_place_of_ours(bundle, tmp_path):
    options = {**TINY_INFERENCE, "dataset#data#synthesis#subjects": 2}
    plain = workflow(INFERENCE, "inference", **options, output_dir=str(tmp_path / "plain"))
    plain.run()
    network = plain.parser.get_parsed_content("network")
    # frozen, it has neither our attributes nor our methods, as what TensorRT makes
    torch.jit.freeze(torch.jit.script(network)).save("models/model_trt.ts")
    compiled = workflow(OVERLAY, "inference", **options, output_dir=str(tmp_path / "compiled"))
    assert compiled.check_properties() == []
    found = compiled.parser.get_parsed_content("network")
    assert isinstance(found, torch.jit.ScriptModule) and not hasattr(found, "decompose")
    compiled.run()
    expected, given = outputs(tmp_path / "plain"), outputs(tmp_path / "compiled")
    assert expected.keys() == given.keys() != set()
    for name, volume in expected.items():
        np.testing.assert_allclose(given[name], volume, rtol=0, atol=1e-3, err_msg=name)


def test_the_overlay_names_the_file_of_tensorrt(bundle):
    flow = workflow(OVERLAY, "inference", **TINY_INFERENCE)
    assert flow.parser.get("network_def") == "$torch.jit.load(@weights)"
    assert Path(flow.parser.get_parsed_content("weights")) == Path("models/model_trt.ts")
    assert flow.parser.get("amp") is False
    assert "$import torch_tensorrt" in flow.parser.get("imports") and "$import torch" in flow.parser.get("imports")
    readme = (bundle / "docs" / "README.md").read_text()
    assert "monai.bundle trt_export" in readme and "untested" in readme
    assert json.loads((bundle / "configs" / "inference_trt.json").read_text())["network_def"].startswith("$torch.jit")


def test_without_the_file_the_run_says_which(bundle):
    with pytest.raises(RuntimeError) as error:  # MONAI's, around that of preflight
        workflow(OVERLAY, "inference", **TINY_INFERENCE).run()
    assert "model_trt.ts does not exist" in str(error.value.__cause__)
