"""Update the teacher of self-distillation: an exponential moving average of the student."""

import math

import torch
from ignite.engine import Events
from monai.engines import Trainer
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .network_parts import method_of


class TeacherUpdate:
    """Handler of a trainer that moves the teacher towards the student after each step of the optimiser.

    ``teacher <- momentum · teacher + (1 - momentum) · student``, for the parameters; buffers are copied. The momentum
    rises from ``start`` to ``end`` along half a cosine over ``iterations`` and then stays constant. It depends only on
    the iteration, so that a resumed run continues unchanged.

    Args:
        network: Method with a teacher, with or without its distributed wrapper.
        start, end: Momentum at the first and at the last iteration, in [0, 1].
        iterations: Number of iterations of the whole training, over all epochs.

    Raises:
        ValueError: a momentum outside [0, 1], iterations below 1, a network without a teacher.

    Source: Grill et al., Bootstrap your own latent (arXiv:2006.07733), section 3.2; S2DC (arXiv:2507.02581) has the
    constant 0.999.

    Example:
        >>> TeacherUpdate(network, start=0.99, end=1.0, iterations=8000).attach(trainer)  # doctest: +SKIP
    """

    def __init__(self, network: nn.Module, start: float = 0.999, end: float = 0.999, iterations: int = 1) -> None:
        if not (0 <= start <= 1 and 0 <= end <= 1):
            raise ValueError(f"start and end must lie in [0, 1], got {start} and {end}.")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations}.")
        method = method_of(network)
        if method is None or method.teacher is None:
            raise ValueError(f"{type(network).__name__} has no student and teacher.")
        self.student, self.teacher = method.student, method.teacher
        self.start, self.end, self.iterations = start, end, iterations

    def attach(self, trainer: Trainer) -> None:
        """Update the teacher after each iteration."""
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, trainer: Trainer) -> None:
        """Move the teacher by the momentum of the trainer's iteration."""
        self.update(trainer.state.iteration)

    def momentum(self, iteration: int) -> float:
        """Return the momentum at an iteration, counted from 1."""
        progress = min((iteration - 1) / max(self.iterations - 1, 1), 1)
        return self.end - (self.end - self.start) * (1 + math.cos(math.pi * progress)) / 2

    @torch.no_grad()
    def update(self, iteration: int) -> None:
        """Move the teacher by the momentum of ``iteration``."""
        average = get_ema_multi_avg_fn(self.momentum(iteration))
        average(list(self.teacher.parameters()), list(self.student.parameters()), None)
        for mine, theirs in zip(self.teacher.buffers(), self.student.buffers(), strict=True):
            mine.copy_(theirs)
