"""Try to write to a folder before a run needs to."""

import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class PreflightError(ValueError):
    """A run that cannot succeed, and what to change."""


def check_writable(setting: str, folder: str | Path) -> None:
    """Make ``folder`` and write to it once.

    Args:
        setting: Name of the setting that holds it, such as ``output_dir``.
        folder: The folder.

    Raises:
        PreflightError: When that is not possible.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PreflightError(
            f"{setting} {Path(folder).absolute()} cannot be written ({error.strerror}). "
            f"Choose another with --{setting}."
        ) from error


def missing_folders(folder: str | Path) -> list[Path]:
    """Return the folders that do not exist yet on the way to ``folder``, itself included, innermost first."""
    folder = Path(folder).absolute()
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, innermost first, up to the first one that holds something."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
