"""What the MONAI Model Zoo asks of a bundle beyond what ``test_bundles.py`` tests of every one."""

import json
import re

import pytest
import torch
from bundles.conftest import BUNDLES, INFERENCE
from monai.bundle import ConfigParser

HEADINGS = (
    r"# \S.*",
    r"### \*\*Authors\*\*",
    r"### \*\*Tags\*\*",
    r"## \*\*Model Description\*\*",
    r"## Data",
    r"### Preprocessing",
    r"## Performance",
    r"## Additional Usage Steps",
    r"## System Configuration",
    r"## Limitations",
    r"## Citation Info",
    r"## References",
    r"## License",
)


def test_the_readme_has_the_headings_of_the_template_in_their_order(bundle):
    lines = (bundle / "docs" / "README.md").read_text().splitlines()
    places = [next((n for n, line in enumerate(lines) if re.fullmatch(heading, line)), None) for heading in HEADINGS]
    assert None not in places, f"missing: {HEADINGS[places.index(None)]}"
    assert places == sorted(places)
    assert places[0] == 0


def test_pictures_and_links_of_the_readme_lead_somewhere(bundle):
    text = (bundle / "docs" / "README.md").read_text()
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in target]
    assert [target for target in targets if not (BUNDLES / bundle.name / "docs" / target).is_file()] == []


def test_the_terms_of_the_data_are_told(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    terms = " ".join((bundle / "docs" / "data_license.txt").read_text().split()).replace("-", " ").lower()
    for corpus in (entry for passport in metadata["passports"].values() for entry in passport["corpus"]):
        assert corpus["name"].replace("-", " ").lower() in terms
        assert corpus["licence"].replace("-", " ").lower() in terms


def test_metadata_say_what_the_zoo_shows(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    for key in ("name", "data_source", "data_type", "intended_use", "references", "eval_metrics"):
        assert metadata.get(key), key
    assert "optional_packages_version" not in metadata, "MONAI takes it for the old name of the required ones"
    (image,), (pred,) = (metadata["network_data_format"][side].items() for side in ("inputs", "outputs"))
    assert (image[0], pred[0]) == ("image", "pred")
    for entry in (image[1], pred[1]):
        if entry["type"] != "feature":  # whose channels have no names
            assert sorted(map(int, entry["channel_def"])) == list(range(entry["num_channels"]))


def test_the_network_exports_to_torchscript_for_any_size(bundle, tmp_path):
    parser = ConfigParser()
    parser.read_config(INFERENCE)
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load("models/model.pt", weights_only=True))
    torch.jit.script(network).save(str(tmp_path / "model.ts"))
    scripted = torch.jit.load(str(tmp_path / "model.ts"))
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    channels = metadata["network_data_format"]["inputs"]["image"]["num_channels"]
    # one item and two, sizes of and between the strides, float32 and float64: all branches of networks/convolution.py
    for shape, dtype in (
        ((1, 32, 32, 16), torch.float32),
        ((2, 17, 20, 9), torch.float32),
        ((1, 16, 16, 16), torch.double),
    ):
        image = torch.rand(shape[0], channels, *shape[1:], dtype=dtype)
        with torch.inference_mode():
            expected = network.to(dtype)(image)
            torch.testing.assert_close(scripted.to(dtype)(image), expected, rtol=0, atol=1e-6)
    assert expected.abs().max() > 0


@pytest.mark.parametrize("config", ["train.json", "inference.json"])
def test_configs_have_the_keys_of_the_zoo(bundle, config):
    content = json.loads((bundle / "configs" / config).read_text())
    wanted = {"bundle_root", "device", "network_def", "dataset_dir", "output_dir"}
    assert wanted <= content.keys()
    assert content["bundle_root"] == "."
    handlers = content.get("train", {}).get("handlers", [])
    intervals = [handler["interval"] for handler in handlers if handler["_target_"] == "ValidationHandler"]
    assert all(interval == "@val_interval" for interval in intervals)
