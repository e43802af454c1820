"""The bundle workflow that is running, as seen from the components of its config."""

import inspect
import sys
from pathlib import Path

from monai.bundle import ConfigWorkflow


def find_workflow() -> ConfigWorkflow | None:
    """Return the bundle workflow that calls, directly or not, the caller of this function; None if no workflow runs.

    An expression of a config sees the merged config no other way.
    """
    frame = inspect.currentframe()
    while frame is not None:
        workflow = frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow):
            return workflow
        frame = frame.f_back
    return None


def started_by_command_line() -> bool:
    """Return whether this process is ``python -m monai.bundle``."""
    return Path(sys.argv[0]).parts[-2:] == ("bundle", "__main__.py")


def root_cause(error: BaseException) -> BaseException:
    """Return what a component raised, without the errors that MONAI wraps around it."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
