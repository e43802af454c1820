"""JSON for people: four spaces, one line for what fits into 120 columns, few lines for a component."""

import json
from typing import Any

WIDTH = 120


def readable_json(value: Any) -> str:
    """``value`` as JSON text with a final newline."""
    text = _text(value, 0, 0) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # a path that is not UTF-8, as JSON escapes it


def _text(value: Any, indent: int, used: int) -> str:
    """``value`` nested ``indent`` spaces deep, where ``used`` columns of its first line are taken."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value or (indent > 0 and used + len(line) <= WIDTH):
        return line
    space = " " * (indent + 4)
    if isinstance(value, list):
        rows = [space + _entry(entry, indent + 4) for entry in value]
        return "[\n" + ",\n".join(rows) + "\n" + " " * indent + "]"
    keys = [f"{space}{json.dumps(key, ensure_ascii=False)}: " for key in value]
    texts = [_member(entry, indent + 4, len(key)) for key, entry in zip(keys, value.values(), strict=True)]
    rows = [key + text for key, text in zip(keys, texts, strict=True)]
    return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"


def _member(value: Any, indent: int, used: int) -> str:
    """Format a member of an object; a component takes as few lines as its members need."""
    text = _text(value, indent, used)
    return _packed(value, text, indent) if isinstance(value, dict) and "_target_" in value else text


def _entry(value: Any, indent: int) -> str:
    """Format an entry of a list; an object, such as a transform, takes as few lines as its members need."""
    return _packed(value, _text(value, indent, indent), indent)


def _packed(value: Any, text: str, indent: int) -> str:
    """Put as many members into a line as fit, of an object of which ``text`` has one line for each member."""
    if not isinstance(value, dict) or "\n" not in text or text.count("\n") != len(value) + 1:
        return text  # one line already, or with members of several lines
    lines: list[str] = []
    for member in text.splitlines()[1:-1]:
        word = member.strip()
        if lines and indent + 4 + len(lines[-1]) + 1 + len(word) <= WIDTH:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return "{\n" + "\n".join(" " * (indent + 4) + line for line in lines) + "\n" + " " * indent + "}"
