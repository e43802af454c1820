"""Find corresponding places of two volumes, by an anatomical embedding, by a registration, or by known points."""

import csv
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import get_worker_info

from ..data.matched_pairs import Match, crop, foreground_point
from ..files.atomic import replacing
from ..files.folders import cache_dir as cache_folder
from ..geometry.world import apply_affine, sample_at, within
from ..networks import AnatomicalEmbeddingNet, Embeddings, RegistrationNet, on_fine_grid
from ..weights import load as load_weights
from ..weights import passport_of, warn_of_other_settings
from .points import EmbeddedScan, match_points

logger = logging.getLogger(__name__)

MEMORY = 2**31  # bytes of embeddings that a process keeps; an abdomen at 3 mm takes 50 MB
WINDOW = 9  # voxels, of the correlation that scores a registration


class OnDevice:
    """A network, on its device in the main process and on the CPU in the workers of a data loader.

    Args:
        network: Network on the CPU.
        device: Device of the main process.
    """

    def __init__(self, network: nn.Module, device: str | torch.device) -> None:
        self.network, self.device = network.eval().requires_grad_(False), torch.device(device)
        self.moved: nn.Module | None = None

    def __call__(self) -> tuple[nn.Module, torch.device]:
        """Return the network to run in this process, and the device of its input."""
        if self.device.type == "cpu" or get_worker_info() is not None:
            return self.network, torch.device("cpu")
        if self.moved is None:
            self.moved = deepcopy(self.network).to(self.device)
        return self.moved, self.device


