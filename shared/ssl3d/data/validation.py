"""Validate the files of a data set before any training time is spent; report every fault with a remedy."""

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..files import folders
from ..files.content import Memo, identity
from ..files.texts import counted
from ..imaging.nifti import is_nifti
from ..imaging.scan_facts import image_files, keep_facts
from ..imaging.volume import Volume
from .checks import Fault, check_item

logger = logging.getLogger(__name__)

CHECKS_VERSION = 5  # raise it when a check changes, so that files are checked anew
THREADS = 4  # unzipping and hashing run in parallel; this many volumes are in memory
SHOWN = 20


class DataError(ValueError):
    """Raised for files that cannot be used.

    Attributes:
        faults: All faults; the message shows the first 20.
    """

    def __init__(self, faults: Sequence[Fault], total: int) -> None:
        super().__init__(faults, total)
        self.faults, self.total = list(faults), total

    def __str__(self) -> str:
        found = f"{counted(len(self.faults), 'fault')} in {counted(self.total, 'case')}"
        lines = [f"{found}:", *(f"  {fault}" for fault in self.faults[:SHOWN])]
        if len(self.faults) > SHOWN:
            lines.append(f"  ... and {len(self.faults) - SHOWN} more; `ssl3d doctor FOLDER` shows all of them")
        return "\n".join([*lines, "Fix the files, or skip these cases with --skip_bad true."])


def validate(
    items: Sequence[Mapping[str, Any]],
    *,
    channels: int | None = 1,
    label_ids: Iterable[int] | None = None,
    require_label: bool = False,
    skip_bad: bool = False,
    cache_dir: str | Path | None = None,
) -> tuple[list[Mapping[str, Any]], list[Fault]]:
    """Check all items; files that have not changed since an earlier check are not read again.

    A progress bar appears after two seconds. Faults that are no errors (such as an empty label map) are logged as
    warnings.

    Args:
        items: Datalist items.
        channels: See ``check_item``.
        label_ids: See ``check_item``.
        require_label: See ``check_item``.
        skip_bad: Log bad items and leave them out instead of raising.
        cache_dir: Folder for the results (see ``ssl3d.data.cache_dir``).

    Returns:
        The good items in their order, and the faults of the others.

    Raises:
        DataError: with all faults found, unless ``skip_bad``; and always when no item is good.
    """
    folder = folders.cache_dir(cache_dir)
    memo = Memo(folder / "validated")
    ids = None if label_ids is None else sorted({int(value) for value in label_ids})
    settings = {"version": CHECKS_VERSION, "channels": channels, "label_ids": ids, "require_label": require_label}

    def check(item: Mapping[str, Any]) -> list[Fault]:
        key = _memo_key(item, settings)
        kept = memo.get(key, _restored) if key else None
        if kept is not None:
            return kept
        images = set(image_files(item))

        def keep(file: str, volume: Volume) -> None:
            if file in images:
                keep_facts(file, volume, folder)

        found = check_item(
            item, channels=channels, label_ids=ids, require_label=require_label, cache_dir=folder, seen=keep
        )
        if key:
            memo.set(key, found)
        return found

    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        checked = tqdm(pool.map(check, items), "Checking data", len(items), delay=2, leave=False, disable=None)
        found = list(checked)
    for fault in (fault for faults in found for fault in faults if not fault.fatal):
        logger.warning("%s", fault)
    fatal = [[fault for fault in faults if fault.fatal] for faults in found]
    good = [item for item, faults in zip(items, fatal, strict=True) if not faults]
    bad = [fault for faults in fatal for fault in faults]
    if bad and (not skip_bad or not good):
        raise DataError(bad, len(items))
    for fault in bad:
        logger.warning("Skipped: %s", fault)
    return good, bad


def _restored(kept: Any) -> list[Fault]:
    """Turn stored entries back into faults; raise an error if they are none."""
    found = [Fault(*fault) for fault in kept]
    if not all(isinstance(text, str) for fault in found for text in fault[:3]):
        raise TypeError("not a list of faults")
    return found


def _memo_key(item: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Return a key that changes whenever a file of the item or a setting changes; empty while a file is missing."""
    label = item.get("label")
    paths = [item["image"]] if isinstance(item["image"], (str, Path)) else list(item["image"])
    try:
        files = [identity(path) for path in paths]
        text = identity(label) if isinstance(label, str) and is_nifti(label) else repr(label)
    except OSError:
        return ""
    return json.dumps([files, item.get("series"), text, settings], sort_keys=True)
