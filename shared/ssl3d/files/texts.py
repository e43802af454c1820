"""Texts and JSON that people wrote: any encoding of theirs is read, and whatever is wrong names the file."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .stand_ins import stand_in

LARGEST = 256 << 20  # bytes: a list of a million cases is smaller
KINDS: dict[type, str] = {dict: "an object", list: "a list"}


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 case``, ``3 cases``."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def printable(text: str | Path) -> str:
    """Return a path or name as text that can be printed and written; bytes that are not UTF-8 become ``\\udc..``."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8 or UTF-16, with or without byte order mark, as Windows programs write them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read as text; the message names the file and says what to do.
    """
    path, shown = Path(path), printable(path)
    if os.path.lexists(path) and not path.is_file():
        raise ValueError(f"{shown} is not a file (a folder, a pipe or a broken link). Give the path of a text file.")
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{shown} is too large ({path.stat().st_size / 1e6:,.0f} MB). Give the right file.")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{shown} is unreadable ({error.strerror}). Check that you may read it.") from error
    found = stand_in(raw)
    if found is not None:
        raise ValueError(f"{shown} is {found.problem}. {found.remedy}.")
    try:
        return raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError as error:
        raise ValueError(f"{shown} is neither UTF-8 nor UTF-16 ({error.reason}). Save it as UTF-8.") from error


def read_json(
    path: str | Path, kind: type | None = dict, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """Read a JSON file; see :func:`read_text` for its encoding.

    Args:
        path: JSON file.
        kind: Expected type of the content, ``dict`` or ``list``; None: any.
        object_pairs_hook: See ``json.loads``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, too large, nested too deep, or of another type; the message names the file.
    """
    text, shown = read_text(path), printable(path)
    try:
        content = json.loads(text, object_pairs_hook=object_pairs_hook)
    except ValueError as error:
        raise ValueError(f"{shown} is not valid JSON: {error}.") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError(f"{shown} is nested too deep or too large for a JSON file of settings.") from error
    if kind is not None and not isinstance(content, kind):
        raise ValueError(f"{shown} must hold {KINDS[kind]}, not a {type(content).__name__}.")
    return content
