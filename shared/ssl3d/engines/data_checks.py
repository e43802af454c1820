"""Check the data of a run against its preprocessing before training: size after resampling, and intensities."""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser
from monai.transforms import Compose

from ..data import Datalist, PairList
from ..data.fit import fit, prepared_size
from ..imaging.scan_facts import image_files, kept_facts
from ..weights.facts import preprocessing

logger = logging.getLogger(__name__)

MANY = 100  # windows of a scan; fewer take little time and are not logged
REFERENCE = re.compile(r"@([\w#:]+)")


def check_data(parser: ConfigParser, engine: str) -> None:
    """Check the items of each data set that an engine needs, before the data sets and the engine are built.

    Scans that would be far too large after resampling, or far too small to train on, are refused by name. With
    ``skip_bad`` they are left out of a ``Datalist`` or ``PairList``. Scans whose intensities do not suit the scaling
    are named in a warning.

    Args:
        parser: Config of the running workflow.
        engine: Id of the engine, such as ``train#trainer``.

    Raises:
        DataError: scans that the run cannot use.
    """
    for id in datasets(parser, engine):
        transform, data = (parser.get_parsed_content(f"{id}#{key}") for key in ("transform", "data"))
        if not isinstance(transform, Compose) or not all(isinstance(item, Mapping) for item in data):
            continue
        facts = preprocessing(transform)
        if "roi_size" in parser:
            facts["roi_size"] = parser.get_parsed_content("roi_size")
        facts["compares_units"] = any(getattr(step, "passport", None) is not None for step in transform.transforms)
        ours = isinstance(data, (Datalist, PairList))
        good, faults = fit(
            data,
            facts,
            training=engine.startswith("train"),
            skip_bad=ours and data.skip_bad,
            cache_dir=data.cache_dir if ours else None,
        )
        if ours and faults:
            data[:] = good
            data.skipped = [*data.skipped, *faults]
            if isinstance(data, Datalist):  # that of a ``PairList`` counts volumes
                data.corpus = [{**entry, "count": len(data)} for entry in data.corpus]
        if ours and "overlap" in parser and "roi_size" in facts and not engine.startswith("train"):
            largest(data, facts, parser.get_parsed_content("overlap"), data.cache_dir)


def largest(
    items: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], overlap: float, cache_dir: str | Path | None = None
) -> None:
    """Log the size of the largest scan if it takes many windows, so that users understand a long run.

    Args:
        items: Items of a run.
        facts: ``spacing``, ``orientation`` and ``roi_size`` of the run, as ``fit`` takes them.
        overlap: Share of a window that the next one covers too, in [0, 1).
        cache_dir: Folder with the results of validation.
    """
    roi_size = np.array(facts["roi_size"])
    sizes = {}
    for item in items:
        for file in image_files(item):
            scan = kept_facts(file, cache_dir)
            if scan is not None:
                _, stored = scan.turned(facts.get("orientation"))
                sizes[file] = prepared_size(scan, facts, facts.get("spacing") or stored)
    if not sizes:
        return
    file = max(sizes, key=lambda name: float(np.prod(sizes[name])))
    steps = np.maximum(1, np.floor(roi_size * (1 - overlap)))
    windows = int(np.prod(np.ceil(np.maximum(0, sizes[file] - roi_size) / steps) + 1))
    if windows >= MANY:
        voxels, window = (" x ".join(f"{side:.0f}" for side in size) for size in (sizes[file], roi_size))
        logger.info(f"Largest of {len(sizes)} scans: {file}, {voxels} voxels, {windows} windows of {window}.")


def datasets(parser: ConfigParser, id: str) -> list[str]:
    """Find the ids of the data sets (entries with ``data`` and ``transform``) that a config entry refers to."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [id]
    while waiting:
        id = waiting.pop().replace("::", "#")
        if id in seen or id not in parser:
            continue
        seen.add(id)
        config = parser.get(id)
        for path, entry in _entries(config, id):
            if isinstance(entry, dict) and {"_target_", "data", "transform"} <= entry.keys():
                found[path] = None
        waiting += REFERENCE.findall(json.dumps(config, default=str))
    return list(found)


def _entries(config: Any, id: str) -> Iterator[tuple[str, Any]]:
    """Yield ``config`` and each entry below it, with its id."""
    yield id, config
    children = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for key, value in children:
        yield from _entries(value, f"{id}#{key}")
