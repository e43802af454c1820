"""Remember which label ids occur in label maps, and find expected ids that never occur."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from ..files import folders
from ..files.content import Memo, identity

BACKGROUND = "background"


def keep_ids(label: str, ids: Iterable[int], cache_dir: str | Path | None = None) -> None:
    """Store the ids of a label map that has just been read."""
    _memo(cache_dir).set(identity(label), sorted(map(int, ids)))


def absent_ids(
    items: Sequence[Mapping[str, Any]], expected: Iterable[int], cache_dir: str | Path | None = None
) -> list[int]:
    """Return the expected ids, except 0, that occur in no label; empty if the ids of any label are not known.

    Args:
        items: Items with ``label``: path of a label map, or a class number.
        expected: Ids that labels may hold.
        cache_dir: See ``ssl3d.data.cache_dir``.
    """
    found: set[int] = set()
    memo = _memo(cache_dir)
    for item in items:
        label = item.get("label")
        if isinstance(label, Integral):
            found.add(int(label))
        elif label is not None:
            ids = memo.get(identity(label))
            if ids is None:
                return []
            found.update(ids)
    return sorted({int(value) for value in expected} - found - {0}) if found else []


def describe_absent(absent: Sequence[int], expected: Iterable[int], names: Mapping[int, str]) -> str:
    """Write a message on ids that occur in no training label, on the classes of the other ids, and on what to do.

    Args:
        absent: See ``absent_ids``.
        expected: Ids that labels may hold.
        names: Names of ids, as far as they are known.
    """
    one = len(absent) == 1
    text = f"no training label holds {'class' if one else 'classes'} {', '.join(_named(id, names) for id in absent)}."
    text += f" The network cannot learn {'it' if one else 'them'}."
    present = sorted(set(expected) - set(absent) - {0})
    known = [names[id] for id in present if id in names]
    if present and len(known) == len(present):
        ids = f"id {present[0]} is" if len(present) == 1 else f"ids {', '.join(map(str, present))} are"
        text += f" Label {ids} trained as {', '.join(known)}."
    if present != list(range(1, len(present) + 1)):
        return f"{text} Check the label ids, or leave {'this class' if one else 'these classes'} out."
    return (
        f"{text} If the data have no other classes, name them in the order of their ids, such as --label_names "
        f'"{",".join(known or ["head", "body", "tail"])}". Else check the label ids.'
    )


def _named(id: int, names: Mapping[int, str]) -> str:
    return f"{id} ({names[id]})" if id in names else str(id)


def _memo(cache_dir: str | Path | None) -> Memo:
    return Memo(folders.cache_dir(cache_dir) / "label_ids")
