"""Files and folders of slices known by their bytes: a SHA-256 that is computed once for each version."""

import csv
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from . import folders

Value = TypeVar("Value")
KERNEL = ("/proc", "/sys", "/dev")  # their files have no end or block
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

    A cache costs time where it fails, never the run: a folder that cannot be written, a full disk and a damaged file
    are as good as an empty cache.

    Args:
        folder: cache folder, created on the first use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)

    def _file(self, key: str) -> Path:
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]  # a path need not be UTF-8
        return self.folder / f"{name}.json"

    def get(self, key: str, restore: Callable[[Any], Value] = lambda value: value) -> Value | None:
        """Return the value kept for ``key``; None where there is none or it cannot be read.

        Args:
            key: text that the value was kept under.
            restore: function of the JSON value; whatever error it raises, the value counts as damaged.
        """
        try:
            return restore(json.loads(self._file(key).read_text()))
        except Exception:  # a damaged file may hold anything: too deep, of another type, not UTF-8
            return None

    def set(self, key: str, value: Any) -> None:
        """Keep ``value``, which JSON must be able to hold."""
        with suppress(OSError), replacing(self._file(key)) as temporary:
            temporary.write_text(json.dumps(value))


def walk_files(folder: str | Path) -> Iterator[list[Path]]:
    """The files of each folder below ``folder`` that has any, sorted; links are followed, hidden files left alone.

    Pipes, sockets and devices are left out, since reading them may never end, and so are the kernel's own folders and
    links to folders above. Links to nowhere are listed. The root of the file system is no folder of data: it has none.
    """
    seen = set()  # links may lead back up
    top = os.path.realpath(folder)
    if top == os.path.dirname(top):
        return
    for root, below, names in os.walk(folder, followlinks=True):
        below[:] = sorted(name for name in below if name[0] != ".")
        real = os.path.realpath(root)
        above = real != top and os.path.commonpath([real, top]) == real
        if real in seen or above or real in KERNEL:
            below.clear()
            continue
        seen.add(real)
        with os.scandir(root) as entries:  # which know plain files without asking a network drive for each
            plain = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
        paths = [Path(root) / name for name in sorted(names) if name[0] != "."]
        files = [path for path in paths if path.name in plain or not is_special(path)]
        if files:
            yield files


def is_special(path: str | Path) -> bool:
    """Whether a path is a pipe, a socket or a device: to read it may never end."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


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