class EmbeddingMatcher:
    """Matcher that finds a random place of one volume in another by the embeddings of both, see ``match_points``.

    Embeddings are computed once for each volume, on ``device`` (in a worker process of a data loader, which cannot use
    the GPU of its parent, on the CPU), and kept as plain arrays in half precision, in
    ``<cache_dir>/embeddings/<weights>/<volume>.npz``: the names stand for the network's weights, and for the content of
    the volume and its preprocessing. A file has 2 E bytes for every 8 voxels.

    Args:
        network: Network on the CPU.
        weights: File that fills it, all of it; None: it is filled already. A warning says when these were trained on
            synthetic anatomy.
        device: Device that embeds the volumes.
        cache_dir: See ``ssl3d.data.cache_dir``.
        preprocessing: Preprocessing of the volumes; a warning tells if it differs from that of the weights.

    Source: Jiang et al., Alice (arXiv:2302.05615), with the embedding of Yan et al. (arXiv:2012.02383).
    """

    def __init__(
        self,
        network: AnatomicalEmbeddingNet,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        cache_dir: str | Path | None = None,
        preprocessing: Sequence[Callable] | None = None,
    ) -> None:
        _fill(network, weights)
        if weights is not None and preprocessing is not None:
            warn_of_other_settings(weights, preprocessing)
        self.runs = OnDevice(network, device)
        self.folder = cache_folder(cache_dir) / "embeddings" / weights_key(network)[:20]
        self.kept: OrderedDict[str, EmbeddedScan] = OrderedDict()

    def __call__(
        self, first: Mapping[str, Any], second: Mapping[str, Any], random: np.random.RandomState
    ) -> Match | None:
        """Match a random place of ``first`` to its most similar place in ``second``; the score is the similarity."""
        place = foreground_point(first, random)
        point = torch.tensor([place], dtype=torch.float64)
        found = match_points(self.embedding(first), point, self.embedding(second))
        depth, height, width = found.voxels[0].tolist()
        return Match(place, (depth, height, width), found.scores[0].item())

    def embedding(self, volume: Mapping[str, Any]) -> EmbeddedScan:
        """Return the embedding of a volume, in voxel coordinates, from memory, from a file or from the network."""
        key, image = volume["key"], volume["image"]
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        file = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.npz"
        fine, coarse = self._read(file) or self._compute(image, file)
        both = on_fine_grid(fine[None], coarse[None])[0]
        depth, height, width = image.shape[1:]
        cells = both[:, : (depth + 1) // 2, : (height + 1) // 2, : (width + 1) // 2].contiguous()
        self.kept[key] = EmbeddedScan(cells, (depth, height, width), torch.eye(4, dtype=torch.float64))
        while len(self.kept) > 2 and sum(scan.embedding.nbytes for scan in self.kept.values()) > MEMORY:
            self.kept.popitem(last=False)
        return self.kept[key]

    def _read(self, file: Path) -> tuple[Tensor, Tensor] | None:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                fine, coarse = (torch.from_numpy(arrays[name].astype(np.float32)) for name in ("fine", "coarse"))
        except FileNotFoundError:
            return None
        except Exception as error:  # numpy has no common base for damage, and advises to allow pickles
            logger.warning("Damaged cache file %s is made again (%s).", file, type(error).__name__)
            return None
        if fine.ndim != 4 or coarse.ndim != 4:
            logger.warning("Damaged cache file %s is made again (not the embedding of a volume).", file)
            return None
        return fine, coarse

    @torch.no_grad()
    def _compute(self, image: Tensor, file: Path) -> tuple[Tensor, Tensor]:
        network, device = self.runs()
        vectors: Embeddings = network.embed(image[None].to(device, torch.float32))  # type: ignore[operator]
        # in one layout, whether computed or read: kernels for others round differently, and a resumed run must not
        fine, coarse = (half[0].half().cpu().contiguous() for half in vectors)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary, temporary.open("wb") as stream:
                np.savez(stream, fine=fine.numpy(), coarse=coarse.numpy())
        except OSError as error:
            logger.warning("Not cached, %s: %s. Free space there, or set SSL3D_CACHE.", file, error)
        return fine.float(), coarse.float()


class RegistrationMatcher:
    """Matcher that finds a random place of one volume in another by a registration network, such as GVSL's.

    The two volumes are put centre on centre. The score is the correlation of the registered volumes in a window around
    the place, in [-1, 1]. Nothing is kept but the field of the last pair: a step costs one pass of the network.

    Args:
        network: Network on the CPU.
        weights, device: See ``EmbeddingMatcher``.
    """

    def __init__(
        self, network: RegistrationNet, weights: str | Path | None = None, device: str | torch.device = "cpu"
    ) -> None:
        _fill(network, weights)
        self.runs = OnDevice(network, device)
        self.last: tuple[tuple[str, str], Tensor, Tensor] | None = None

    def __call__(
        self, first: Mapping[str, Any], second: Mapping[str, Any], random: np.random.RandomState
    ) -> Match | None:
        """Match a random place of ``first`` to the place in ``second`` to which the field takes it."""
        place = foreground_point(first, random)
        flow, moving = self._register(first, second)
        position = torch.tensor(place, dtype=torch.float64)[:, None]  # (3, 1)
        sides = zip(second["image"].shape[1:], moving.shape[1:], strict=True)
        shift = torch.tensor([before // 2 - after // 2 for before, after in sides])
        offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
        window = position + torch.stack(torch.meshgrid(offsets, offsets, offsets, indexing="ij")).flatten(1)
        moved = window + sample_at(flow, window).double()
        one, other = sample_at(first["image"].float(), window)[0], sample_at(moving, moved)[0]
        found = position + sample_at(flow, position).double() + shift[:, None]
        depth, height, width = found[:, 0].tolist()
        return Match(place, (depth, height, width), _correlation(one, other))

    @torch.no_grad()
    def _register(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the field (3, D, H, W) in voxels of the first volume's grid, and the second volume on that grid."""
        pair = first["key"], second["key"]
        if self.last is None or self.last[0] != pair:
            network, device = self.runs()
            fixed, moving = first["image"].float(), second["image"].float()
            moving = crop(moving, [side // 2 for side in moving.shape[1:]], fixed.shape[1:])  # centre on centre
            self.last = pair, network(torch.cat([moving[:1], fixed[:1]])[None].to(device))[0].cpu(), moving
        return self.last[1], self.last[2]


class PointMatcher:
    """Matcher that takes a random named point that is known in both volumes, such as landmarks found beforehand.

    The score of a pair is that of its less sure point.

    Args:
        points: A CSV file with the columns ``scan`` (name of the case), ``name``, ``x``, ``y``, ``z`` (mm, RAS+) and,
            where there are scores, ``score``: the ``points.csv`` that the landmark embedding's inference writes.

    Raises:
        ValueError: a file of another form; with its name.
        FileNotFoundError: there is none.
    """

    def __init__(self, points: str | Path) -> None:
        self.points: dict[str, dict[str, tuple[float, ...]]] = {}
        try:
            with Path(points).open(newline="", encoding="utf-8-sig") as stream:
                for row in csv.DictReader(stream):
                    numbers = (*(float(row[axis]) for axis in "xyz"), float(row.get("score") or 1))
                    if not np.isfinite(numbers).all():
                        raise ValueError(f"point {row['name']!r} of {row['scan']!r} is not finite")
                    self.points.setdefault(row["scan"], {})[row["name"]] = numbers
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{points} cannot be read as points of cases: {type(error).__name__}: {error}. It needs the columns "
                "scan, name, x, y, z."
            ) from error
        if not self.points:
            raise ValueError(f"{points} holds no points.")

    def __call__(
        self, first: Mapping[str, Any], second: Mapping[str, Any], random: np.random.RandomState
    ) -> Match | None:
        """Choose a point that lies in both volumes, which need an ``affine`` (4, 4); None if there is none."""
        ours, theirs = (self._inside(volume) for volume in (first, second))
        names = sorted(set(ours) & set(theirs))
        if not names:
            return None
        name = names[random.randint(len(names))]
        return Match(ours[name][0], theirs[name][0], min(ours[name][1], theirs[name][1]))

    def _inside(self, volume: Mapping[str, Any]) -> dict[str, tuple[tuple[float, float, float], float]]:
        to_voxel = torch.linalg.inv(volume["affine"].double())
        found = {}
        for name, (*place, score) in self.points.get(str(volume.get("name")), {}).items():
            voxel = apply_affine(to_voxel, torch.tensor(place).double()[:, None])[:, 0]
            if within(voxel, volume["image"].shape[1:]):
                depth, height, width = voxel.tolist()
                found[name] = (depth, height, width), score
        return found


def _fill(network: nn.Module, file: str | Path | None) -> None:
    if file is None:
        return
    load_weights(network, file, part="network", min_match=1.0)
    passport = passport_of(file)
    if passport is not None and passport.synthetic:
        logger.warning("Pairs are found by %s: DEMONSTRATION WEIGHTS, trained on synthetic anatomy.", file)


def weights_key(network: nn.Module) -> str:
    """Return the SHA-256 of a network's class and state, 64 hexadecimal digits."""
    digest = hashlib.sha256(type(network).__name__.encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _correlation(one: Tensor, other: Tensor) -> float:
    one, other = one - one.mean(), other - other.mean()
    return ((one * other).sum() / (one.norm() * other.norm()).clamp(min=1e-6)).item()
