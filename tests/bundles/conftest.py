"""Bundles are tested as copies, so that no run touches the weights of the checkout."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow
from monai.utils import set_determinism
from rendering import build_bundles

from ssl3d.files.readable_json import readable_json

FINE, COARSE = [3.0, 3.0, 3.0], [12.0, 12.0, 12.0]  # mm
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


def of_family(*families: str):
    """Mark of a test that is for the bundles of some families only, such as ``pretraining`` or ``pretraining/mae``."""
    return pytest.mark.parametrize(
        "bundle", [name for name in NAMES if is_of(BUNDLES / name, *families)], indirect=True
    )


def is_of(bundle: Path, *families: str) -> bool:
    own = build_bundles.read(bundle)["family"]
    return any(f"{own}/".startswith(f"{family}/") for family in families)


def pretrains(bundle: Path) -> bool:
    return is_of(bundle, "pretraining")


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
    """A copy to run, rendered for the smallest crops; one for whole abdomens, at 3 mm, works at 12 mm."""
    root = exact_copy(name, folder)
    recipe = small(build_bundles.read(root))
    passport = json.loads((root / "models" / "model.json").read_text())
    if passport["spacing"] == FINE:  # inference takes the spacing from there
        (root / "models" / "model.json").write_text(readable_json(passport | {"spacing": COARSE}))
    (root / "recipe.json").write_text(readable_json(recipe))
    build_bundles.build(root)
    return root


def small(recipe: dict) -> dict:
    """A recipe for the smallest runs."""
    text = json.dumps(recipe | ({"crops": [1, 2, 1]} if "crops" in recipe else {}))
    recipe = json.loads(text.replace(json.dumps(FINE), json.dumps(COARSE)))
    if recipe["pixdim"] == COARSE:
        recipe["synthesis"] |= {"size": 32}
    return recipe


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
