"""Define the contract of a pre-training method, on which training, weights, pictures and benchmarks rely."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, Literal

from torch import Tensor, nn


class Method(nn.Module):
    """Base class of pre-training methods: views in, parts of the loss out.

    A subclass names its ``parts`` and implements ``forward``, ``predict`` (used by both), ``pictures`` and ``passes``.
    Its losses are arguments of its constructor, None for the default, so that a config can replace each of them.

    Attributes:
        parts: Names of the scalars that ``forward`` returns for the loss; ``WeightedSum`` weighs them.
        monitors: Names of the other scalars that ``forward`` returns, to watch the training.
        published: Branch that becomes ``model.pt``: ``student`` or ``teacher``.
        trained: Part of the backbone that learns: ``backbone`` (all of it) or ``encoder``.
        training_only: First parts of the names of weights of a branch that are of no use after the training; they are
            not in ``model.pt``.
        student: Network that is trained, with a child ``backbone``.
        teacher: Moving average of the student, which always stays in evaluation mode and gets no gradients; None
            without one. ``engines.TeacherUpdate`` moves it.

    Args:
        student: See above.
        teacher: Whether the method has a teacher, which starts as a copy of the student.

    Examples:
        >>> class Copying(Method):
        ...     parts = ("copying",)
        ...
        ...     def forward(self, views):
        ...         return {"copying": (self.student(views["image"]) - views["image"]).square().mean()}
        >>> list(Copying(ReconstructionNet(UNet3d(), 1))({"image": torch.rand(1, 1, 16, 16, 16)}))
        ['copying']
    """

    parts: ClassVar[tuple[str, ...]]
    monitors: ClassVar[tuple[str, ...]] = ()
    published: ClassVar[Literal["student", "teacher"]] = "student"
    trained: ClassVar[Literal["backbone", "encoder"]] = "backbone"
    training_only: ClassVar[tuple[str, ...]] = ()

    student: Any
    teacher: Any

    def __init__(self, student: nn.Module, teacher: bool = False) -> None:
        super().__init__()
        self.student = student
        self.teacher = deepcopy(student).requires_grad_(False).eval() if teacher else None

    def forward(self, views: Any) -> dict[str, Tensor]:
        """Return scalars by name: the parts of the loss and the monitors."""
        raise NotImplementedError

    def predict(self, views: Any) -> Any:
        """Return the outputs of the networks for the views, as ``forward`` and ``pictures`` use them."""
        raise NotImplementedError

    def passes(self, views: Any) -> Sequence[Tensor]:
        """Return all outputs of the networks alone, with gradients, to measure the lowest possible cost of a step."""
        raise NotImplementedError

    def pictures(self, views: Any) -> Mapping[str, Tensor]:
        """Return volumes to draw by title: (B, 1, D, H, W), or colours (B, 3, D, H, W); NaN is drawn as hidden."""
        raise NotImplementedError

    def check_settings(self, roi_size: Sequence[int], batch_size: int) -> None:
        """Check requirements of this method on a run; the default has none.

        Args:
            roi_size: (D, H, W) of the volumes in voxels.
            batch_size: Volumes per step, over all processes.

        Raises:
            ValueError: A setting does not fit; the message says which value would.
        """

    def train(self, mode: bool = True) -> "Method":
        """Switch everything except the teacher to training or evaluation mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self
