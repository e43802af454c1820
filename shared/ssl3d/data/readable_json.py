"""JSON for people: four spaces, and what fits into one line of 120 columns stands on one line."""

import json
from typing import Any

WIDTH = 120


def readable_json(value: Any) -> str:
    """``value`` as JSON text with a final newline."""
    return _text(value, 0, 0) + "\n"


def _text(value: Any, indent: int, used: int) -> str:
    """``value`` nested ``indent`` spaces deep, where ``used`` columns of its first line are taken."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value or (indent > 0 and used + len(line) < WIDTH):
        return line
    space = " " * (indent + 4)
    if isinstance(value, list):
        rows = [space + _text(entry, indent + 4, indent + 4) for entry in value]
        return "[\n" + ",\n".join(rows) + "\n" + " " * indent + "]"
    keys = [f"{space}{json.dumps(key, ensure_ascii=False)}: " for key in value]
    rows = [key + _text(entry, indent + 4, len(key)) for key, entry in zip(keys, value.values(), strict=True)]
    return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
