"""Draw the structures of a scan: slices of the scan, of its tokens in colours, and of the structure map."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Evaluator
from monai.transforms import generate_spatial_bounding_box

from .. import drawing
from ..drawing import LINE, PLANES, SYNTHETIC


class StructurePictures:
    """Handler of an evaluator that draws ``<output_dir>/<name>_structures.png`` of each scan.

    The picture shows the grid of the network without its padding. Items hold ``scan`` and ``valid`` (1, D, H, W),
    ``colours`` and ``drawn``, the structures of ``StructureMapd`` before they are brought back to the scan's own grid.

    Args:
        output_dir: Output folder; created if needed.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)

    def attach(self, evaluator: Evaluator) -> None:
        """Draw after each batch."""
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, evaluator: Evaluator) -> None:
        """Draw the scans of the batch."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        for batch, output in zip(evaluator.state.batch, evaluator.state.output, strict=True):
            item = {**batch, **output}
            low, high = generate_spatial_bounding_box(item["valid"])
            depth, height, width = (slice(start, stop) for start, stop in zip(low, high, strict=True))
            image, colours, structures = (
                torch.as_tensor(item[key]).cpu().numpy()[:, depth, height, width]
                for key in ("scan", "colours", "drawn")
            )
            title = (f"{SYNTHETIC}; " if item.get("synthetic", False) else "") + str(item["name"])
            path = self.output_dir / f"{item['name']}_structures.png"
            draw(path, image[0], colours, structures[0], item["scan"].pixdim.tolist(), title)


def draw(
    path: Path, image: np.ndarray, colours: np.ndarray, structures: np.ndarray, spacing: Sequence[float], title: str
) -> None:
    """Draw middle slices of a scan, of its tokens and of its structures as a PNG, atomically.

    Args:
        path: Output PNG file.
        image: (D, H, W), oriented RAS, any intensities.
        colours: (3, D, H, W), in [0, 1].
        structures: (D, H, W), from 1.
        spacing: Mm per voxel along D, H, W.
        title: Title of the figure.
    """
    from matplotlib.figure import Figure

    aspects = [drawing.aspect_of(image.shape, spacing, plane) for plane in PLANES]
    width, height = drawing.fit(aspects, 2.6, most=11.0)
    figure = Figure(figsize=(width, 3 * (height + LINE) + LINE), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=11)
    window = drawing.window_of(image, 1, 99)
    grid = figure.subplots(3, len(PLANES), width_ratios=aspects)
    for column, plane in zip(grid.T, PLANES, strict=True):
        index = image.shape[plane.axis] // 2
        scan, groups, tokens = (drawing.slice_of(volume, plane, index) for volume in (image, structures, colours))
        drawing.show(column[0], scan, plane, spacing, window, f"scan, {plane.title(index)}")
        drawing.show(column[1], np.moveaxis(tokens, 0, -1), plane, spacing, title="tokens as colours")
        drawing.show(column[2], scan, plane, spacing, window, "structure map")
        drawing.overlay(column[2], groups)
    drawing.save(figure, path)
