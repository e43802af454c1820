"""Write files at once: a reader sees the former or the new content, never a part."""

import csv
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces ``file`` atomically if the block ends without an error."""
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
