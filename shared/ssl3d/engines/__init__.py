"""The little that running a bundle needs beside MONAI and Ignite."""

from .checkpoints import Checkpoints
from .flag import flag
from .preflight import PreflightError, preflight
from .progress import Progress
from .publish import Publish
from .start import run_folder, start_network, trained_network
from .summary import summary

__all__ = [
    "Checkpoints",
    "PreflightError",
    "Progress",
    "Publish",
    "flag",
    "preflight",
    "run_folder",
    "start_network",
    "summary",
    "trained_network",
]
