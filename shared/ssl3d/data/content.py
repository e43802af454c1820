"""Files and folders of slices known by their bytes: a SHA-256 that is computed once for each version."""

import csv
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from . import folders

_KEYS: dict[str, str] = {}  # identity -> SHA-256, of this process


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary file in the folder of ``file`` that takes its place, atomically, when the block ends well."""
    temporary = file.with_name(f".{uuid.uuid4().hex}.part")  # by the user's umask, unlike tempfile: caches are shared
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_table(file: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write ``rows`` as CSV with a header, at once; an existing file is replaced, its folder is made if need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


class Memo:
    """JSON values that outlive the process, one small file each: safe for any number of readers and writers.

    Args:
        folder: created if need be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.json"

    def get(self, key: str) -> Any:
        """The value kept for ``key``; None where there is none or it cannot be read."""
        try:
            return json.loads(self._file(key).read_text())
        except (OSError, ValueError):
            return None

    def set(self, key: str, value: Any) -> None:
        """Keep ``value``, which JSON must be able to hold; a full disk costs time later, not the run."""
        with suppress(OSError), replacing(self._file(key)) as temporary:
            temporary.write_text(json.dumps(value))


def walk_files(folder: str | Path) -> Iterator[list[Path]]:
    """The files of each folder below ``folder`` that has any, sorted; links are followed, hidden files left alone."""
    seen = set()  # links may lead back up
    for root, below, names in os.walk(folder, followlinks=True):
        below[:] = sorted(name for name in below if name[0] != ".")
        if os.path.realpath(root) in seen:
            below.clear()
            continue
        seen.add(os.path.realpath(root))
        files = [Path(root) / name for name in sorted(names) if name[0] != "."]
        if files:
            yield files


def identity(path: str | Path) -> str:
    """What tells one version of a file from another without reading it: absolute path, size, time of change.

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
