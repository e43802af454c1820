"""Prepare templates: scans with named points, which are searched in other scans."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from torch import Tensor, nn

from ...data import validate
from ...data.fit import fit
from ...data.splits import case_name
from ...geometry.world import apply_affine, within
from ...imaging.dicom.cases import with_series
from ...matching.points import EmbeddedScan, embed_scan
from ...weights import facts
from ..plain import plain
from ..point_files import read_points

logger = logging.getLogger(__name__)

NONE = "This set has no case with points. Give a template scan and its points: --template SCAN --points FILE."


class Template(NamedTuple):
    """Scan with known points.

    Attributes:
        name: Name of the case.
        scan: Embedding of the scan, on the device of the search.
        image: (C, D, H, W), prepared as for the network, with its affine.
        points: Name -> world coordinates (3,) in mm (RAS+); at least one.
        synthetic: Whether the scan is synthetic.
    """

    name: str
    scan: EmbeddedScan
    image: MetaTensor
    points: dict[str, Tensor]
    synthetic: bool


def given_template(
    template: str | Path | None,
    points: str | Path | None,
    data: Sequence[Mapping[str, Any]],
    *,
    preprocessing: Callable[[dict[str, Any]], dict[str, Any]],
    network: nn.Module,
    coordinates: str = "world",
    series: str | None = None,
    skip_bad: bool = False,
) -> list[Template]:
    """Make the template from the scan that the user names, else from the first case of a data set that has points.

    Args:
        template: Scan, a file or a folder of DICOM files; None: the first item of ``data`` with ``landmarks``.
        points: File of the template's points, see ``read_points``; None: the item's ``landmarks``.
        data: Items with ``image`` and ``name``, see ``Datalist``.
        preprocessing: Function from an item to a prepared ``image`` (C, D, H, W), a ``MetaTensor``.
        network: ``AnatomicalEmbeddingNet`` on its device, in evaluation mode.
        coordinates: Coordinates of the file of points: ``world`` or ``voxel``.
        series: Series of a DICOM template, see ``Datalist``.
        skip_bad: Whether to leave out points outside of the scan instead of raising.

    Returns:
        A list with one template.

    Raises:
        ValueError: only one of scan and points is given; no case with points; a bad file of points; a point outside of
            the scan; a constant scan. The message names the point or file.
        DataError: a scan that cannot be used, or that would be too large after resampling.
    """
    if (template is None) != (points is None):
        missing, there = ("points", "template") if points is None else ("template", "points")
        raise ValueError(f"--{there} is given and --{missing} is not: a template needs a scan and its points.")
    if template is None or points is None:
        item = next((item for item in data if "landmarks" in item), None)
        if item is None:
            raise ValueError(NONE)
        logger.info("No template is given: searching for the points of %s.", item["name"])
        file, frame = item["landmarks"], "world"
    else:
        scan = Path(template).expanduser().absolute()
        entry = {"image": str(scan), "name": case_name(scan), "group": "template"}
        (item,), _ = validate([with_series(entry, series)])
        if isinstance(preprocessing, Compose):
            fit([item], facts.preprocessing(preprocessing), training=False)
        file, frame = points, coordinates
    return [make_template(item, file, frame, preprocessing, network, skip_bad)]


def make_template(
    item: Mapping[str, Any],
    file: str | Path,
    coordinates: str,
    preprocessing: Callable[[dict[str, Any]], dict[str, Any]],
    network: nn.Module,
    skip_bad: bool = False,
) -> Template:
    """Prepare and embed an item, and read its points; see :func:`given_template`."""
    prepared = preprocessing({key: item[key] for key in ("image", "name") if key in item})
    image: MetaTensor = prepared["image"]
    named = {name: torch.tensor(place, dtype=torch.float64) for name, place in read_points(file, coordinates).items()}
    if coordinates == "voxel":
        named = {name: _moved(place, original_affine(image)) for name, place in named.items()}
    outside = [name for name, place in named.items() if not inside(image, place[:, None]).item()]
    if outside:
        text = (
            f"{len(outside)} of {len(named)} points of {file} lie outside of {item['image']}, first {outside[0]!r} at "
            f"{', '.join(f'{value:.1f}' for value in named[outside[0]].tolist())} mm (RAS)."
        )
        if not skip_bad or len(outside) == len(named):
            raise ValueError(f"{text} Check the frame of the file (--coordinates), or set --skip_bad true.")
        logger.warning("%s Left out: %s.", text, ", ".join(outside))
    places = {name: place for name, place in named.items() if name not in outside}
    if not places:
        raise ValueError(f"{file} holds no points. Give a file with at least one point.")
    device = next(network.parameters()).device
    try:
        scan = embed_scan(network, plain(image, torch.float32).to(device), plain(image.affine, torch.float64))
    except ValueError as error:
        raise ValueError(f"{item['image']}: {error}") from None
    return Template(str(item["name"]), scan, image, places, bool(item.get("synthetic", False)))


def inside(image: MetaTensor, points: Tensor) -> Tensor:
    """Return whether points (3, N), mm, lie in a volume (N,); it ends half a voxel beyond its outermost centres."""
    voxels = apply_affine(torch.linalg.inv(plain(image.affine, torch.float64)), points)
    return within(voxels, image.shape[1:])


def original_affine(image: MetaTensor) -> Tensor:
    """Return the affine (4, 4), from voxels to mm, of the file from which an image was loaded."""
    return torch.as_tensor(image.meta.get("original_affine", image.affine)).double().cpu()


def _moved(place: Tensor, affine: Tensor) -> Tensor:
    return apply_affine(affine, place[:, None])[:, 0]
