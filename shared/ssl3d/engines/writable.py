"""Test that a folder can be written before a run needs it."""

import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class PreflightError(ValueError):
    """Raised for a run that cannot succeed; the message says what to change."""


def check_writable(setting: str, folder: str | Path) -> None:
    """Make ``folder`` and write to it once.

    Args:
        setting: Name of the setting for the folder, such as ``output_dir``.
        folder: Folder to test.

    Raises:
        PreflightError: The folder cannot be made or written.
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
    """Return ``folder`` and those of its parents that do not exist yet, innermost first."""
    folder = Path(folder).absolute()
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove empty folders, innermost first, up to the first folder that is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
