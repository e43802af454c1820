"""Self-distillation: a student predicts the sharpened, centred output of its moving average, the teacher."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from .masked_mean import at_least_float32

PAIRINGS = ("cross", "same")


class SelfDistillationLoss(nn.Module):
    """Cross entropy ``H(P_t, P_s) = -Σ P_t log P_s`` between the outputs of a teacher and of a student.

    ``P_t = softmax((teacher - center) / teacher_temperature)``, ``P_s = softmax(student / student_temperature)``. The
    centre is the moving average of the teacher's outputs. Without it all outputs would become the same.

    The batch holds two views of B items each: rows 0 to B - 1 the first (the query), rows B to 2 B - 1 the second.

    Args:
        out_dim: Length of the outputs.
        pairing: ``"cross"``: the student's output of one view predicts the teacher's output of the other view;
            ``"same"``: that of the same row, token by token.
        student_temperature: Temperature of the student, positive.
        center_momentum: Share of the old centre in the new one, in [0, 1].

    Raises:
        ValueError: an argument outside these bounds; in a call, a wrong shape or temperature.

    Source: Alice (ICCV 2023, arXiv:2302.05615), its inter- and intra-volume terms, after Caron et al., Emerging
    Properties in Self-Supervised Vision Transformers (arXiv:2104.14294), section 3.1.

    Example:
        >>> loss = SelfDistillationLoss(8)
        >>> loss(torch.zeros(4, 8), torch.zeros(4, 8), teacher_temperature=0.01)  # ln 8
        tensor(2.0794)
    """

    def __init__(
        self, out_dim: int, *, pairing: str = "cross", student_temperature: float = 0.1, center_momentum: float = 0.9
    ) -> None:
        super().__init__()
        if out_dim < 1:
            raise ValueError(f"out_dim must be at least 1, got {out_dim}.")
        if pairing not in PAIRINGS:
            raise ValueError(f"pairing must be one of {', '.join(PAIRINGS)}, got {pairing!r}.")
        if not student_temperature > 0:
            raise ValueError(f"student_temperature must be positive, got {student_temperature}.")
        if not 0 <= center_momentum <= 1:
            raise ValueError(f"center_momentum must lie in [0, 1], got {center_momentum}.")
        self.pairing = pairing
        self.student_temperature = student_temperature
        self.center_momentum = center_momentum
        self.center: Tensor
        # float64, so that a loss of float64 outputs is exact from its second call on too
        self.register_buffer("center", torch.zeros(out_dim, dtype=torch.float64))

    def forward(
        self, student: Tensor, teacher: Tensor, *, teacher_temperature: float, valid: Tensor | None = None
    ) -> Tensor:
        """Compare the outputs; in training mode the centre then moves towards the teacher's mean, over all processes.

        Args:
            student: ``(2 B, out_dim)``, or ``(2 B, N, out_dim)`` with N tokens.
            teacher: Outputs of the same shape, which receive no gradient.
            teacher_temperature: Temperature of the teacher, positive, see :func:`teacher_temperature`.
            valid: ``(2 B)`` or ``(2 B, N)``, of any dtype, 1 for outputs that count and 0 for others; ``None``: all 1.
                With ``"cross"`` a pair counts if both of its outputs count.

        Returns:
            A scalar in the dtype of ``student``, float32 at least: the mean over the tokens of each row, then over the
            rows; a row without valid tokens counts 0.
        """
        self._check(student, teacher, teacher_temperature, valid)
        student, teacher = at_least_float32(student), at_least_float32(teacher.detach())
        weight = torch.ones_like(student[..., 0]) if valid is None else valid.to(student)
        center = self.center.to(teacher)
        log_student = F.log_softmax(student / self.student_temperature, dim=-1)
        target = F.softmax((teacher - center) / teacher_temperature, dim=-1)
        pairs = weight
        if self.pairing == "cross":
            half = len(student) // 2
            target, pairs = target.roll(half, 0), weight * weight.roll(half, 0)
        entropy = -(target.to(student) * log_student).sum(dim=-1) * pairs  # (2B) or (2B, N)
        rows = entropy.flatten(1).sum(1) / pairs.flatten(1).sum(1).clamp(min=1) if entropy.ndim == 2 else entropy
        if self.training:
            self._move_center(teacher, weight)
        return rows.mean()

    @torch.no_grad()
    def _move_center(self, teacher: Tensor, weight: Tensor) -> None:
        outputs = teacher.flatten(0, -2).double()  # (2B · N, out_dim)
        weights = weight.flatten().to(outputs)
        total = torch.cat([weights @ outputs, weights.sum()[None]])  # (out_dim + 1)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(total)
        if total[-1] > 0:
            mean = (total[:-1] / total[-1]).to(self.center)
            self.center.mul_(self.center_momentum).add_(mean, alpha=1 - self.center_momentum)

    def _check(self, student: Tensor, teacher: Tensor, temperature: float, valid: Tensor | None) -> None:
        width = len(self.center)
        if student.ndim not in (2, 3) or student.shape[-1] != width or len(student) % 2 or not student.numel():
            raise ValueError(
                f"student must have shape (2 B, {width}) or (2 B, N, {width}) with two views of B items, "
                f"got {tuple(student.shape)}."
            )
        if teacher.shape != student.shape:
            raise ValueError(
                f"teacher must have the shape {tuple(student.shape)} of student, got {tuple(teacher.shape)}."
            )
        if valid is not None and valid.shape != student.shape[:-1]:
            raise ValueError(f"valid must have shape {tuple(student.shape[:-1])}, got {tuple(valid.shape)}.")
        if not temperature > 0:
            raise ValueError(f"teacher_temperature must be positive, got {temperature}.")


def teacher_temperature(epoch: int, *, start: float = 0.008, end: float = 0.01, warmup_epochs: int = 30) -> float:
    """Return the teacher's temperature: from ``start`` in epoch 0 linearly to ``end`` in epoch ``warmup_epochs - 1``.

    Args:
        epoch: Counted from 0.
        start: Temperature in epoch 0, positive.
        end: Final temperature, positive.
        warmup_epochs: Number of epochs until ``end`` is reached, at least 0.

    Raises:
        ValueError: a number out of range.

    Source: Alice (arXiv:2302.05615), its released code.

    Example:
        >>> teacher_temperature(0), teacher_temperature(29)
        (0.008, 0.01)
    """
    if epoch < 0 or warmup_epochs < 0:
        raise ValueError(f"epoch and warmup_epochs must be 0 or more, got {epoch} and {warmup_epochs}.")
    if not (start > 0 and end > 0):
        raise ValueError(f"start and end must be positive, got {start} and {end}.")
    if epoch >= max(warmup_epochs - 1, 1) or warmup_epochs == 0:
        return end
    return start + (end - start) * epoch / max(warmup_epochs - 1, 1)
