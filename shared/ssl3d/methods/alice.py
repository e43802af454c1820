"""Alice: anatomical invariance and semantic alignment, self-distillation between equal places of different people."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import RestorationLoss, SelfDistillationLoss, teacher_temperature
from ..networks import Backbone, CrossAttentionAlignment, Features, ProjectionHead, Projections
from ..networks.base import check_contract
from ..transforms.views.types import MatchedCropViews
from .base import Method
from .token_monitors import effective_rank

SOURCES = ("decoder", "encoder")


class AliceBranch(nn.Module):
    """Backbone with a projection head and a layer that fills in images: the student or the teacher of Alice.

    Args:
        backbone: See ``Backbone``.
        projection: Head for the channels of the backbone's bottleneck and of its coarsest decoder map.
    """

    def __init__(self, backbone: Backbone, projection: ProjectionHead) -> None:
        super().__init__()
        check_contract(backbone)
        maps = (backbone.encoder_channels[-1], backbone.decoder_channels[0])
        if maps != (projection.encoder_in.in_features, projection.decoder_in.in_features):
            raise ValueError(
                f"The projection must take the channels of the backbone's coarsest maps: encoder_channels {maps[0]}, "
                f"decoder_channels {maps[1]}. Set them below network_def#student#projection."
            )
        self.backbone = backbone
        self.projection = projection
        self.restoration = nn.Conv3d(backbone.decoder_channels[-1], backbone.in_channels, kernel_size=1)

    def forward(self, image: Tensor) -> tuple[Features, Projections]:
        """Return feature maps of ``image`` (B, C, D, H, W), and outputs for the volume and for its cells."""
        features = self.backbone(image)
        coarsest = features.encoder[-1]
        return features, self.projection(coarsest.mean(dim=(2, 3, 4)), coarsest, features.decoder[0])


class Predictions(NamedTuple):
    """What the networks make of a batch of B pairs; rows 0 to B - 1 are the first views, B to 2 B - 1 the second.

    Attributes:
        student, teacher: Outputs, the teacher's without gradient.
        completed, target: (2 B, N, dim), tokens of the student and of the teacher, aligned with the student's cells.
        restored: (2 B, C, D, H, W), the images filled in.
        bottleneck: (2 B, C', d, h, w), the teacher's coarsest map.
    """

    student: Projections
    teacher: Projections
    completed: Tensor
    target: Tensor
    restored: Tensor
    bottleneck: Tensor


class Alice(Method):
    """Method that learns from pairs of crops around the same place of two people, of which the student sees parts.

    - *inter*: the student's output for one crop predicts the teacher's for the other, whole crops.
    - *intra*: cell by cell, what cross-attention (CASA) reads out of the student's tokens of a crop with hidden blocks
      predicts what it reads, with the same queries, out of the teacher's tokens of the whole crop.
    - *reconstruction*: the hidden voxels.

    The teacher follows the student as a moving average, which ``ssl3d.engines`` takes care of after each step.

    Args:
        student: Backbone and head. No other module shares its backbone.
        casa: Cross-attention, for tokens as long as the head's ``patch_dim``.
        epoch_length: Training steps per epoch; the teacher's temperature changes from epoch to epoch.
        target_source: Tokens of the teacher that CASA reads: ``decoder``, as in the released code, or ``encoder``, as
            in the publication's figures.
        casa_ema: Whether a moving average of CASA reads the teacher's tokens, as in the figures, and not CASA itself.
        warmup_epochs: See ``teacher_temperature``.
        inter, intra: Self-distillation of whole crops and of cells, for outputs as long as those of the head.
        restoration_loss: Error of the filled-in image at hidden voxels.

    Raises:
        ValueError: another source, an ``epoch_length`` below 1, lengths of tokens that do not fit; in a call, views
            that are no multiple of the backbone's coarsest stride.

    Source: Jiang et al., Anatomical Invariance Modeling and Semantic Alignment for Self-supervised Learning in 3D
    Medical Image Analysis, ICCV 2023, https://arxiv.org/abs/2302.05615. Departures from its released code: the
    teacher's branch has no gradient and its views are augmented, the error counts at hidden voxels alone, padding
    counts nowhere, and student and teacher have the same heads.

    Examples:
        >>> student = AliceBranch(UNet3d(), ProjectionHead(96, 64))
        >>> method = Alice(student, CrossAttentionAlignment(128, 4, 32, 512, dropout=0.0), epoch_length=100)
        >>> image, one = torch.rand(2, 2, 1, 32, 32, 32), torch.ones(2, 2, 1, 32, 32, 32)
        >>> views = {"image": image, "masked": 0 * image, "target": image, "hidden": one, "valid": one}
        >>> parts = method({**views, "score": torch.ones(2), "copy": torch.zeros(2)})
        >>> sorted(parts)[:3]
        ['agreement', 'fallback', 'feature_rank']
    """

    parts = ("inter", "intra", "reconstruction")
    monitors = ("agreement", "target_entropy", "feature_rank", "pair_score", "fallback")
    training_only = ("projection.", "casa.")

    student: AliceBranch
    teacher: AliceBranch

    def __init__(
        self,
        student: AliceBranch,
        casa: CrossAttentionAlignment,
        epoch_length: int,
        *,
        target_source: str = "decoder",
        casa_ema: bool = False,
        warmup_epochs: int = 30,
        inter: SelfDistillationLoss | None = None,
        intra: SelfDistillationLoss | None = None,
        restoration_loss: nn.Module | None = None,
    ) -> None:
        out_dim, dim = (len(layer.weight) for layer in (student.projection.whole_out, student.projection.patch_out))
        if casa.query.in_features != dim:
            raise ValueError(f"casa takes tokens of length {casa.query.in_features}, the head's patch_dim is {dim}.")
        if target_source not in SOURCES:
            raise ValueError(f"target_source must be one of {', '.join(SOURCES)}, got {target_source!r}.")
        if epoch_length < 1:
            raise ValueError(f"epoch_length must be at least 1, got {epoch_length}.")
        if casa_ema:
            student.add_module("casa", casa)  # a part of the student, so that the teacher has its own
        super().__init__(student, teacher=True)
        if not casa_ema:
            self.casa = casa
        self.epoch_length, self.warmup_epochs = epoch_length, warmup_epochs
        self.target_source, self.casa_ema = target_source, casa_ema
        self.inter = inter or SelfDistillationLoss(out_dim, pairing="cross")
        self.intra = intra or SelfDistillationLoss(dim, pairing="same")
        self.restoration_loss = restoration_loss or RestorationLoss()
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))  # taken in training, so that it can be resumed
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def predict(self, views: MatchedCropViews) -> Predictions:
        """Return outputs, tokens and images of a batch."""
        stride = self.student.backbone.encoder_strides[-1]
        size = views["image"].shape[3:]
        if views["image"].ndim != 6 or any(side % stride for side in size):
            raise ValueError(
                f"views must have shape (B, 2, C, D, H, W) with D, H, W multiples of {stride}, "
                f"got {tuple(views['image'].shape)}."
            )
        features, student = self.student(by_view(views["masked"]))
        completed = self._casa(self.student)(student.encoder, student.decoder)
        with torch.no_grad():
            seen, teacher = self.teacher(by_view(views["target"]))
            context = teacher.decoder if self.target_source == "decoder" else teacher.encoder
            target = self._casa(self.teacher)(student.encoder, context)
        restored = self.student.restoration(features.decoder[-1])
        return Predictions(student, teacher, completed, target, restored, seen.encoder[-1])

    def forward(self, views: MatchedCropViews) -> dict[str, Tensor]:
        """Return the parts of the loss and the monitors.

        ``agreement`` is the share of pairs for which the teacher's first view and the student's second have the same
        strongest output; ``target_entropy`` the mean entropy of the teacher's targets for whole crops, in nats;
        ``feature_rank`` the effective rank of its coarsest features over all cells: 1 when they have collapsed;
        ``pair_score`` and ``fallback`` the mean score of the pairs, and the share that are crops of one volume.
        """
        predictions = self.predict(views)
        temperature = teacher_temperature(int(self.steps) // self.epoch_length, warmup_epochs=self.warmup_epochs)
        valid, hidden = by_view(views["valid"]), by_view(views["hidden"])
        depth, height, width = predictions.bottleneck.shape[2:]
        cells = F.adaptive_avg_pool3d(valid, (depth, height, width)).flatten(1) >= 0.5  # (2B, N)
        with torch.no_grad():
            monitors = self._monitors(predictions, temperature, cells)
        student, teacher = predictions.student.whole, predictions.teacher.whole
        parts = {
            "inter": self.inter(student, teacher, teacher_temperature=temperature),
            "intra": self.intra(
                predictions.completed, predictions.target, teacher_temperature=temperature, valid=cells
            ),
            "reconstruction": self.restoration_loss(predictions.restored, by_view(views["image"]), hidden * valid),
        }
        if self.training:
            self.steps += 1
        score, copy = (value.detach().to(student).mean() for value in (views["score"], views["copy"]))
        return {**parts, **monitors, "pair_score": score, "fallback": copy}

    def passes(self, views: MatchedCropViews) -> tuple[Tensor, ...]:
        """Return what the student's loss reads: aligned tokens, filled-in images, outputs of whole crops."""
        predictions = self.predict(views)
        return predictions.completed, predictions.restored, predictions.student.whole

    def pictures(self, views: MatchedCropViews) -> dict[str, Tensor]:
        """Return the pair of crops, and how the first is filled in.

        Voxels that are hidden from the network are NaN; padding stays as it is.
        """
        restored = self.predict(views).restored.chunk(2)[0][:, :1]
        query, other = views["image"][:, 0, :1], views["image"][:, 1, :1]
        hidden = views["hidden"][:, 0] * views["valid"][:, 0] > 0
        return {
            "query crop": query,
            "matched crop": other,
            "masked": query.masked_fill(hidden, torch.nan),
            "reconstruction": torch.where(hidden, restored, query),
        }

    def _casa(self, branch: AliceBranch) -> nn.Module:
        return (branch if self.casa_ema else self).get_submodule("casa")

    def _monitors(self, predictions: Predictions, temperature: float, cells: Tensor) -> dict[str, Tensor]:
        student, teacher = predictions.student.whole.float(), predictions.teacher.whole.float()
        logits = (teacher - self.inter.center.to(teacher)) / temperature
        log_targets = F.log_softmax(logits, dim=1)
        half = len(student) // 2
        return {
            "agreement": (logits[:half].argmax(1) == student[half:].argmax(1)).float().mean(),
            "target_entropy": -(log_targets.exp() * log_targets).sum(1).mean(),
            "feature_rank": effective_rank(predictions.bottleneck.flatten(2).transpose(1, 2)[cells]),
        }


def by_view(volumes: Tensor) -> Tensor:
    """Reorder (B, 2, ...) to (2 B, ...): all first views, then all second views."""
    return volumes.transpose(0, 1).flatten(0, 1)
