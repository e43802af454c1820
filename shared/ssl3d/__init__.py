"""Self-supervised pre-training for 3D medical images, as MONAI bundles that simply run."""

from importlib import import_module
from pathlib import Path
from typing import Any

from .version import __version__

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    """Import a part of the package, such as ``ssl3d.losses``, when it is first used."""
    if (
        name.isidentifier()
        and name[0] != "_"
        and any((Path(folder) / name / "__init__.py").is_file() for folder in __path__)
    ):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    parts = (path.parent.name for folder in __path__ for path in Path(folder).glob("*/__init__.py"))
    return sorted({*globals(), *parts})
