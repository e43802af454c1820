"""Report the cases of training, validation and test: one log line at the start of a run, and ``cases.json``."""

import logging
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from ..data.splits import SECTIONS
from ..files.atomic import replacing
from ..files.readable_json import readable_json
from ..files.texts import counted
from .workflow import rank

logger = logging.getLogger(__name__)

FILE = "cases.json"
TRAINING, VALIDATION = "train#dataset#data", "validate#dataset#data"
FEW = 5  # with fewer validation cases the choice of the best weights is mostly chance
SHOWN = 6  # names of a section in the log


def announce_cases(parser: ConfigParser) -> None:
    """Log the cases of each section and write ``cases.json`` into the run's folder, for training and evaluation.

    A training without validation cases keeps the last weights, which is logged. In a distributed run only the first
    process logs and writes.

    Args:
        parser: Parser of the running workflow, whose data are built already.

    Raises:
        ValueError: an evaluation without cases.
    """
    run = " ".join(map(str, parser.get("run", []))).replace("::", "#")
    trains = "@train#trainer.run()" in run
    if not trains or TRAINING not in parser:
        if VALIDATION in parser and "@validate#evaluator.run()" in run:
            _check_evaluated(parser)
        return
    training = parser.get_parsed_content(TRAINING)
    validation = parser.get_parsed_content(VALIDATION) if VALIDATION in parser else []
    document = describe_cases(training, validation)
    if not validation:
        warnings.filterwarnings("ignore", message=".*dataloader. is empty", category=UserWarning)  # logged below
    if rank() > 0:
        return
    parts = ", ".join(f"{len(document[s])} for {s} ({_some(document[s])})" for s in SECTIONS if document.get(s))
    rest = f"; {len(document['left_out'])} left out ({_some(document['left_out'])})" if document["left_out"] else ""
    file = Path(parser.get_parsed_content("run_dir" if "run_dir" in parser else "output_dir")) / FILE
    how = f" [{document['split']}]" if document["split"] else ""
    logger.info("Cases: %s%s%s. All names: %s", parts, rest, how, file.absolute())
    if not validation:
        logger.warning("Nothing is validated: the weights of the last epoch are kept.")
    elif len(validation) < FEW:
        logger.warning(
            "Only %s (%s): too few to choose the best weights reliably or to trust their score. For "
            'scores of all cases train one run per fold: --split "folds 5/0" to "folds 5/4".',
            counted(len(validation), "validation case"),
            _some(document["validation"]),
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        temporary.write_text(readable_json(document), encoding="utf-8")


def describe_cases(training: Iterable[Mapping[str, Any]], validation: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the names of the cases of each section, in the form that ``--split`` reads.

    Args:
        training: Training items of the run, with ``name`` or ``image``. The ``sections`` of a ``Datalist`` also name
            the test cases.
        validation: Validation items of the run, with ``name`` or ``image``.
    """
    sections = getattr(training, "sections", {})
    document: dict[str, Any] = {"split": getattr(training, "how", "")}
    document["training"], document["validation"] = _names(training), _names(validation)
    used = {*document["training"], *document["validation"]}
    document["test"] = [name for name in sections.get("test", []) if name not in used]
    listed = (name for section in ("training", "validation") for name in sections.get(section, []))
    document["left_out"] = [name for name in listed if name not in used]
    return document


def section_to_evaluate(parser: ConfigParser) -> str:
    """Return ``test``, else ``validation`` if the run has no test cases, else an empty text."""
    sections = getattr(parser.get_parsed_content(TRAINING), "sections", {}) if TRAINING in parser else {}
    return next((section for section in ("test", "validation") if sections.get(section)), "" if sections else "test")


def _names(items: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(item.get("name", item.get("image", ""))) for item in items]


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= SHOWN else f"{', '.join(names[: SHOWN // 2])}, ..., {names[-1]}"


def _check_evaluated(parser: ConfigParser) -> None:
    data = parser.get_parsed_content(VALIDATION)
    if len(data) == 0:
        section = parser.get_parsed_content("section") if "section" in parser else "validation"
        raise ValueError(
            f"There are no cases for {section}: this split has no validation cases. Choose another --section, such as "
            "training, or the --split of the training run."
        )
