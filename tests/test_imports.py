"""Imports go down only: each module of the package may import its own layer and those below, by relative imports."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "shared" / "ssl3d"

# From the floor up. Layers of one line do not import each other.
ORDER = [
    {"version", "upstream"},
    {"files"},
    {"geometry"},
    {"imaging"},
    {"synthetic"},
    {"data"},
    {"weights"},
    {"networks", "losses", "transforms"},
    {"matching"},
    {"methods"},
    {"engines"},
    {"tasks"},
    {"study", "doctor"},
    {"release"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
RANK = {layer: rank for rank, layers in enumerate(ORDER) for layer in layers}
LAZY = "commands"  # help and complaints about flags come at once: a command imports when it is called
NEIGHBOURS = {"bundles", "tools", "tests", "scripts"}
# `import scripts.networks` needs torch, monai and numpy only: these are imported where they are used.
WHERE_USED = {"matplotlib", "mlflow", "ot", "rich", "sklearn"}


def violations(package: Path) -> list[str]:
    """One sentence for each import below ``package`` that breaks a rule, with its file and line."""
    found = []
    for file in sorted(package.rglob("*.py")):
        module = file.relative_to(package).with_suffix("").parts
        layer = module[0]
        if layer != "__init__" and layer not in RANK:
            found.append(f"{file.relative_to(package)}: {layer} is no layer")
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        nested = {
            id(node)
            for scope in ast.walk(tree)
            if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for node in ast.walk(scope)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                place = f"{file.relative_to(package)}:{node.lineno}"
                found += [f"{place}: {fault}" for fault in _faults(node, module, package, id(node) in nested)]
    return found


def _faults(node: ast.Import | ast.ImportFrom, module: tuple[str, ...], package: Path, nested: bool) -> list[str]:
    if isinstance(node, ast.ImportFrom) and node.level:
        faults = ["relative import inside a function"] if nested and module[0] != LAZY else []
        if node.level > len(module):
            return [*faults, "leaves the package"]
        target = [*module[: len(module) - node.level], *(node.module.split(".") if node.module else [])]
        targets = [target[0]] if target else [alias.name for alias in node.names]
        return faults + [fault for name in targets if (fault := _upward(module[0], name, package))]
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    faults = []
    for name in (name.split(".")[0] for name in names):
        if name == package.name:
            faults.append("imports the package by its name")
        elif name in NEIGHBOURS:
            faults.append(f"imports {name}")
        elif nested and name in sys.stdlib_module_names:
            faults.append(f"imports {name} of the standard library inside a function")
        elif not nested and name in WHERE_USED:
            faults.append(f"imports {name} at the top of the module")
    return faults


def _upward(layer: str, target: str, package: Path) -> str | None:
    if target not in RANK:
        return f"{target} is no layer"  # through a bundle's door the root is another package, without our names
    if not (package / target).exists() and not (package / f"{target}.py").exists():
        return f"{target} does not exist"
    allowed = target == "version" if layer == "__init__" else target == layer or RANK[target] < RANK[layer]
    return None if allowed else f"{layer} imports {target}"


def test_the_package_imports_downwards_only():
    assert violations(PACKAGE) == []
    assert len(list(PACKAGE.rglob("*.py"))) > 20, "the walk found the package"


@pytest.mark.parametrize(
    ("file", "line", "fault"),
    [
        ("geometry/a.py", "from ..data import x", "geometry/a.py:1: geometry imports data"),
        ("geometry/a.py", "from .. import data", "geometry/a.py:1: geometry imports data"),
        ("geometry/deep/a.py", "from ...data.deep import x", "geometry/deep/a.py:1: geometry imports data"),
        ("geometry/__init__.py", "from ..data import x", "geometry/__init__.py:1: geometry imports data"),
        ("networks/a.py", "from ..losses import x", "networks/a.py:1: networks imports losses"),
        ("losses/a.py", "from ..transforms.b import x", "losses/a.py:1: losses imports transforms"),
        ("engines/a.py", "if True:\n    from ..cli import main", "engines/a.py:2: engines imports cli"),
        ("__init__.py", "from .geometry import x", "__init__.py:1: __init__ imports geometry"),
        ("data/a.py", "from .. import __version__", "data/a.py:1: __version__ is no layer"),
        ("data/a.py", "from ..methods import x", "data/a.py:1: methods does not exist"),
        ("data/a.py", "from ... import x", "data/a.py:1: leaves the package"),
        ("data/a.py", "import ssl3d.geometry", "data/a.py:1: imports the package by its name"),
        ("data/a.py", "from ssl3d import geometry", "data/a.py:1: imports the package by its name"),
        ("data/a.py", "import tests.golden", "data/a.py:1: imports tests"),
        ("cli.py", "def f():\n    from .data import x", "cli.py:2: relative import inside a function"),
        ("cli.py", "class A:\n    def f(self):\n        import os", "cli.py:3: imports os of the standard library"),
        ("cli.py", "import matplotlib.pyplot as plt", "cli.py:1: imports matplotlib at the top"),
        ("helpers/a.py", "", "helpers/a.py: helpers is no layer"),
        ("helpers.py", "", "helpers.py: helpers is no layer"),
    ],
)
def test_the_walk_catches(tmp_path, file, line, fault):
    package = fake_package(tmp_path)
    (package / file).parent.mkdir(parents=True, exist_ok=True)
    (package / file).write_text(line)
    (found,) = violations(package)
    assert found.startswith(fault)


def test_the_walk_allows_what_is_right(tmp_path):
    package = fake_package(tmp_path)
    (package / "__init__.py").write_text("from .version import __version__\n")
    (package / "losses" / "a.py").write_text(
        "import os\nimport torch\nfrom .b import x\nfrom ..geometry.c import y\nfrom .. import data\n"
        "def f():\n    import ot\n    from matplotlib import pyplot\n"
    )
    (package / "cli.py").write_text("from . import losses, networks\nfrom .version import __version__\n")
    assert violations(package) == []


def fake_package(folder: Path) -> Path:
    package = folder / "ssl3d"
    for layer in ("geometry", "data", "networks", "losses", "transforms", "engines"):
        (package / layer).mkdir(parents=True)
        (package / layer / "__init__.py").touch()
    for name in ("__init__", "version", "cli"):
        (package / f"{name}.py").touch()
    return package
