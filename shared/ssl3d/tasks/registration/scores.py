"""Score a registration: overlap of labels, distance of targets, folding."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.transforms import Transform
from torch import Tensor

from ...geometry import jacobian_determinant
from ...geometry.world import apply_affine, sample_at, within
from ..plain import plain
from ..point_files import read_points
from .grids import voxels_of


class Scores(NamedTuple):
    """Scores of one registered pair; nan if labels or targets are missing.

    Attributes:
        dice_before, dice_after: Mean Dice of fixed and moving label map before and after the registration, over the
            labels that both scans have, on the fixed scan's grid.
        tre_before, tre_after: Target registration error in mm: mean distance between the predicted and the true places
            of the fixed scan's targets in the moving scan.
        targets: Kind of targets: ``landmarks`` of the same name if both scans have them, else ``label centres``, the
            centres of mass of the labels that both have; empty if there are neither.
        folding: Percentage of voxels where the field folds (Jacobian determinant of at most 0).
    """

    dice_before: float
    dice_after: float
    tre_before: float
    tre_after: float
    targets: str
    folding: float

    def sentence(self) -> str:
        """Format the available measures."""
        parts = []
        if np.isfinite(self.dice_after):
            parts.append(f"Dice {self.dice_before:.3f} → {self.dice_after:.3f}")
        if np.isfinite(self.tre_after):
            parts.append(f"error of the {self.targets} {self.tre_before:.1f} → {self.tre_after:.1f} mm")
        return ", ".join([*parts, f"folding {self.folding:.2f} %"])


class ScoreRegistrationd(Transform):
    """Add ``scores``, see ``Scores``, to an item that went through ``WarpOntoFixedd``."""

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``data`` with ``scores`` added. See :func:`score` for the required keys."""
        return {**data, "scores": score(data)}


def score(item: Mapping[str, Any]) -> Scores:
    """Measure a registered pair.

    Args:
        item: Item with ``pred`` (3, D, H, W), the field in voxels of the network's grid, and ``field``,
            ``moving_shift``, ``fixed_scan`` and ``moving_scan`` of ``WarpOntoFixedd``. Optional: labels
            ``fixed_label``, ``moving_label``, ``aligned_label`` and ``warped_label``; landmarks ``fixed_landmarks`` and
            ``moving_landmarks``, see ``PairList``.
    """
    folded = jacobian_determinant(item["pred"][None]) <= 0
    ids: list[int] = []
    dice_before = dice_after = tre_before = tre_after = float("nan")
    if "fixed_label" in item and "moving_label" in item:
        fixed = item["fixed_label"].cpu()
        ids = sorted(set(_ids(fixed)) & set(_ids(item["moving_label"])))
        dice_before, dice_after = (mean_dice(fixed, item[key], ids) for key in ("aligned_label", "warped_label"))
    targets, fixed_points, moving_points = _targets(item, ids)
    if targets:
        shift = item["moving_shift"].double()[:, None]
        field = sample_at(plain(item["field"], torch.float64), voxels_of(item["fixed_scan"], fixed_points))  # (3, N)
        tre_before, tre_after = (
            torch.linalg.vector_norm(fixed_points + displacement - moving_points, dim=0).mean().item()
            for displacement in (shift, field)
        )
    return Scores(dice_before, dice_after, tre_before, tre_after, targets, 100 * folded.double().mean().item())


def mean_dice(one: Tensor, other: Tensor, ids: list[int]) -> float:
    """Return the mean over ``ids`` of 2 |A ∩ B| / (|A| + |B|) of two label maps of the same shape; nan without ids."""
    overlaps = []
    for number in ids:
        a, b = one == number, other == number
        overlaps.append(2 * (a & b).sum().item() / max(1, a.sum().item() + b.sum().item()))
    return float(np.mean(overlaps)) if overlaps else float("nan")


def _ids(label: Tensor) -> list[int]:
    return [int(number) for number in label.unique().tolist() if number > 0]


def _targets(item: Mapping[str, Any], ids: list[int]) -> tuple[str, Tensor, Tensor]:
    """Return the kind of targets, and their points (3, N) in the world of the fixed and of the moving scan, mm."""
    scans = item["fixed_scan"], item["moving_scan"]
    if "fixed_landmarks" in item and "moving_landmarks" in item:
        lists = [read_points(item[key]) for key in ("fixed_landmarks", "moving_landmarks")]
        names = [name for name in lists[0] if name in lists[1]]
        points = [torch.tensor([marks[name] for name in names]).double().view(-1, 3).T for marks in lists]
        # a target that was cut off cannot be found
        seen = torch.stack(
            [within(voxels_of(scan, world), scan.shape[1:]) for scan, world in zip(scans, points, strict=True)]
        ).all(dim=0)
        if seen.any():
            return "landmarks", points[0][:, seen], points[1][:, seen]
    centres = [
        torch.stack([_centre(item[key], number) for number in ids], dim=1) if ids else torch.empty(3, 0)
        for key in ("fixed_label", "moving_label")
    ]
    return "label centres" if ids else "", centres[0], centres[1]


def _centre(label: Any, number: int) -> Tensor:
    """Return the centre of mass (3,) of a label in world coordinates."""
    voxels = (plain(label, torch.float64)[0] == number).nonzero().double().mean(dim=0)
    return apply_affine(plain(label.affine, torch.float64), voxels[:, None])[:, 0]
