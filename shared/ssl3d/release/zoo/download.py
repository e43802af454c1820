"""Download a file: continue after an interruption, and try one source after the other."""

import logging
import re
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from ..packing.archive import LARGEST, digest

logger = logging.getLogger(__name__)

TIMEOUT = 30  # seconds without an answer
BLOCK = 1 << 16
LONGEST_TEXT, PATIENCE = 2**20, 120  # bytes and seconds of a text file
FAILURES = (OSError, HTTPException)  # URLError and timeouts are OSErrors


def url_of(source: str) -> str:
    """Return a source as a URL without a trailing slash; a folder becomes a ``file:`` URL."""
    return (source if re.match(r"\w+://", source) else Path(source).expanduser().absolute().as_uri()).rstrip("/")


def read_text(sources: Sequence[str], name: str) -> str:
    """Read a small text file from the first source that has it.

    Raises:
        OSError: none has; the message gives the reason of each.
    """
    reasons = []
    for source in sources:
        try:
            with urlopen(f"{url_of(source)}/{name}", timeout=TIMEOUT) as answer:
                return _bounded(answer).decode("utf-8")
        except (*FAILURES, UnicodeDecodeError) as error:
            reasons.append(f"{source}: {error}")
    raise OSError(f"{name} could not be read. " + "; ".join(reasons))


def _bounded(answer: Any) -> bytes:
    """Read an answer of limited length in limited time.

    Raises:
        OSError: it is longer, or takes longer.
    """
    content, end = b"", time.monotonic() + PATIENCE
    while block := answer.read1(BLOCK):
        content += block
        if len(content) > LONGEST_TEXT:
            raise OSError(f"it is longer than {LONGEST_TEXT} bytes")
        if time.monotonic() > end:
            raise OSError(f"it did not end within {PATIENCE} s")
    return content


def download(sources: Sequence[str], file: Path, sha256: str) -> None:
    """Download a file of known SHA-256; if a source fails, continue with the next one.

    Partial downloads are kept in ``<file>.part``, from which a later call continues.

    Args:
        sources: URLs or folders that hold a file of this name, in the order to try.
        file: Path of the result, which exists only after all checks have passed.
        sha256: 64 hexadecimal digits.

    Raises:
        OSError: no source gave the right file; the message gives the reason of each.
    """
    part = file.with_name(f"{file.name}.part")
    reasons = []
    for source in sources:
        for attempt in ("resumed", "anew"):
            resumed = part.is_file()
            try:
                _append(f"{url_of(source)}/{file.name}", part)
            except FAILURES as error:
                reasons.append(f"{source}: {error}")
                break
            found = digest(part)
            if found == sha256:
                part.replace(file)
                return
            part.unlink()
            reasons.append(f"{source}: sha256 is {found}, and should be {sha256}")
            if not resumed or attempt == "anew":
                break  # what is wrong came from here
    raise OSError(f"{file.name} could not be downloaded. " + "; ".join(reasons))


def _append(url: str, part: Path) -> None:
    """Read the rest of a file, or the whole file if the server does not support ranges.

    Raises:
        OSError: the connection fails, or ends early.
    """
    start = part.stat().st_size if part.is_file() else 0
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        answer = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416:  # nothing is left after what is there: the hash tells whether that is right
            return
        raise
    with answer:
        length = answer.headers.get("Content-Length", "")
        start = start if answer.status == 206 else 0
        total = start + int(length) if re.fullmatch("[0-9]{1,15}", length) else None
        if total is not None and total > LARGEST:
            raise OSError(f"it has {total} bytes, and a bundle at most {LARGEST}")
        with (
            part.open("ab" if start else "wb") as stream,
            tqdm(desc=part.stem, initial=start, total=total, unit="B", unit_scale=True, disable=None) as bar,
        ):
            while block := answer.read(BLOCK):
                if stream.tell() + len(block) > LARGEST:
                    raise OSError(f"it does not end after {LARGEST} bytes")
                stream.write(block)
                bar.update(len(block))
    if total is not None and part.stat().st_size < total:
        raise OSError(f"it ended after {part.stat().st_size} of {total} bytes")
