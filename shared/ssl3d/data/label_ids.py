"""Which label ids occur in label maps, as the checks have counted them, and which expected ones never do."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from . import folders
from .content import Memo, identity


def keep_ids(label: str, ids: Iterable[int], cache_dir: str | Path | None = None) -> None:
    """Keep the ids of a label map that has just been read."""
    _memo(cache_dir).set(identity(label), sorted(map(int, ids)))


def absent_ids(
    items: Sequence[Mapping[str, Any]], expected: Iterable[int], cache_dir: str | Path | None = None
) -> list[int]:
    """Expected ids, 0 apart, that no label of checked items holds; empty if the ids of a label are not known.

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


def _memo(cache_dir: str | Path | None) -> Memo:
    return Memo(folders.cache_dir(cache_dir) / "label_ids")
