"""Bundles are tested as copies, so that no run touches the weights of the checkout."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow
from monai.utils import set_determinism

from ssl3d.files.readable_json import readable_json

BUNDLES = Path(__file__).parents[2] / "bundles"
NAMES = sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir())
TINY = {  # the smallest run that goes through everything
    "device": "cpu",
    "cases#synthesis#subjects": 8,  # two of them are for the test: a pair
    "epochs": 2,
    "epoch_length": 2,
    "val_interval": 1,
    "roi_size": [16, 32, 16],
}

TRAIN = "configs/train.json"
EVALUATE = [TRAIN, "configs/evaluate.json"]
INFERENCE = "configs/inference.json"
TINY_INFERENCE = {"device": "cpu", "dataset#data#synthesis#subjects": 3, "roi_size": [16, 32, 16]}


def workflow(config: str | list[str], workflow_type: str, **overrides) -> ConfigWorkflow:
    flow = ConfigWorkflow(config, workflow_type=workflow_type, logging_file=False, **overrides)
    flow.initialize()
    return flow


PRETRAINING = ("_pretraining", "_embedding")  # ends of the names of bundles that learn without labels


def pretrains(bundle: Path) -> bool:
    return bundle.name.endswith(PRETRAINING)


def of_kind(ending: str | tuple[str, ...]):
    """Mark of a test that is for the bundles of one kind only, by the end (or ends) of their names."""
    return pytest.mark.parametrize("bundle", [name for name in NAMES if name.endswith(ending)], indirect=True)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory) -> Path:
    """Synthetic anatomy is made once for all tests of a process."""
    return tmp_path_factory.mktemp("bundle_cache")


@pytest.fixture(autouse=True)
def own_cache(shared_cache, monkeypatch) -> Path:
    monkeypatch.setenv("SSL3D_CACHE", str(shared_cache))
    return shared_cache


def exact_copy(name: str, folder: Path) -> Path:
    """A copy of a bundle without what earlier runs left in it."""
    ignore = shutil.ignore_patterns("__pycache__", "output", "eval", "ssl3d")
    return Path(shutil.copytree(BUNDLES / name, folder / name, ignore=ignore))


def copy_bundle(name: str, folder: Path) -> Path:
    """A copy to run, fit for the smallest crops; one for whole abdomens, at 3 mm, works at 12 mm."""
    root = exact_copy(name, folder)
    for config in (root / "configs").glob("*.json"):
        text = config.read_text().replace('"crops": [1, 3, 1]', '"crops": [1, 2, 1]')
        config.write_text(text)
        if '"pixdim": [3.0, 3.0, 3.0]' in text:
            coarse = text.replace('"pixdim": [3.0, 3.0, 3.0]', '"pixdim": [12.0, 12.0, 12.0]')
            config.write_text(
                coarse.replace('"synthesis": {"subjects": 24}', '"synthesis": {"subjects": 24, "size": 32}')
            )
            for file, entries in (("models/model.json", ()), ("configs/metadata.json", ("passports", "model.pt"))):
                content = found = json.loads((root / file).read_text())  # inference takes the spacing from there
                for entry in entries:
                    found = found[entry]
                if found["spacing"] == [3.0, 3.0, 3.0]:
                    found["spacing"] = [12.0, 12.0, 12.0]
                    (root / file).write_text(readable_json(content))
    return root


@pytest.fixture
def forget_scripts(monkeypatch):
    """Each test imports the ``scripts`` of its own copy, as MONAI Label does between bundles."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    set_determinism(seed=None)  # a bundle's initialize sets it for the process
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]


@pytest.fixture(params=NAMES)
def bundle(request, tmp_path, monkeypatch, forget_scripts) -> Path:
    """Root of a copy of each bundle, as working directory."""
    root = copy_bundle(request.param, tmp_path)
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(root)
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    return root
