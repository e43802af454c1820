"""Draw pairs of volumes of one anatomy, as a function of (seed, draw)."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import ResizeWithPadOrCrop

from .draws import DrawDataset, draw_seed

logger = logging.getLogger(__name__)

VOLUMES = ("image", "valid")


class PairDataset(DrawDataset):
    """A ``DrawDataset`` of pairs: a fixed and a moving volume of the same ``group``.

    A draw chooses a group, in proportion to the square root of its size, and two different volumes of the group. In a
    group of one, the volume is its own partner and ``copy`` is 1. The views must then warp the two differently, or
    there is nothing to register. The moving volume is padded with zeros or cropped about its centre to the fixed
    volume's size.

    The deterministic transforms see each volume alone, with the keys ``image`` and ``valid``. The random transforms see
    the pair: ``fixed``, ``moving`` (C, D, H, W), ``fixed_valid``, ``moving_valid`` (1, D, H, W), all of one size.

    Args:
        data, transform, cache_dir, seed: See ``DrawDataset``.

    Raises:
        ValueError: on access, when the two volumes have different numbers of channels.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Sequence[Callable] | Callable,
        cache_dir: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(data, transform, cache_dir, seed)
        self.groups = by_group(self.data)
        self.chances = chances(self.groups)
        alone = sum(len(members) == 1 for members in self.groups)
        if alone:
            logger.warning(
                "%d of %d groups have one volume only, which is paired with an augmented copy of itself.",
                alone,
                len(self.groups),
            )

    def pair(self, draw: int) -> tuple[int, int]:
        """Return the indices of the fixed and of the moving item of a draw.

        Raises:
            IndexError: ``draw`` is negative.
        """
        if draw < 0:
            raise IndexError(f"Draws count from 0, got {draw}.")
        random = np.random.RandomState(draw_seed(self.seed, draw))
        members = self.groups[random.choice(len(self.groups), p=self.chances)]
        if len(members) == 1:
            return members[0], members[0]
        fixed, moving = random.choice(members, 2, replace=False)
        return int(fixed), int(moving)

    def index(self, draw: int) -> int:
        """Return the index of the fixed item."""
        return self.pair(draw)[0]

    def _transform(self, index: int) -> Any:
        draw = int(index)
        numbers = self.pair(draw)
        fixed, moving = (self._cachecheck(self.data[number]) for number in numbers)
        if fixed["image"].shape[0] != moving["image"].shape[0]:
            raise ValueError(
                f"{fixed.get('name')} has {fixed['image'].shape[0]} channels and {moving.get('name')} has "
                f"{moving['image'].shape[0]}: volumes of one group must have the same. Give them different groups."
            )
        fit = ResizeWithPadOrCrop(tuple(fixed["image"].shape[1:]))
        synthetic = any(volume.get("synthetic", False) for volume in (fixed, moving))
        item: dict[str, Any] = {"draw": draw, "copy": int(numbers[0] == numbers[1]), "synthetic": synthetic}
        for role, volume in (("fixed", fixed), ("moving", moving)):
            item |= {role: fit(volume["image"]), f"{role}_valid": fit(volume["valid"])}
            item |= {f"{role}_name": volume["name"]} if "name" in volume else {}
        return self._at_random(item)


def by_group(items: Iterable[Mapping[str, Any]]) -> list[list[int]]:
    """Return the indices of the items of each ``group``, groups in the order of their first item."""
    groups: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        groups.setdefault(str(item.get("group", "")), []).append(number)
    return list(groups.values())


def chances(groups: Sequence[Sized]) -> np.ndarray:
    """Return the probability of each group (groups,), in proportion to the square root of its size."""
    weights = np.sqrt([len(members) for members in groups])
    return weights / weights.sum()
