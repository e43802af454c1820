"""Small text files that stand in for data: pointers of Git LFS and git-annex, and web pages of failed downloads."""

import re
from typing import NamedTuple

LENGTH = 1024  # bytes at the start of a file that tell


class StandIn(NamedTuple):
    """What a file is instead of data, and what to do."""

    problem: str
    remedy: str


LFS = StandIn("a Git LFS pointer, not the file itself", "Run `git lfs pull` in the repository of the data")
ANNEX = StandIn(
    "a git-annex pointer, not the file itself", "Run `datalad get` (or `git annex get`) in the repository of the data"
)
PAGE = StandIn("a web page (HTML or XML), not the file itself: the download failed", "Download the file again")
PATTERNS = (
    (re.compile(rb"version https?://(git-lfs|hawser)\.github\.com/spec/"), LFS),
    (re.compile(rb"(\.{1,2}/)*(\.git)?/?annex/objects/"), ANNEX),  # also a link that was checked out as a text
    (re.compile(rb"<(!doctype|html|head|body|\?xml|!--)", re.IGNORECASE), PAGE),
)


def stand_in(start: bytes) -> StandIn | None:
    """Recognise from its first bytes a file that stands in for the data; None for any other file."""
    text = start[:LENGTH].removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for pattern, kind in PATTERNS if pattern.match(text)), None)
