"""Checkpoints at epoch ends: written atomically, resumed bit for bit."""

import logging
import os
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from ignite.handlers import DiskSaver
from monai.engines import Evaluator, Trainer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

logger = logging.getLogger(__name__)

FILE = "checkpoint.pt"


def unwrapped(network: nn.Module) -> nn.Module:
    """The network inside of its distributed wrapper, or the network itself."""
    return network.module if isinstance(network, DistributedDataParallel) else network


class Checkpoints:
    """Handler of a trainer that saves at each epoch's end all that a killed run needs to end in the same weights.

    The file holds network, optimiser, schedule, gradient scaler, trainer state, the validation's best value and the
    weights that reached it: one file, replaced atomically, so that its parts always belong together. (Ignite's own
    ``Checkpoint`` deletes a file of the same name before it writes the new one.) List it after the handlers that
    validate and that step the schedule.

    Args:
        directory: folder of the file; made when needed.
        network: the network in training.
        optimizer: its optimiser.
        lr_scheduler: the schedule, if any.
        evaluator: the evaluator whose key metric chooses the best weights, if any.
        resume: go on from the file; without one the run starts anew. When false, a file that is there is kept under
            the name ``previous_checkpoint.pt``.
    """

    def __init__(
        self,
        directory: str | Path,
        network: nn.Module,
        optimizer: Optimizer,
        lr_scheduler: LRScheduler | None = None,
        evaluator: Evaluator | None = None,
        resume: bool = False,
    ) -> None:
        self.path = Path(directory) / FILE
        self.network = unwrapped(network)
        self.parts: dict[str, Any] = {"network": self.network, "optimizer": optimizer}
        if lr_scheduler is not None:
            self.parts["lr_scheduler"] = lr_scheduler
        self.evaluator = evaluator
        self.resume = resume
        self.best: dict[str, Tensor] | None = None

    def attach(self, trainer: Trainer) -> None:
        """Load when the run starts, save when an epoch is complete."""
        trainer.add_event_handler(Events.STARTED, self._start)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _start(self, trainer: Trainer) -> None:
        if trainer.scaler is not None:  # made by the trainer's run, so it cannot be listed earlier
            self.parts["scaler"] = trainer.scaler
        if not self.path.is_file():
            if self.resume:
                logger.info(f"No checkpoint in {self.path.parent} yet: the run starts from the beginning.")
            return
        if not self.resume:
            if trainer.state.rank == 0:
                kept = self.path.with_name(f"previous_{FILE}")
                os.replace(self.path, kept)
                logger.warning(f"The run starts anew; the checkpoint of an earlier one is kept as {kept}.")
            return
        checkpoint = torch.load(self.path, map_location=trainer.state.device, weights_only=True)
        try:
            for name, part in self.parts.items():
                part.load_state_dict(checkpoint[name])
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{self.path} belongs to a run with other settings ({error}). Resume with the settings of that run, "
                "or start anew with --resume false or another --output_dir."
            ) from error
        trainer.state.epoch = checkpoint["epoch"]
        trainer.state.iteration = checkpoint["epoch"] * trainer.state.epoch_length
        self.best = checkpoint["best"]
        if self.evaluator is not None:
            self.evaluator.state.best_metric = checkpoint["best_metric"]
            self.evaluator.state.best_metric_epoch = checkpoint["best_metric_epoch"]
        logger.info(f"Resumed {self.path} after epoch {checkpoint['epoch']} of {trainer.state.max_epochs}.")

    def _save(self, trainer: Trainer) -> None:
        state = None if self.evaluator is None else self.evaluator.state
        if state is not None and state.best_metric_epoch == trainer.state.epoch:
            self.best = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        checkpoint = {name: part.state_dict() for name, part in self.parts.items()}
        checkpoint |= {
            "epoch": trainer.state.epoch,
            "best": self.best,
            "best_metric": -1.0 if state is None else float(state.best_metric),
            "best_metric_epoch": -1 if state is None else state.best_metric_epoch,
        }
        DiskSaver(str(self.path.parent), atomic=True, create_dir=True, require_empty=False)(checkpoint, self.path.name)
