"""Packed bundles where ssl3d is not installed: with what their metadata list, from another working directory."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest
from bundles.conftest import BUNDLES, NAMES

from ssl3d.release import pack
from ssl3d.release.zoo.request import TEMPLATES, write_test

INDEX = "https://download.pytorch.org/whl/cpu"  # of torch's CPU build, as in tools/setup_env.sh

pytestmark = pytest.mark.packed


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """``environment(requirements)``: the interpreter of a fresh environment, made once for equal requirements."""

    @cache
    def make(requirements: tuple[str, ...]) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = folder / "bin" / "python"
        without_gpu = sys.platform == "linux" and shutil.which("nvidia-smi") is None
        index = ["--extra-index-url", INDEX, "--retries", "1"] if without_gpu else []
        torch = next(line for line in requirements if line.startswith("torch=="))
        for arguments in ([*index, "--no-deps", torch], requirements):
            install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *arguments]
            subprocess.run(install, check=True)
        return python

    return make


@pytest.mark.parametrize("name", NAMES)
def test_an_unpacked_bundle_trains_evaluates_and_infers(name, environment, tmp_path):
    """By the test that it brings to the Model Zoo, run from the root of a checkout of the zoo."""
    (file,) = pack(BUNDLES, tmp_path / "dist", [name])
    root = tmp_path / "a zoo"
    with zipfile.ZipFile(file) as archive:
        archive.extractall(root / "models")
    write_test(name, TEMPLATES / "test_bundle.txt", root / "test_bundle.py")
    metadata = json.loads((root / "models" / name / "configs" / "metadata.json").read_text())
    versions = {
        "torch": metadata["pytorch_version"],
        "monai": metadata["monai_version"],
        "numpy": metadata["numpy_version"],
        **metadata["required_packages_version"],
    }
    python = environment(tuple(f"{package}=={version}" for package, version in sorted(versions.items())))
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SSL3D"))}
    absent = subprocess.run([python, "-c", "import ssl3d"], cwd=root, env=variables, capture_output=True, check=False)
    assert absent.returncode == 1, "ssl3d must not be installed there"
    done = subprocess.run(
        [python, "-W", "ignore", "test_bundle.py"], cwd=root, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Ran 2 tests" in done.stderr
