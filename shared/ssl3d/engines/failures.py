"""Explain in a few words why a run failed, and how to continue."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from monai.bundle import ConfigWorkflow

from .checkpoints import FILE as CHECKPOINT
from .checkpoints import NotFiniteError
from .workflow import root_cause

FILE = "error.txt"
Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]


def explain_failures(workflow: ConfigWorkflow) -> None:
    """Replace the traceback at the end of a failed command by a message: what happened, and what to do.

    MONAI wraps an error in some hundred lines, with the cause in the middle. The whole traceback goes to ``error.txt``
    in the output folder. If that file cannot be written, the traceback is printed before the message.
    """
    usual = sys.excepthook

    def explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        details = "" if isinstance(error, KeyboardInterrupt) else _write(workflow, kind, error, trace)
        if details is None:
            usual(kind, error, trace)
        print(f"\n{explanation(workflow, error)}{details or ''}", file=sys.stderr)

    sys.excepthook = explain


def explanation(workflow: ConfigWorkflow, error: BaseException) -> str:
    """Write why and where a run ended, and how to continue from the last checkpoint."""
    found: dict[str, Any] = workflow.parser.ref_resolver.resolved_content
    state = getattr(found.get("train::trainer"), "state", None)
    begun = state is not None and state.epoch > 0
    where = f" in epoch {state.epoch} of {state.max_epochs}" if state is not None and begun else ""
    root = root_cause(error)
    if isinstance(error, KeyboardInterrupt):
        text = f"Interrupted{where}."
    elif not begun and "train::trainer" in found:
        text = f"Stopped before the run: {_words(root)}"
    else:
        text = f"Stopped{where}: {_words(root)}"
    folder = found.get("run_dir")
    checkpoint = None if folder is None else Path(folder) / CHECKPOINT
    if begun and not isinstance(root, NotFiniteError) and checkpoint is not None and checkpoint.is_file():
        text += f"\nThe last complete epoch is kept in {checkpoint}: add --resume true to continue from there."
    return text


def _words(error: BaseException) -> str:
    text = str(error).strip()
    named = isinstance(error, (ValueError, RuntimeError)) and text  # messages that need no class name
    return text if named else f"{type(error).__name__}: {text}"


def _write(
    workflow: ConfigWorkflow, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> str | None:
    """Write the traceback to the output folder and return a line with its path; None if writing fails."""
    found: dict[str, Any] = workflow.parser.ref_resolver.resolved_content
    folder = found.get("run_dir", found.get("output_dir"))
    rank = int(os.environ.get("RANK", 0))
    if folder is None:
        return None
    file = Path(folder) / (FILE if rank == 0 else f"error_rank{rank}.txt")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(traceback.format_exception(kind, error, trace)), encoding="utf-8")
        return f"\nDetails for a bug report: {file}"
    except OSError:
        return None
