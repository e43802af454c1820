"""Draw pairs of crops around corresponding places of two volumes, as a function of (seed, draw)."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .draws import draw_seed
from .pairs import PairDataset

logger = logging.getLogger(__name__)

NAMED = 3  # pairs without a match, in the log


class Match(NamedTuple):
    """Corresponding places of two volumes.

    Attributes:
        first, second: (D, H, W) in voxels of the two prepared volumes.
        score: Confidence of the match, at most 1.
    """

    first: tuple[float, float, float]
    second: tuple[float, float, float]
    score: float


# (first volume, second volume, random state) -> match; None if the volumes have nothing to match. Volumes are prepared
# items: image (C, D, H, W), valid (1, D, H, W), name, and key, a hash of their content.
Matcher = Callable[[Mapping[str, Any], Mapping[str, Any], np.random.RandomState], Match | None]


class MatchedPairDataset(PairDataset):
    """A ``PairDataset`` that crops both volumes around one place of the body.

    A draw chooses two volumes of a group, and a place that the matcher finds in both. If its score is below
    ``threshold``, another place is tried, up to ``tries`` places. If no score reaches the threshold, or the group has
    one volume, both crops are taken from the same place of the first volume. ``copy`` and ``score`` are then 1, and the
    first such pairs are named in the log.

    An item has ``image`` (2, C, *roi_size) and ``valid`` (2, 1, *roi_size), zeros where a crop leaves its volume,
    ``score``, ``copy``, ``draw`` and ``synthetic``.

    Args:
        data, transform, cache_dir, seed: See ``DrawDataset``.
        matcher: Function that finds corresponding places, see ``ssl3d.matching``.
        roi_size: (D, H, W) of the crops in voxels.
        threshold: Lowest score of a pair, in [-1, 1].
        tries: Number of places to try, at least 1.

    Raises:
        ValueError: a number out of range; on access, volumes of different numbers of channels.

    Source: Jiang et al., Alice, ICCV 2023 (arXiv:2302.05615), with threshold 0.7. Its released code tries 101 places
    and takes the last one at any score.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Sequence[Callable] | Callable,
        matcher: Matcher,
        roi_size: Sequence[int],
        *,
        threshold: float = 0.7,
        tries: int = 10,
        cache_dir: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        if not -1 <= threshold <= 1:
            raise ValueError(f"threshold must lie in [-1, 1], got {threshold}.")
        if tries < 1:
            raise ValueError(f"tries must be at least 1, got {tries}.")
        if len(roi_size) != 3 or min(roi_size) < 1:
            raise ValueError(f"roi_size must be three positive numbers of voxels, got {tuple(roi_size)}.")
        super().__init__(data, transform, cache_dir, seed)
        self.matcher, self.roi_size = matcher, tuple(roi_size)
        self.threshold, self.tries = threshold, tries
        self.unmatched = 0  # of this process

    def _transform(self, index: int) -> Any:
        draw = int(index)
        numbers = self.pair(draw)
        first, second = (self._volume(number) for number in numbers)
        if len(first["image"]) != len(second["image"]):
            raise ValueError(
                f"{first.get('name')} has {len(first['image'])} channels and {second.get('name')} has "
                f"{len(second['image'])}: volumes of one group must have the same. Give them different groups."
            )
        random = np.random.RandomState([draw_seed(self.seed, draw), crc32(b"matched pair")])
        match = None if numbers[0] == numbers[1] else self._match(first, second, random)
        copy = match is None
        if match is None:
            place = foreground_point(first, random)
            match, second = Match(place, place, 1.0), first
        crops = [
            {key: crop(volume[key], place, self.roi_size) for key in ("image", "valid")}
            for volume, place in ((first, match.first), (second, match.second))
        ]
        return self._at_random(
            {
                **{key: torch.stack([one[key] for one in crops]) for key in ("image", "valid")},
                "score": match.score,
                "copy": int(copy),
                "draw": draw,
                "synthetic": bool(first.get("synthetic", False) or second.get("synthetic", False)),
            }
        )

    def _volume(self, number: int) -> dict[str, Any]:
        item = self.data[number]
        return {**self._cachecheck(item), "key": f"{self.folder.name}/{self.hash_func(item).decode()}"}

    def _match(
        self, first: Mapping[str, Any], second: Mapping[str, Any], random: np.random.RandomState
    ) -> Match | None:
        best = -np.inf
        for _ in range(self.tries):
            match = self.matcher(first, second, random)
            if match is None:
                break
            if match.score >= self.threshold:
                return match
            best = max(best, match.score)
        self.unmatched += 1
        if self.unmatched <= NAMED:
            why = f"the best of {self.tries} places scores {best:.2f}" if np.isfinite(best) else "no place is in both"
            rest = " Further pairs are not named: see the column fallback." if self.unmatched == NAMED else ""
            logger.warning(
                f"{first.get('name')} and {second.get('name')}: {why}, the threshold is {self.threshold:g}; both crops "
                f"are of the first.{rest}"
            )
        return None


def foreground_point(volume: Mapping[str, Any], random: np.random.RandomState) -> tuple[float, float, float]:
    """Return the first of 1000 random voxels that is real and above 0; failing that a real one, else any."""
    image, valid = volume["image"], volume["valid"]
    size = image.shape[1:]
    voxels = np.stack([random.randint(side, size=1000) for side in size], axis=1)
    places = torch.from_numpy(voxels).T
    real = valid[0, places[0], places[1], places[2]] > 0
    bright = real & (image[:, places[0], places[1], places[2]].amax(0) > 0)
    chosen = bright if bright.any() else real
    depth, height, width = voxels[int(chosen.int().argmax())].tolist()
    return float(depth), float(height), float(width)


def crop(volume: Tensor, centre: Sequence[float], size: Sequence[int]) -> Tensor:
    """Crop ``volume`` (C, D, H, W) to ``size`` so that voxel ``centre`` is at ``size // 2``; fill with zeros outside.

    A centre outside the volume is moved to its nearest voxel.
    """
    padding: list[int] = []
    for axis, (place, side) in enumerate(zip(centre, size, strict=True), start=1):
        length = volume.shape[axis]
        start = min(max(round(place), 0), length - 1) - side // 2
        low, high = max(start, 0), min(start + side, length)
        volume = volume.narrow(axis, low, high - low)
        padding = [low - start, start + side - high, *padding]
    return F.pad(volume, padding)
