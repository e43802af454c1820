"""What a packed bundle carries of the package, and that its metadata list what this imports."""

import ast
import json
import re
from pathlib import Path

import pytest

from ssl3d.release.packing.vendor import runtime_files, third_party

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "shared" / "ssl3d"
BUNDLES = sorted(path.parents[1] for path in (ROOT / "bundles").glob("*/configs/metadata.json"))


def test_the_run_time_part_is_closed_and_leaves_out_what_only_the_command_line_uses():
    files = runtime_files(PACKAGE)
    layers = {file.parts[0] for file in files}
    assert layers >= {"geometry", "data", "networks", "losses", "methods", "engines", "tasks", "version.py"}
    assert not layers & {"cli.py", "commands", "release", "doctor", "study"}
    assert Path("data/hippocampus_names.json") in files
    assert files == sorted(files)
    for file in files:
        if file.suffix == ".py":
            for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
                if isinstance(node, ast.ImportFrom) and node.level and node.module:
                    target = Path(*file.parts[: len(file.parts) - node.level], *node.module.split("."))
                    assert target.with_suffix(".py") in files or target / "__init__.py" in files, (file, node.module)


def test_every_module_that_a_module_imports_is_followed(tmp_path):
    for name, text in {
        "__init__.py": "",
        "version.py": "",
        "geometry/__init__.py": "from .a import x\nfrom . import b",
        "geometry/a.py": "def f():\n    import ot\n    import pydicom",
        "geometry/b.py": "import os\nfrom sklearn.svm import SVC\nfrom ..data.deep.c import y",
        "geometry/unused.py": "import rich",
        "data/__init__.py": "",
        "data/deep/__init__.py": "",
        "data/deep/c.py": "import torch.nn\nfrom torch.utils.tensorboard import SummaryWriter",
        "data/deep/names.json": "[]",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for layer in ("weights", "networks", "losses", "transforms", "matching", "methods", "engines", "tasks"):
        (tmp_path / layer).mkdir()
        (tmp_path / layer / "__init__.py").touch()
    files = {str(file) for file in runtime_files(tmp_path)}
    assert {"geometry/a.py", "geometry/b.py", "data/deep/__init__.py", "data/deep/c.py", "data/deep/names.json"} < files
    assert "geometry/unused.py" not in files
    assert third_party(tmp_path / file for file in files if file.endswith(".py")) == {
        "pot",
        "scikit-learn",
        "tensorboard",
    }


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not the package"):
        runtime_files(tmp_path)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_metadata_list_what_is_imported_in_the_versions_that_are_tested(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    imported = third_party(PACKAGE / file for file in runtime_files(PACKAGE) if file.suffix == ".py")
    assert imported >= {"nibabel", "pytorch-ignite", "scipy", "matplotlib", "tqdm", "tensorboard"}
    assert imported <= set(metadata["required_packages_version"])
    listed = {
        **metadata["required_packages_version"],
        "torch": metadata["pytorch_version"],
        "monai": metadata["monai_version"],
        "numpy": metadata["numpy_version"],
    }
    assert {name: pins.get(name) for name in listed} == listed
