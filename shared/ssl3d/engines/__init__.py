"""Components for running a bundle that MONAI and Ignite do not have."""

from .best import higher, lower
from .checkpoints import Checkpoints
from .flag import flag
from .gradient_shares import GradientShares
from .mean_loss import MeanLoss, MeanPart
from .preflight import PreflightError, preflight
from .progress import Progress
from .publish import Publish
from .run import Run
from .start import run_folder, start_network, trained_network
from .summary import summary
from .teacher_update import TeacherUpdate

__all__ = [
    "Checkpoints",
    "GradientShares",
    "MeanLoss",
    "MeanPart",
    "PreflightError",
    "Progress",
    "Publish",
    "Run",
    "TeacherUpdate",
    "flag",
    "higher",
    "lower",
    "preflight",
    "run_folder",
    "start_network",
    "summary",
    "trained_network",
]
