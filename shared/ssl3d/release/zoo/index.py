"""Write the index of a folder of packed bundles, which makes it a zoo that any web server can serve."""

import re
import zipfile
from pathlib import Path

from ...files.atomic import replacing
from ...files.readable_json import readable_json
from ..packing.archive import LARGEST_METADATA, Release, check_zip, digest, metadata_version, release_of

SUMS = "SHA256SUMS"
INFO = "model_info.json"


def index(folder: Path, url: str = "") -> list[Release]:
    """Write ``SHA256SUMS`` (for ``sha256sum -c`` and ``ssl3d zoo get``) and ``model_info.json`` (MONAI's form).

    Args:
        folder: Holds packed bundles, several versions of one if need be.
        url: Address of the published folder, for the sources in ``model_info.json``; names of files when empty.

    Returns:
        The releases, by name and version.

    Raises:
        ValueError: no packed bundle there, or one whose name, folder or metadata do not agree.
    """
    releases = sorted(
        (release for file in folder.glob("*.zip") if (release := release_of(file.name))),
        key=lambda release: (release.name, release.order),
    )
    if not releases:
        raise ValueError(f"{folder} holds no packed bundle: no file is called <name>_v<version>.zip.")
    for release in releases:
        _check(folder / release.file, release)
    base = url.rstrip("/") + "/" if url else ""
    sums = "".join(f"{digest(folder / release.file)}  {release.file}\n" for release in releases)
    info = {
        release.file.removesuffix(".zip"): {
            "checksum": digest(folder / release.file, "sha1"),
            "source": base + release.file,
        }
        for release in releases
    }
    for name, text in ((SUMS, sums), (INFO, readable_json(info))):
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return releases


def read_sums(text: str) -> dict[Release, str]:
    """Parse the text of a ``SHA256SUMS``: release -> SHA-256.

    Raises:
        ValueError: the text has another form.
    """
    found = {}
    for line in text.splitlines():
        sha256, _, file = line.partition("  ")
        release = release_of(file)
        if release is None or not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"no line of {SUMS}: {line[:80]!r}")
        found[release] = sha256
    return found


def _check(file: Path, release: Release) -> None:
    check_zip(file, release.name)
    name = f"{release.name}/configs/metadata.json"
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.getinfo(name).file_size > LARGEST_METADATA:
                raise ValueError(f"{file}: {name} is larger than {LARGEST_METADATA} bytes.")
            content = archive.read(name)
    except KeyError as error:
        raise ValueError(f"{file} is no packed bundle: {error}.") from error
    version = metadata_version(content, f"{file}: {name}")
    if version != release.version:
        raise ValueError(f"{file} holds version {version}. Pack the bundle again.")
