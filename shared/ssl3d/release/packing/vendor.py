"""Find the modules of the package that a packed bundle needs, and the packages that they import."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

LAYERS = "geometry", "data", "weights", "networks", "losses", "transforms", "matching", "methods", "engines", "tasks"
ROOT = "__init__.py", "version.py"
# Import name -> name in the registry, where they differ.
DISTRIBUTIONS = {"ignite": "pytorch-ignite", "ot": "pot", "sklearn": "scikit-learn"}
OWN_FIELDS = {"torch", "monai", "numpy"}  # metadata has a field for the version of each
ASKED_FOR = {"ants", "gdcm", "mlflow", "pydicom"}  # imported when a user asks for what needs them, with a clear error


def runtime_files(package: Path) -> list[Path]:
    """Return the modules that the layers from files to tasks need, with the JSON files beside them.

    Needed is everything that the ``__init__`` of a layer imports, directly or through other modules. Modules that only
    the command line uses, such as the study and the doctor, are left out.

    Args:
        package: Folder of the package.

    Returns:
        Paths relative to it, sorted.

    Raises:
        ValueError: it is no package of ours.
    """
    if not (package / "geometry" / "__init__.py").is_file():
        raise ValueError(f"{package} is not the package ssl3d: it has no geometry/__init__.py.")
    open_ends = [package / layer / "__init__.py" for layer in LAYERS] + [package / name for name in ROOT]
    open_ends += package.glob("tasks/*/__init__.py")  # that configs name
    reached: set[Path] = set()
    while open_ends:
        file = open_ends.pop()
        if file not in reached:
            reached.add(file)
            open_ends += _imported(file, package)
    data = {beside for folder in {file.parent for file in reached} for beside in folder.glob("*.json")}
    return sorted(file.relative_to(package) for file in reached | data)


def third_party(files: Iterable[Path]) -> set[str]:
    """Names in the registry of the packages that modules import, wherever in a module they do.

    Without torch, monai and numpy, which have fields of their own in a bundle's metadata, and without those that only
    some users ask for (DICOM, ANTs, MLflow).
    """
    names: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module or "")
    tops = {"tensorboard" if name.startswith("torch.utils.tensorboard") else name.split(".")[0] for name in names}
    return {DISTRIBUTIONS.get(top, top) for top in tops - set(sys.stdlib_module_names) - OWN_FIELDS - ASKED_FOR}


def _imported(file: Path, package: Path) -> Iterator[Path]:
    """Yield the modules of the package that a module imports, and each ``__init__`` in the folders above them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
        for target in [base, *(base / alias.name for alias in node.names)]:
            if target.with_suffix(".py").is_file():
                yield target.with_suffix(".py")
            elif target != package and (target / "__init__.py").is_file():
                yield target / "__init__.py"
        for folder in [base, *base.parents]:
            if folder == package:
                break
            if (folder / "__init__.py").is_file():
                yield folder / "__init__.py"
