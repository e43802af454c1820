"""The bundle's ``scripts``: the packed copy first, then the installed package, else one sentence."""

import importlib
import importlib.util
import subprocess
import sys

import pytest

BLOCKED = "ignite", "nibabel", "scipy", "ot", "fire", "tqdm", "tensorboard", "matplotlib"


def test_the_installed_package_serves_where_nothing_is_packed(bundle):
    networks = importlib.import_module("scripts.networks")
    import ssl3d

    assert networks.__file__.startswith(next(iter(ssl3d.__path__)))
    assert networks.UNet3d.__module__ == "scripts.networks.unet3d"


def test_a_packed_copy_comes_first(bundle):
    packed = bundle / "scripts" / "ssl3d" / "networks"
    packed.mkdir(parents=True)
    (packed / "__init__.py").write_text("marker = 'packed'\n")
    assert importlib.import_module("scripts.networks").marker == "packed"
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("scripts.data")  # nothing is taken from another version


def test_without_either_one_sentence_says_how_to_get_it(bundle, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install"):
        importlib.import_module("scripts")


def test_networks_need_torch_monai_and_numpy_only(bundle):
    program = (
        "import sys\n"
        f"for name in {BLOCKED!r}: sys.modules[name] = None\n"
        "import torch, scripts.networks as n\n"
        "print(tuple(n.SegmentationNet(n.UNet3d(), 3)(torch.zeros(1, 1, 16, 16, 16)).shape))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=bundle, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(1, 3, 16, 16, 16)", done.stderr
