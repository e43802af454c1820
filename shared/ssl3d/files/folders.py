"""Find the folder of a data set, and the cache folder for synthetic data and prepared volumes."""

import os
from pathlib import Path


def data_folder(path: str | Path) -> Path:
    """Return the absolute path of a folder that a user named.

    Raises:
        FileNotFoundError: there is none; with what to give.
    """
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise FileNotFoundError(
            f"The folder {folder} {what}. Give the folder that holds dataset.json, the NIfTI files or the DICOM files; "
            "give a JSON file of your own with --datalist FILE."
        )
    return folder


def cache_dir(path: str | Path | None = None) -> Path:
    """Return the cache folder, created if need be: ``path``, else ``$SSL3D_CACHE``, else ``~/.cache/ssl3d``.

    Raises:
        OSError: the folder cannot be created or written to; the message says what to set.
    """
    folder = Path(path or os.environ.get("SSL3D_CACHE") or Path.home() / ".cache" / "ssl3d").expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        raise OSError(
            f"The cache folder {folder} cannot be used ({error}). Set the environment variable SSL3D_CACHE to a folder "
            "that you may write to."
        ) from error
    return folder
