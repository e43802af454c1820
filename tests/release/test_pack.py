"""Packed bundles: what is in them, that they are the same each time, and that MONAI loads them."""

import hashlib
import importlib
import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from bundles.conftest import BUNDLES, NAMES, exact_copy
from monai.bundle import ConfigParser, load

from ssl3d import weights
from ssl3d.release import pack
from ssl3d.release.packing.pack import chosen, content, fetch_large_files, stage
from ssl3d.weights import passport

MODULE = sys.modules[chosen.__module__]  # the function hides its module's name
SIZES = (32, 32, 32), (17, 35, 20), (5, 64, 9)


def forget_scripts() -> None:
    """What MONAI Label does between two bundles."""
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]
    importlib.invalidate_caches()


def network_of(root: Path, monkeypatch) -> torch.nn.Module:
    """The network of ``inference.json`` with its weights, through the bundle's own ``scripts``."""
    forget_scripts()
    monkeypatch.syspath_prepend(root)
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.json"))
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(root / "models" / "model.pt", weights_only=True))
    return network.eval()


@pytest.fixture(scope="module", params=NAMES)
def zipped(request, tmp_path_factory) -> Path:
    (file,) = pack(BUNDLES, tmp_path_factory.mktemp("dist"), [request.param])
    return file


@pytest.fixture
def unpacked(zipped, tmp_path) -> Path:
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(tmp_path)
    return tmp_path / zipped.name.partition("_v")[0]


def test_a_zip_holds_the_bundle_the_package_and_the_networks(zipped):
    name = zipped.name.partition("_v")[0]
    metadata = json.loads((BUNDLES / name / "configs" / "metadata.json").read_text())
    assert zipped.name == f"{name}_v{metadata['version']}.zip"
    with zipfile.ZipFile(zipped) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert {entry.split("/")[0] for entry in names} == {name}
    assert names == sorted(names)
    assert len({entry.date_time for entry in entries}) == 1
    wanted = ["LICENSE", "configs/train.json", "docs/README.md", "models/model.pt", "models/model.json"]
    wanted += ["models/model.ts", "scripts/__init__.py", "scripts/ssl3d/version.py", "scripts/ssl3d/networks/unet3d.py"]
    assert {f"{name}/{file}" for file in wanted} <= set(names)
    assert not [entry for entry in names if "__pycache__" in entry or "/output/" in entry or "/eval/" in entry]
    assert (f"{name}/models/backbone.pth" in names) == ("recommended_backbone" in metadata)
    line = f"{hashlib.sha256(zipped.read_bytes()).hexdigest()}  {zipped.name}\n"
    assert (zipped.parent / "SHA256SUMS").read_text() == line


def test_packing_again_elsewhere_gives_the_same_bytes(zipped, tmp_path):
    names = NAMES  # siblings too, for the recommended backbone
    for name in names:
        exact_copy(name, tmp_path / "bundles")
    bundle = tmp_path / "bundles" / zipped.name.partition("_v")[0]
    for stray in ("output/a.csv", "eval/x.json", "models/mine.pt", "scripts/__pycache__/a.pyc", ".hidden", "notes.txt"):
        (bundle / stray).parent.mkdir(parents=True, exist_ok=True)
        (bundle / stray).write_text("stray")
    shutil.copytree(BUNDLES.parent / "shared" / "ssl3d" / "losses", bundle / "scripts" / "ssl3d" / "older")
    (again,) = pack(tmp_path / "bundles", tmp_path / "dist", [bundle.name])
    assert again.read_bytes() == zipped.read_bytes()


def test_torchscript_equals_the_network_at_any_size(unpacked, monkeypatch, forget_scripts_afterwards):
    assert str(BUNDLES.parent).encode() not in (unpacked / "models" / "model.ts").read_bytes()
    network = network_of(unpacked, monkeypatch)
    scripted, metadata, extra = load(
        unpacked.name,
        bundle_dir=str(unpacked.parent),
        workflow_type="inference",
        load_ts_module=True,
        device="cpu",
        config_files=("inference.json",),
    )
    assert metadata["version"] == json.loads((unpacked / "configs" / "metadata.json").read_text())["version"]
    assert json.loads(extra["inference.json"])["bundle_root"] == "."
    channels = metadata["network_data_format"]["inputs"]["image"]["num_channels"]
    for batch, size in enumerate(SIZES, start=1):
        image = torch.rand(batch, channels, *size, generator=torch.Generator().manual_seed(batch))
        with torch.inference_mode():
            torch.testing.assert_close(scripted(image), network(image), rtol=0, atol=1e-6)


def test_monai_loads_the_network_itself_where_scripts_are_at_hand(unpacked, monkeypatch, forget_scripts_afterwards):
    expected = network_of(unpacked, monkeypatch).state_dict()
    network = load(unpacked.name, bundle_dir=str(unpacked.parent), workflow_type="inference", device="cpu")
    assert network.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_pretraining")])
