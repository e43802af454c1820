"""Know files and folders of slices by their bytes: a SHA-256 that is computed once for each version."""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from . import folders
from .atomic import replacing
from .walk import walk_files

Value = TypeVar("Value")
_KEYS: dict[str, str] = {}  # identity -> SHA-256, of this process


class Memo:
    """JSON values that outlive the process, one small file each: safe for any number of readers and writers.

    A cache costs time where it fails, never the run: a folder that cannot be written, a full disk and a damaged file
    are as good as an empty cache.

    Args:
        folder: Cache folder, created on the first use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)

    def _file(self, key: str) -> Path:
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]  # a path need not be UTF-8
        return self.folder / f"{name}.json"

    def get(self, key: str, restore: Callable[[Any], Value] = lambda value: value) -> Value | None:
        """Return the value kept for ``key``; None if there is none or it cannot be read.

        Args:
            key: Text that the value was kept under.
            restore: Function of the JSON value; whatever error it raises, the value counts as damaged.
        """
        try:
            return restore(json.loads(self._file(key).read_text()))
        except Exception:  # a damaged file may hold anything: too deep, of another type, not UTF-8
            return None

    def set(self, key: str, value: Any) -> None:
        """Keep ``value``, which JSON must be able to hold."""
        with suppress(OSError), replacing(self._file(key)) as temporary:
            temporary.write_text(json.dumps(value))


def identity(path: str | Path) -> str:
    """Identify a version of a file without reading it, by absolute path, size and time of change.

    Of a folder, such as that of a DICOM series, the same of all files below it.

    Raises:
        OSError: the file or folder, or what a link in it leads to, does not exist.
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        files = [identity(file) for files in walk_files(path) for file in files]
        return f"{os.path.abspath(path)}|{hashlib.sha256(json.dumps(files).encode()).hexdigest()}"
    return f"{os.path.abspath(path)}|{status.st_size}|{status.st_mtime_ns}"


def remember(file_identity: str, key: str, cache_dir: str | Path | None = None) -> None:
    """Keep a SHA-256 that was computed while the file was read for another purpose."""
    _KEYS[file_identity] = key
    Memo(folders.cache_dir(cache_dir) / "content").set(file_identity, key)


def content_key(path: str | Path, cache_dir: str | Path | None = None) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits; the file is read once for each (path, size, time of change).

    Of a folder, such as that of a DICOM series: the key of all files below it, whatever their names. Results are kept
    in the process and below ``cache_dir`` (see ``ssl3d.data.cache_dir``), so that data loading workers, which start
    empty, need not read the data set again.

    Raises:
        OSError: the file does not exist or cannot be read.
    """
    known = identity(path)
    if known not in _KEYS:
        kept = Memo(folders.cache_dir(cache_dir) / "content").get(known)
        if isinstance(kept, str):
            _KEYS[known] = kept
        elif os.path.isdir(path):
            remember(known, combined_key(_sha256(file) for files in walk_files(path) for file in files), cache_dir)
        else:
            remember(known, _sha256(path), cache_dir)
    return _KEYS[known]


def combined_key(keys: Iterable[str]) -> str:
    """One key for files in any order, of the key of each."""
    return hashlib.sha256("".join(sorted(keys)).encode()).hexdigest()


def _sha256(path: str | Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
