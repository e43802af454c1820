"""Fetch a bundle from a zoo: check it before unpacking, and never overwrite a user's files."""

import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ...files.nearest import did_you_mean
from ..packing.archive import LARGEST_METADATA, Release, metadata_version, unpack_zip
from .download import download, read_text
from .index import SUMS, read_sums

logger = logging.getLogger(__name__)


def get(name: str, output_dir: Path, sources: Sequence[str], version: str | None = None) -> Path:
    """Download a bundle into ``output_dir/<name>``.

    Its SHA-256 is checked before anything is unpacked. If the folder already holds the same version, nothing is done.
    If it holds another version, the folder is renamed to ``<name>_v<its version>``, with all weights and outputs, from
    which users can copy their own settings and weights.

    Args:
        name: Name of the bundle.
        output_dir: created.
        sources: Zoos: URLs or folders with a ``SHA256SUMS``; the first that answers tells what there is, all are tried
            for the file.
        version: The latest when not given.

    Returns:
        The bundle's folder.

    Raises:
        ValueError: no such bundle or version in the zoo; a folder of that name that is no bundle; a zip file that
            leaves its folder.
        OSError: no source gave the right file.
    """
    release, sha256 = find(name, version, read_sums(read_text(sources, SUMS)))
    folder = output_dir / name
    former = version_of(folder) if folder.exists() else None
    if former == release.version:
        logger.info(f"{folder} holds {name} {former} already. To fetch it anew, move the folder away.")
        return folder
    output_dir.mkdir(parents=True, exist_ok=True)
    file = output_dir / release.file
    download(sources, file, sha256)
    with tempfile.TemporaryDirectory(dir=output_dir, prefix=".") as scratch:
        try:
            fresh = unpack_zip(file, name, Path(scratch))
        finally:
            file.unlink()
        found = metadata_version((fresh / "configs" / "metadata.json").read_bytes(), f"{release.file}: metadata.json")
        if found != release.version:
            raise ValueError(f"{release.file} holds version {found}: the zoo is wrong. Ask its owner, or another zoo.")
        if former is not None:
            kept = set_aside(folder, former)
            logger.info(f"The former {name} {former}, with its weights and outputs, is now {kept}.")
        shutil.move(fresh, folder)
    logger.info(f"{name} {release.version}: {folder}")
    return folder


def find(name: str, version: str | None, there: dict[Release, str]) -> tuple[Release, str]:
    """Return the requested release (the newest if no version is given) and its SHA-256.

    Raises:
        ValueError: no such bundle or version; the message gives the nearest names, or the versions.
    """
    names = sorted({release.name for release in there})
    if name not in names:
        raise ValueError(f"The zoo has no bundle {name!r}. {did_you_mean(name, names)}")
    releases = sorted((release for release in there if release.name == name), key=lambda release: release.order)
    meant = [release for release in releases if version in (None, release.version)]
    if not meant:
        raise ValueError(
            f"The zoo has no version {version} of {name}. There are: {', '.join(r.version for r in releases)}."
        )
    return meant[-1], there[meant[-1]]


def version_of(folder: Path) -> str:
    """Return the version of the bundle in a folder.

    Raises:
        ValueError: the folder holds no bundle.
    """
    file = folder / "configs" / "metadata.json"
    try:
        with file.open("rb") as stream:
            return metadata_version(stream.read(LARGEST_METADATA), str(file))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder} exists and is no bundle ({error}) Move it away, or choose another --output_dir."
        ) from error


def set_aside(folder: Path, version: str) -> Path:
    """Rename a bundle's folder to ``<name>_v<version>``, with a number at the end if that exists."""
    number, kept = 1, folder.with_name(f"{folder.name}_v{version}")
    while kept.exists():
        number += 1
        kept = folder.with_name(f"{folder.name}_v{version}_{number}")
    return folder.rename(kept)
