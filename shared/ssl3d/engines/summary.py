"""The last words of a run."""

import logging
from pathlib import Path

from .preflight import running_workflow

logger = logging.getLogger(__name__)

DATA = ("train::dataset::data", "validate::dataset::data", "dataset::data")


def summary() -> None:
    """Log the files that were left out and where the results are; last entry of each ``run`` list."""
    parser = running_workflow().parser
    for id in DATA:
        if id in parser.ref_resolver.resolved_content:  # what the run did not read is not read now
            for fault in getattr(parser.get_parsed_content(id), "skipped", []):
                logger.warning(f"Skipped: {fault}")
    folder = Path(parser.get_parsed_content("run_dir" if "run_dir" in parser else "output_dir"))
    logger.info(f"Results: {folder.absolute()}")
