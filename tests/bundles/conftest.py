"""Bundles are tested as copies, so that no run touches the weights of the checkout."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from monai.utils import set_determinism

BUNDLES = Path(__file__).parents[2] / "bundles"
TINY = {  # the smallest run that goes through everything
    "device": "cpu",
    "cases#synthesis#subjects": 4,
    "epochs": 2,
    "epoch_length": 2,
    "val_interval": 1,
    "roi_size": [16, 32, 16],
}


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory) -> Path:
    """Synthetic anatomy is made once for all tests of a process."""
    return tmp_path_factory.mktemp("bundle_cache")


@pytest.fixture(autouse=True)
def own_cache(shared_cache, monkeypatch) -> Path:
    monkeypatch.setenv("SSL3D_CACHE", str(shared_cache))
    return shared_cache


def copy_bundle(name: str, folder: Path) -> Path:
    """A copy of a bundle without what earlier runs left in it."""
    ignore = shutil.ignore_patterns("__pycache__", "output", "eval", "ssl3d")
    return Path(shutil.copytree(BUNDLES / name, folder / name, ignore=ignore))


@pytest.fixture
def forget_scripts(monkeypatch):
    """Each test imports the ``scripts`` of its own copy, as MONAI Label does between bundles."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    set_determinism(seed=None)  # a bundle's initialize sets it for the process
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]


@pytest.fixture(params=sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir()))
def bundle(request, tmp_path, monkeypatch, forget_scripts) -> Path:
    """Root of a copy of each bundle, as working directory."""
    root = copy_bundle(request.param, tmp_path)
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(root)
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    return root