def test_the_recommended_backbone_starts_the_network(name, tmp_path):
    metadata = json.loads((BUNDLES / name / "configs" / "metadata.json").read_text())
    if "recommended_backbone" not in metadata:
        assert not (stage(BUNDLES / name, tmp_path)[0] / "models" / "backbone.pth").exists()
        return
    assert metadata["recommended_backbone"] in NAMES
    file = stage(BUNDLES / name, tmp_path)[0] / "models" / "backbone.pth"
    found = passport.read(passport.beside(file))
    assert found.part == "backbone"
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    source = torch.load(BUNDLES / metadata["recommended_backbone"] / "models" / "model.pt", weights_only=True)
    kept = torch.load(file, weights_only=True)
    assert kept.keys() == {key for key in source if key.startswith("backbone.")}
    assert all(torch.equal(kept[key], source[key]) for key in kept)
    backbone = getattr(importlib.import_module("ssl3d.networks"), found.backbone)(**found.backbone_arguments)
    assert weights.load(backbone, file, min_match=1.0).missing == []


def test_two_versions_in_one_process_each_keep_their_own(tmp_path, monkeypatch, forget_scripts_afterwards):
    roots = [stage(BUNDLES / NAMES[0], tmp_path / version)[0] for version in ("one", "two")]
    (roots[1] / "scripts" / "ssl3d" / "version.py").write_text('__version__ = "9.9.9"\n')
    found = []
    for root in (*roots, roots[0]):
        network = network_of(root, monkeypatch)
        module = sys.modules[type(network).__module__]
        assert Path(module.__file__).is_relative_to(root / "scripts" / "ssl3d")
        found.append(importlib.import_module("scripts.version").__version__)
    assert found[1] == "9.9.9" and found[0] == found[2] != "9.9.9"


@pytest.fixture
def forget_scripts_afterwards(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    forget_scripts()


@pytest.fixture
def toy(tmp_path) -> Path:
    return exact_copy(NAMES[0], tmp_path / "bundles")


def edit_metadata(bundle: Path, **changes) -> None:
    file = bundle / "configs" / "metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_what_would_not_run_or_is_not_what_it_says_is_refused(toy, tmp_path):
    required = json.loads((toy / "configs" / "metadata.json").read_text())["required_packages_version"]
    edit_metadata(toy, required_packages_version={k: v for k, v in required.items() if k != "matplotlib"})
    with pytest.raises(ValueError, match="list matplotlib in required_packages_version"):
        stage(toy, tmp_path / "1")
    edit_metadata(toy, required_packages_version=required, version="0.1.9")
    with pytest.raises(ValueError, match=r"version 0\.1\.9 has no entry in the changelog"):
        stage(toy, tmp_path / "2")
    edit_metadata(toy, changelog={"0.1.9": "x"}, recommended_backbone="absent_pretraining")
    with pytest.raises(ValueError, match=r"absent_pretraining has no models/model\.pt"):
        stage(toy, tmp_path / "3")
    (toy / "models" / "model.pt").write_bytes(b"other weights")
    with pytest.raises(ValueError, match=r"models/model\.pt is not the file that its passport describes"):
        stage(toy, tmp_path / "4")


def test_unknown_bundles_are_answered_with_those_that_there_are(tmp_path):
    assert chosen(BUNDLES) == NAMES
    with pytest.raises(ValueError, match=rf"no bundle 'nothing'\. There are: {NAMES[0]}"):
        chosen(BUNDLES, ["nothing"])
    with pytest.raises(ValueError, match=rf"'gvsl_pretrainig'\. Did you mean gvsl_pretraining\? There are: {NAMES[0]}"):
        chosen(BUNDLES, ["mae_pretraining", "gvsl_pretrainig"])
    with pytest.raises(ValueError, match="holds no bundles"):
        chosen(tmp_path)


@pytest.mark.parametrize("form", ["json", "yml", "yaml"])
def test_large_files_are_fetched_and_checked(toy, tmp_path, form):
    large = tmp_path / "weights.bin"
    large.write_bytes(b"large")
    listing = toy / f"large_files.{form}"
    entry = {"path": "models/large.bin", "url": large.as_uri()}

    def write() -> None:
        lines = "".join(f"    {key}: '{value}'\n" for key, value in entry.items())
        listing.write_text(json.dumps({"large_files": [entry]}) if form == "json" else f"large_files:\n  -\n{lines}")

    write()
    with pytest.raises(ValueError, match=rf"large_files\.{form} gives no hash_val and hash_type for models/large\.bin"):
        fetch_large_files(toy)
    entry |= {"hash_type": "sha256", "hash_val": "0" * 64}
    write()
    with pytest.raises(ValueError, match=rf"large_files\.{form} cannot be had.*hash check"):
        fetch_large_files(toy)
    (toy / "models" / "large.bin").unlink(missing_ok=True)
    entry |= {"hash_val": hashlib.sha256(b"large").hexdigest()}
    write()
    fetch_large_files(toy)
    assert (toy / "models" / "large.bin").read_bytes() == b"large"
    assert not listing.exists()
    assert Path("models/large.bin") not in content(toy)


def test_the_package_that_a_yaml_list_needs_is_named(toy, monkeypatch):
    monkeypatch.setattr(MODULE, "find_spec", lambda name: None)
    (toy / "large_files.json").write_text(json.dumps({"large_files": []}))
    fetch_large_files(toy)
    (toy / "large_files.yml").write_text("large_files: []\n")
    with pytest.raises(ImportError, match=r"large_files\.yml needs PyYAML: pip install pyyaml, or write it as JSON"):
        fetch_large_files(toy)
    assert (toy / "large_files.yml").is_file()
