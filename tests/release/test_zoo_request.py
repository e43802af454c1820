"""The form of a pull request to the MONAI Model Zoo."""

import ast
import json
import re
import subprocess
import sys

import pytest
from bundles.conftest import BUNDLES, NAMES

from ssl3d.release import request
from ssl3d.release.exporting import torchscript

UTILS = """
import json, os
def export_config_and_run_mgpu_cmd(config_file, meta_file, logging_file, override_dict, output_path, ngpu):
    assert all(os.path.isfile(file) for file in [*config_file, meta_file, logging_file]), config_file
    with open("asked.json", "w") as file:
        json.dump([override_dict, output_path], file)
    os.makedirs(override_dict["output_dir"] + "/demo")
    open(override_dict["output_dir"] + "/demo/model.pt", "w").close()
"""


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A checkout of the zoo with all bundles; the TorchScript export has its own test."""
    monkeypatch.setattr(torchscript, "export", lambda folder: None)
    request(BUNDLES, tmp_path / "zoo")
    return tmp_path / "zoo"


def test_folder_and_both_tests_of_every_bundle(zoo):
    assert sorted(path.name for path in (zoo / "models").iterdir()) == NAMES
    tests = zoo / "ci" / "unit_tests"
    assert sorted(path.stem for path in tests.iterdir()) == sorted(
        f"test_{name}{ending}" for name in NAMES for ending in ("", "_dist")
    )
    classes = []
    for file in tests.iterdir():
        text = file.read_text()
        assert not re.search(r"BUNDLE_NAME|ClassName", text), "every placeholder is filled"
        name = file.stem.removeprefix("test_").removesuffix("_dist")
        assert re.findall(r"^BUNDLE_ROOT = .*", text, re.MULTILINE) == [f'BUNDLE_ROOT = "models/{name}"']
        classes += [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
        assert max(map(len, text.splitlines())) <= 120
    assert len(set(classes)) == 2 * len(NAMES)
    for name in NAMES:
        assert (zoo / "models" / name / "scripts" / "ssl3d" / "version.py").is_file()


def test_the_dist_test_asks_for_the_bundle(zoo):
    (zoo / "ci" / "unit_tests" / "utils.py").write_text(UTILS)
    name = NAMES[0]
    done = subprocess.run(
        [sys.executable, f"ci/unit_tests/test_{name}_dist.py"], cwd=zoo, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    override, output_path = json.loads((zoo / "asked.json").read_text())
    assert override["bundle_root"] == f"models/{name}"
    assert output_path == f"models/{name}/configs/train_override.json"


def test_a_second_request_replaces_the_first_and_files_have_a_limit(zoo, monkeypatch):
    (zoo / "models" / NAMES[0] / "stale.txt").touch()
    request(BUNDLES, zoo, [NAMES[0]])
    assert not (zoo / "models" / NAMES[0] / "stale.txt").exists()
    monkeypatch.setattr("ssl3d.release.zoo.request.LARGEST", 10**6)
    with pytest.raises(ValueError, match=r"models/\w+\.pth? is larger than"):
        request(BUNDLES, zoo, [NAMES[0]])
