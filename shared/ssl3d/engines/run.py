"""The handlers that every training needs, as one handler that knows their order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from monai.engines import Evaluator, Trainer
from monai.handlers import LrScheduleHandler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..data import DrawDataset
from .checkpoints import Checkpoints
from .gradient_shares import GradientShares
from .progress import Progress
from .publish import Publish
from .teacher_update import TeacherUpdate


class Handler(Protocol):
    """What Ignite calls a handler: it adds itself to the events of a trainer."""

    def attach(self, trainer: Trainer) -> None:
        """Add event handlers to the trainer."""


class Run:
    """Handler of a trainer that follows a run from its first step to its weights.

    In this order it updates the teacher, measures gradient shares, reports progress, draws the preview, steps the
    schedule, saves the checkpoint, and at the end writes the weights. List it after the ``ValidationHandler``.

    Args:
        directory: Folder of the run; see ``run_folder``.
        network: The network in training: a method, or a task network.
        optimizer: Its optimiser.
        dataset: Its training data.
        lr_scheduler: Schedule of the learning rate, stepped at the end of each epoch; None: the rate stays.
        evaluator: The evaluator whose metrics are reported and choose the best weights, if any.
        preview: Handler that draws ``preview.png``, such as ``Preview`` or ``ViewsPreview``, if any.
        teacher: Handler that updates the teacher of a method that has one.
        gradient_shares: Handler that measures which part of the loss moves the backbone, if any.
        resume: Whether to go on from the checkpoint in ``directory``; see ``Checkpoints``.
        model_dir, pretrained, bundle_root, method, branch, roi_size, publish, label_names: See ``Publish``.

    Raises:
        ValueError: On construction: a checkpoint that does not fit, or see ``Publish``.

    Example:
        >>> Run("output", network, optimizer, dataset, model_dir="models").attach(trainer)  # doctest: +SKIP
    """

    def __init__(
        self,
        directory: str | Path,
        network: nn.Module,
        optimizer: Optimizer,
        dataset: DrawDataset,
        lr_scheduler: LRScheduler | None = None,
        evaluator: Evaluator | None = None,
        preview: Handler | None = None,
        teacher: TeacherUpdate | None = None,
        gradient_shares: GradientShares | None = None,
        resume: bool | str = False,
        model_dir: str | Path = "models",
        pretrained: str | Path = "none",
        bundle_root: str | Path = ".",
        method: str = "supervised",
        branch: str | None = None,
        roi_size: Sequence[int] | None = None,
        publish: bool | str = False,
        label_names: Sequence[str] = (),
    ) -> None:
        handlers = (
            teacher,
            gradient_shares,
            Progress(directory, evaluator),
            preview,
            LrScheduleHandler(lr_scheduler, print_lr=False) if lr_scheduler is not None else None,  # type: ignore[arg-type]
            Checkpoints(directory, network, optimizer, lr_scheduler, evaluator, resume),
            Publish(
                directory,
                model_dir,
                network,
                dataset,
                pretrained,
                bundle_root,
                method=method,
                branch=branch,
                roi_size=roi_size,
                publish=publish,
                label_names=label_names,
            ),
        )
        self.handlers: list[Handler] = [handler for handler in handlers if handler is not None]

    def attach(self, trainer: Trainer) -> None:
        """Attach all handlers in their order."""
        for handler in self.handlers:
            handler.attach(trainer)
