"""Save checkpoints atomically at the end of each epoch, and resume them bit for bit."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from ignite.engine import Events
from ignite.handlers import DiskSaver
from monai.engines import Evaluator, IterationEvents, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .flag import flag
from .network_parts import method_of, unwrapped
from .run_settings import differences, run_settings

logger = logging.getLogger(__name__)

FILE = "checkpoint.pt"


class NotFiniteError(RuntimeError):
    """Raised if the loss or the weights of a run are NaN or infinite; resuming would fail at the same step."""


class Checkpoints:
    """Save at the end of each epoch everything that a killed run needs to end with the same weights.

    The checkpoint holds network, optimiser, schedule, gradient scaler, trainer state, the best validation result with
    its weights, and the settings and data of the run. It is one file, replaced atomically, so that its parts always
    belong together. (Ignite's own ``Checkpoint`` deletes a file of the same name before it writes the new one.) A loss
    that is not finite ends the run before it changes the weights. List this handler after those that validate and that
    step the schedule.

    Args:
        directory: Folder of the file; made when needed.
        network: Network in training.
        optimizer: Optimiser of the network.
        lr_scheduler: Learning rate schedule, if any.
        evaluator: Evaluator whose key metric chooses the best weights, if any.
        resume: Whether to continue from the file; without a file the run starts from the beginning. If false, an
            existing file is renamed to ``previous_checkpoint.pt``. A bool or a word such as ``"true"``.
        settings: Settings that a resumed run must share with the run that wrote the file; None: ``run_settings()``.

    Raises:
        ValueError: The file to resume from is damaged, or belongs to a run with other settings or other data.
        NotFiniteError: During the run, if a loss, or a weight at the end of an epoch, is NaN or infinite.
    """

    def __init__(
        self,
        directory: str | Path,
        network: nn.Module,
        optimizer: Optimizer,
        lr_scheduler: LRScheduler | None = None,
        evaluator: Evaluator | None = None,
        resume: bool | str = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(directory) / FILE
        self.network = unwrapped(network)
        self.parts: dict[str, Any] = {"network": self.network, "optimizer": optimizer}
        if lr_scheduler is not None:
            self.parts["lr_scheduler"] = lr_scheduler
        self.evaluator = evaluator
        self.resume = flag(resume)
        self.settings = run_settings() if settings is None else dict(settings)
        self.best: dict[str, Tensor] | None = None
        self.best_iteration = 0
        self.best_per_class: list[float] = []
        self.loaded: dict[str, Any] | None = None
        if self.resume and self.path.is_file():  # now, so that errors show before the first step
            self.loaded = self._load()

    def attach(self, trainer: Trainer) -> None:
        """Restore the trainer's state at the start, check every loss, and save at the end of each epoch."""
        trainer.add_event_handler(Events.STARTED, self._start)
        trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, self._check_loss)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _load(self) -> dict[str, Any]:
        try:
            device = next(self.network.parameters()).device
            checkpoint = torch.load(self.path, map_location=device, weights_only=True)
            differing = differences(checkpoint.get("settings") or {}, self.settings)
        except (OSError, RuntimeError, ValueError, TypeError, AttributeError, EOFError, UnpicklingError) as error:
            raise ValueError(
                f"{self.path} is damaged and cannot be resumed. Copy it again if there is another copy, or start from "
                "the beginning without --resume."
            ) from error
        if differing:
            raise ValueError(
                f"{self.path} belongs to another run:\n"
                + "\n".join(f"  {line}" for line in differing)
                + "\nResume with the settings and data of that run. To continue from its weights with other settings, "
                f"start a new run: --output_dir NEW --pretrained {self._weights()}."
            )
        try:
            for name, part in self.parts.items():
                part.load_state_dict(checkpoint[name])
            self.best = checkpoint["best"]
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self.path} belongs to a run with other settings ({str(error).splitlines()[0]}). Resume with the "
                "settings of that run, or start from the beginning with --resume false or another --output_dir."
            ) from error
        if not checkpoint.get("settings") and self.settings:
            logger.warning(f"{self.path} does not record its settings and data: make sure that they are the same.")
        self.best_iteration = checkpoint.get("best_iteration", 0)
        self.best_per_class = checkpoint.get("best_per_class", [])
        return checkpoint

    def _weights(self) -> str:
        """Return the value of ``--pretrained`` that continues from this run, heads included."""
        whole = method_of(self.network) is not None
        file = self.path.with_name("pretraining.pth" if whole else "model.pt")
        return f"{file if file.is_file() else self.path}{'' if whole else ' --pretrained_part network'}"

    def _start(self, trainer: Trainer) -> None:
        if trainer.scaler is not None:  # made when the trainer runs, so not available earlier
            self.parts["scaler"] = trainer.scaler
        if self.loaded is None:
            kept = self.path.with_name(f"previous_{FILE}")
            if self.resume:
                logger.info(f"No checkpoint in {self.path.parent} yet: the run starts from the beginning.")
                if kept.is_file():
                    logger.warning(
                        f"{kept} belongs to an earlier run. To continue that run instead, stop this one, rename the "
                        f"file to {FILE} and start again."
                    )
            elif self.path.is_file() and trainer.state.rank == 0:
                os.replace(self.path, kept)
                logger.warning(
                    f"The run starts from the beginning. The checkpoint of an earlier run is kept as {kept}."
                )
            return
        if trainer.scaler is not None and "scaler" in self.loaded:
            trainer.scaler.load_state_dict(self.loaded["scaler"])
        trainer.state.epoch = self.loaded["epoch"]
        logger.info(f"Resumed {self.path} after epoch {self.loaded['epoch']} of {trainer.state.max_epochs}.")
        trainer.state.iteration = self.loaded.get("iteration", self.loaded["epoch"] * trainer.state.epoch_length)
        if self.evaluator is not None:
            self.evaluator.state.best_metric = self.loaded["best_metric"]
            self.evaluator.state.best_metric_epoch = self.loaded["best_metric_epoch"]
        self.loaded = None

    def _check_loss(self, trainer: Trainer) -> None:
        loss = trainer.state.output[0] if isinstance(trainer.state.output, list) else trainer.state.output
        if not bool(torch.isfinite(loss["loss"]).all()):
            batch = trainer.state.batch if isinstance(trainer.state.batch, dict) else {}
            names = next((batch[key] for key in ("name", "fixed_name", "first_name") if key in batch), None)
            items = f" on {', '.join(map(str, names))}" if isinstance(names, (list, tuple)) else ""
            raise NotFiniteError(
                f"the loss is {loss['loss'].mean().item()} at {self._place(trainer)}{items}. {self._advice()}"
            )

    def _place(self, trainer: Trainer) -> str:
        step = (trainer.state.iteration - 1) % trainer.state.epoch_length + 1
        return f"epoch {trainer.state.epoch}, step {step} of {trainer.state.epoch_length}"

    def _advice(self) -> str:
        advice = "Try a lower --learning_rate or --amp false, and look at the scans with `ssl3d doctor`."
        if not self.path.is_file():
            return advice
        return f"{advice} The last good state is kept: start the new run from it with --pretrained {self.path}."

    def _save(self, trainer: Trainer) -> None:
        tensors = self.network.state_dict()
        broken = [name for name, t in tensors.items() if t.is_floating_point() and not bool(t.isfinite().all())]
        if broken:
            raise NotFiniteError(f"{broken[0]} is not finite at {self._place(trainer)}. {self._advice()}")
        state = None if self.evaluator is None else self.evaluator.state
        if state is not None and state.best_metric_epoch == trainer.state.epoch:
            self.best = {key: value.detach().clone() for key, value in tensors.items()}
            self.best_iteration = trainer.state.iteration
            self.best_per_class = _per_class(state)
        checkpoint = {name: part.state_dict() for name, part in self.parts.items()}
        checkpoint |= {
            "epoch": trainer.state.epoch,
            "iteration": trainer.state.iteration,
            "settings": self.settings,
            "best": self.best,
            "best_iteration": self.best_iteration,
            "best_per_class": self.best_per_class,
            "best_metric": -1.0 if state is None else float(state.best_metric),
            "best_metric_epoch": -1 if state is None else state.best_metric_epoch,
        }
        DiskSaver(str(self.path.parent), atomic=True, create_dir=True, require_empty=False)(checkpoint, self.path.name)


def _per_class(state: Any) -> list[float]:
    """Return the key metric of each class, averaged over the cases; empty if the metric has no classes."""
    details = (getattr(state, "metric_details", None) or {}).get(state.key_metric_name)
    if not isinstance(details, Tensor) or details.ndim != 2 or details.shape[1] < 2:
        return []
    return [round(float(value), 6) for value in details.float().nanmean(dim=0)]
