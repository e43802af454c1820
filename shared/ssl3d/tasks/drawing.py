"""Draw slices of volumes in one convention, and save pictures.

Radiological: the patient's right is on the left of an axial and of a coronal picture, and the front is on the left of a
sagittal one. The front is at the top of an axial picture, the head at the top of the others. Each picture has letters
that say so. Pixels have the proportions of the voxels. A class has the same colour in every picture, see ``palette``.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files.atomic import replacing
from .palette import HIDDEN, class_colour, class_colours

logger = logging.getLogger(__name__)

SYNTHETIC = "mechanics only: synthetic anatomy"
MAX_ASPECT = 4.0  # largest width over height of a panel, so that thin slabs leave room for their titles
GAP = 0.08  # inches between panels
LINE = 0.24  # inches of a title's line
LETTER, HANDLE = 0.068, 0.7  # inches of a legend's mean letter, and of its line and gaps


@contextmanager
def never_fatal(picture: Path) -> Iterator[None]:
    """Log errors while ``picture`` is drawn instead of raising, so that no picture can end a run."""
    try:
        yield
    except Exception as error:
        logger.warning("%s was not drawn: %s: %s", picture, type(error).__name__, error)


class Plane(NamedTuple):
    """A direction from which to look at a volume that is oriented RAS.

    Attributes:
        name: Name of the plane.
        seen: Position of the viewer.
        axis: Axis of the volume across the plane.
        across, up: Axes of the volume in the plane; both run against the columns and rows of the picture.
        left, top: Sides of the patient at the left and at the top of the picture.
    """

    name: str
    seen: str
    axis: int
    across: int
    up: int
    left: str
    top: str

    def title(self, index: int) -> str:
        """Return the name of a slice: plane, number, and the side from which it is seen."""
        return f"{self.name} {index}, {self.seen}"


AXIAL = Plane("axial", "from below", 2, 0, 1, "R", "A")
CORONAL = Plane("coronal", "from the front", 1, 0, 2, "R", "S")
SAGITTAL = Plane("sagittal", "from the left", 0, 1, 2, "A", "S")
PLANES = (AXIAL, CORONAL, SAGITTAL)


def picture_of(section: np.ndarray) -> np.ndarray:
    """Turn a section (..., U, V) of a RAS volume into a picture (..., rows, columns), row 0 at the top."""
    return np.swapaxes(section, -1, -2)[..., ::-1, ::-1]


def slice_of(volume: np.ndarray, plane: Plane, index: int) -> np.ndarray:
    """Cut a picture (..., rows, columns), row 0 at the top, out of a volume (..., D, H, W) that is oriented RAS."""
    return picture_of(np.take(volume, index, axis=plane.axis - 3))


def pixels_of(points: np.ndarray, shape: Sequence[int], plane: Plane) -> np.ndarray:
    """Return where voxels (N, 3) of a RAS volume (D, H, W) lie in a picture of it: (N, 2), column and row."""
    axes = [plane.across, plane.up]
    return np.asarray(shape)[axes] - 1 - np.asarray(points)[:, axes]


def fullest(mask: np.ndarray, plane: Plane, share: float = 1.0) -> int:
    """Return the slice nearest to the middle among those with at least ``share`` of the voxels of the fullest slice.

    Args:
        mask: (D, H, W), anything that is not 0 counts.
        plane: Plane of the slices.
        share: Share of the fullest slice, in (0, 1]; an empty mask gives the middle slice.
    """
    counts = (np.asarray(mask) != 0).sum(axis=(plane.across, plane.up))
    candidates = np.flatnonzero(counts >= share * counts.max())
    return int(candidates[np.abs(candidates - len(counts) // 2).argmin()])


def aspect_of(shape: Sequence[int], spacing: Sequence[float], plane: Plane) -> float:
    """Return width over height of a picture of a volume (D, H, W) in mm, within bounds that a layout can use."""
    width, height = shape[plane.across] * spacing[plane.across], shape[plane.up] * spacing[plane.up]
    return float(np.clip(width / height, 1 / MAX_ASPECT, MAX_ASPECT))


def spacing_of(image: Any) -> list[float]:
    """Return mm per voxel along D, H, W of an image, or of the first of a batch; 1, 1, 1 without affine."""
    affine = getattr(image, "affine", None)
    if affine is None:
        return [1.0, 1.0, 1.0]
    return np.linalg.norm(np.asarray(affine, dtype=float).reshape(-1, 4, 4)[0, :3, :3], axis=0).tolist()


def mm(spacing: Sequence[float]) -> str:
    """Return the size of a voxel for a title, such as ``1 x 1 x 2.5 mm``."""
    return " x ".join(f"{side:.3g}" for side in spacing) + " mm"


def window_of(image: np.ndarray, low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
    """Return the percentiles of an image between which it is drawn."""
    finite = image[np.isfinite(image)]
    darkest, brightest = np.percentile(finite, (low, high)).tolist() if finite.size else (0.0, 1.0)
    return darkest, brightest


def show(
    axes: Any,
    picture: np.ndarray,
    plane: Plane,
    spacing: Sequence[float],
    window: tuple[float, float] | None = None,
    title: str = "",
    letters: bool = True,
    **options: Any,
) -> Any:
    """Draw a picture with the letters of its plane.

    Args:
        axes: Axes of matplotlib.
        picture: (rows, columns) intensities or (rows, columns, 3 or 4) colours, row 0 at the top; NaN means hidden.
        plane: Plane of the picture.
        spacing: Mm per voxel of the volume along D, H, W.
        window: Intensities to draw as black and white.
        title: Title of the panel.
        letters: Whether to draw the letters.
        options: Further arguments of ``imshow``.

    Returns:
        The image of matplotlib.
    """
    from matplotlib import colormaps

    low, high = window or (None, None)
    grey = colormaps[options.pop("cmap", "gray")].with_extremes(bad=HIDDEN)
    smooth = "bicubic" if picture.ndim == 2 and np.isfinite(picture).all() else "nearest"
    look = {"cmap": grey, "vmin": low, "vmax": high, "interpolation": smooth, **options}
    drawn = axes.imshow(picture, origin="upper", aspect=spacing[plane.up] / spacing[plane.across], **look)
    rows, columns = picture.shape[:2]
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    axes.set_axis_off()
    if title:
        axes.set_title(title, fontsize=9)
    if letters:
        letter(axes, 0.02, 0.5, plane.left, "left", "center")
        letter(axes, 0.5, 0.98, plane.top, "center", "top")
    return drawn


def letter(axes: Any, x: float, y: float, text: str, horizontal: str, vertical: str) -> None:
    """Write white text with a dark edge into a panel, at a place given as shares of its width and height."""
    from matplotlib.patheffects import withStroke

    axes.text(
        *(x, y, text),
        **{"transform": axes.transAxes, "ha": horizontal, "va": vertical, "color": "white", "fontsize": 10},
        path_effects=[withStroke(linewidth=2, foreground="black")],
    )


def outline(axes: Any, classes: np.ndarray, numbers: Iterable[int], **style: Any) -> None:
    """Draw the borders of these classes in a picture of class ids, each in its colour unless ``style`` has another."""
    for number in numbers:
        mask = classes == number
        if mask.any():
            axes.contour(mask, **{"levels": [0.5], "colors": class_colour(number), "linewidths": 1.5, **style})


def overlay(axes: Any, classes: np.ndarray, opacity: float = 0.5) -> None:
    """Fill each class of a picture of class ids (0 background) with its colour, over what ``show`` has drawn."""
    from matplotlib.colors import to_rgb

    colours = np.zeros((*classes.shape, 4))
    for number in np.unique(classes[classes > 0]).tolist():
        colours[classes == number] = *to_rgb(class_colour(int(number))), opacity
    axes.imshow(colours, origin="upper", aspect=axes.get_aspect(), interpolation="nearest")


def legend_columns(names: Mapping[int, str], width: float) -> int:
    """Return how many columns of a legend with these class names fit into a width in inches."""
    longest = max((len(name) for name in names.values()), default=0)
    return max(1, min(len(names), int(width / (LETTER * longest + HANDLE))))


def class_legend(figure: Any, names: Mapping[int, str], width: float) -> None:
    """Name the classes by their colours, below a figure of this width in inches."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour, linewidth=2) for colour in class_colours(names)]
    columns = legend_columns(names, width)
    figure.legend(lines, list(names.values()), loc="outside lower center", ncols=columns, fontsize=9)


def fit(aspects: Sequence[float], height: float, least: float = 7.0, most: float = 12.0) -> tuple[float, float]:
    """Return width of a figure and height of its panels, in inches, so that a row of panels leaves nothing empty.

    Args:
        aspects: Width over height of each panel of the row.
        height: Height of a panel, if the bounds allow it.
        least: Smallest width.
        most: Largest width.
    """
    gaps = GAP * (len(aspects) + 1)
    width = float(np.clip(height * sum(aspects) + gaps, least, most))
    return width, (width - gaps) / sum(aspects)


def save(figure: Any, path: Path) -> None:
    """Write a figure as a PNG, atomically."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
