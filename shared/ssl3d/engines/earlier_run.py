"""Set the results of an earlier run in the same folder aside, so that they never mix with new results."""

import logging
import os
from itertools import count
from pathlib import Path

from ..data.splits import SECTIONS
from . import cases, failures, progress

logger = logging.getLogger(__name__)

FOLDER = "previous"
RESULTS = ("model.pt", "model.json", "pretraining.pth", "pretraining.json", "preview.png", progress.FILE)
BESIDE = (cases.FILE, failures.FILE)  # moved together with results, but no results on their own
SCORES = "metrics.csv"  # marks a folder of scores among folders that are named like a section


def keep_earlier_run(folder: str | Path) -> Path | None:
    """Move the weights, pictures, tables and scores of an earlier run to ``previous/run_1``, or the next free number.

    Args:
        folder: Folder of the new run.

    Returns:
        Folder that now holds the earlier results; None if there are none.
    """
    folder = Path(folder)
    found = [folder / name for name in RESULTS if (folder / name).is_file()]
    found += [folder / section for section in SECTIONS if (folder / section / SCORES).is_file()]
    if not found:
        return None
    own = f".{os.getpid()}."  # in the name of TensorBoard's file of this run, which exists already
    found += [file for file in folder.glob("events.out.tfevents.*") if own not in file.name]
    found += [folder / name for name in BESIDE if (folder / name).is_file()]
    kept = next(path for number in count(1) if not (path := folder / FOLDER / f"run_{number}").exists())
    kept.mkdir(parents=True)
    for path in found:
        path.rename(kept / path.name)
    logger.info(f"The results of an earlier run are kept in {kept.absolute()}.")
    return kept
