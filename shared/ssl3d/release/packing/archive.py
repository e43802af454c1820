"""Write zip files of bundles reproducibly, and unpack them safely into their own folder."""

import hashlib
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

TIME = 2022, 1, 1, 0, 0, 0  # of every entry
FILE_NAME = re.compile(r"(?P<name>\w+?)_v(?P<version>\d{1,9}(\.\d{1,9}){0,9})\.zip")
LARGEST = 2 * 2**30  # bytes of all files of a bundle together
MOST_FILES = 10_000
LEAST_SUSPECT, DENSEST = 256 * 2**20, 50  # more bytes than this are refused where the zip is this many times smaller
LARGEST_METADATA = 2**20  # bytes
UNREADABLE = (zipfile.BadZipFile, EOFError, RuntimeError, zlib.error)  # RuntimeError: encrypted, unknown compression


class Release(NamedTuple):
    """Name and version of a bundle, as in the name of its zip file."""

    name: str
    version: str

    @property
    def file(self) -> str:
        """Name of the zip file."""
        return f"{self.name}_v{self.version}.zip"

    @property
    def order(self) -> tuple[int, ...]:
        """Key to sort versions by number: 0.10.0 comes after 0.9.0."""
        return tuple(map(int, self.version.split(".")))


def release_of(file_name: str) -> Release | None:
    """Return the release that the name of a zip file stands for; None if it is not such a name."""
    match = FILE_NAME.fullmatch(file_name)
    return match and Release(match["name"], match["version"])


def digest(file: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file."""
    value = hashlib.new(algorithm)
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            value.update(block)
    return value.hexdigest()


def write_zip(folder: Path, file: Path) -> None:
    """Write a folder as a zip file that holds it as its one top folder.

    Entries are sorted and have one fixed time and one mode, so that equal contents give equal bytes with the same zlib.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(str(PurePosixPath(folder.name, *path.relative_to(folder).parts)), TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whatever wrote it
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, path.read_bytes())


def rewrite_zip(file: Path, keep: Callable[[str], bool]) -> None:
    """Replace a zip file by one of those entries whose name ``keep`` accepts, uncompressed, in their order."""
    with zipfile.ZipFile(file) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist() if keep(name)]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name, TIME), content)


def check_zip(file: Path, name: str) -> None:
    """Refuse a zip file that is damaged, too large when unpacked, or writes outside of the folder ``name``.

    Raises:
        ValueError: the file is refused; the message names the entry.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _check_size(file, archive.infolist())
            for entry in archive.infolist():
                parts = re.split(r"[/\\]", entry.filename.removesuffix("/"))
                if parts[0] != name or ".." in parts or "" in parts or any(":" in part for part in parts):
                    raise ValueError(f"{file}: its entry {entry.filename!r} leaves the folder {name}; not unpacked.")
                if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise ValueError(f"{file}: its entry {entry.filename!r} is no plain file; not unpacked.")
            damaged = archive.testzip()
    except UNREADABLE as error:
        raise ValueError(f"{file} is no zip file, or a damaged one ({error}).") from error
    if damaged is not None:
        raise ValueError(f"{file}: its entry {damaged!r} is damaged.")


def _check_size(file: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse files that would fill the disk. Never more than the sizes in the entries is unpacked."""
    total = sum(entry.file_size for entry in entries)
    dense = total > LEAST_SUSPECT and total > DENSEST * file.stat().st_size
    if total > LARGEST or len(entries) > MOST_FILES or dense:
        raise ValueError(
            f"{file} would unpack to {len(entries)} files with {total / 2**20:.0f} MiB, from "
            f"{file.stat().st_size / 2**20:.1f} MiB; not unpacked. A bundle has at most {MOST_FILES} files with "
            f"{LARGEST / 2**20:.0f} MiB, and its weights hardly compress."
        )


def metadata_version(content: bytes, place: str) -> str:
    """Return the version in the content of a ``metadata.json``.

    Args:
        content: Content of the file.
        place: Name of the file, for messages.

    Raises:
        ValueError: not a JSON object with a version.
    """
    try:
        metadata = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is not valid JSON: {error}.") from error
    version = metadata.get("version") if isinstance(metadata, dict) else None
    if not isinstance(version, str) or not version:
        raise ValueError(f'{place} must be a JSON object with a text \'version\', such as {{"version": "0.1.0"}}.')
    return version


def unpack_zip(file: Path, name: str, folder: Path) -> Path:
    """Unpack a bundle's zip file into ``folder/name``, which must not exist yet.

    Raises:
        ValueError: as ``check_zip``; nothing is written then.
    """
    check_zip(file, name)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    return folder / name
