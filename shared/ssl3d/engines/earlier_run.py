"""The results of an earlier run in the folder of a new one: kept, and never mixed with the new ones."""

import logging
import os
from itertools import count
from pathlib import Path

from ..data.splits import SECTIONS
from . import cases, failures, progress

logger = logging.getLogger(__name__)

FOLDER = "previous"
RESULTS = ("model.pt", "model.json", "pretraining.pth", "pretraining.json", "preview.png", progress.FILE)
BESIDE = (cases.FILE, failures.FILE)  # moved with results, and no results by themselves
SCORES = "metrics.csv"  # tells a folder of scores from another one of the name of a section


def keep_earlier_run(folder: str | Path) -> Path | None:
    """Move the weights, pictures, tables and scores of an earlier run to ``previous/run_1``, or the next free number.

    Args:
        folder: Folder of the run that begins.

    Returns:
        Where they are kept; None where there are none.
    """
    folder = Path(folder)
    found = [folder / name for name in RESULTS if (folder / name).is_file()]
    found += [folder / section for section in SECTIONS if (folder / section / SCORES).is_file()]
    if not found:
        return None
    own = f".{os.getpid()}."  # the curves of this run have begun already
    found += [file for file in folder.glob("events.out.tfevents.*") if own not in file.name]
    found += [folder / name for name in BESIDE if (folder / name).is_file()]
    kept = next(path for number in count(1) if not (path := folder / FOLDER / f"run_{number}").exists())
    kept.mkdir(parents=True)
    for path in found:
        path.rename(kept / path.name)
    logger.info(f"The results of an earlier run are kept in {kept.absolute()}.")
    return kept
