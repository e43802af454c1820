"""Find the running bundle workflow from within the components of its config."""

import inspect
import sys
from pathlib import Path

import torch.distributed as dist
from monai.bundle import ConfigWorkflow


def find_workflow() -> ConfigWorkflow | None:
    """Find the running bundle workflow on the call stack; None if no workflow runs.

    An expression of a config cannot access the merged config otherwise.
    """
    frame = inspect.currentframe()
    while frame is not None:
        workflow = frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow):
            return workflow
        frame = frame.f_back
    return None


def rank() -> int:
    """Return the rank of this process in a distributed run, 0 for a single process."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def processes() -> int:
    """Return the number of processes of a distributed run, 1 for a single process."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def started_by_command_line() -> bool:
    """Return whether this process is ``python -m monai.bundle``."""
    return Path(sys.argv[0]).parts[-2:] == ("bundle", "__main__.py")


def root_cause(error: BaseException) -> BaseException:
    """Return the original error of a component, without the errors that MONAI wraps around it."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
