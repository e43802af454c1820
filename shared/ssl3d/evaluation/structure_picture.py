"""A picture of a scan's structures: slices of the scan, of its tokens in colours, of the structure map."""

from pathlib import Path

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Evaluator

from ..data.content import replacing
from .preview import COLOURS, PLANES


class StructurePictures:
    """Handler of an evaluator that draws ``<output_dir>/<name>_structures.png`` of each scan.

    The post-processing must end with ``StructureMapd``; the picture shows the grid of the network.

    Args:
        output_dir: made when needed.
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
            image, colours, structures = (
                torch.as_tensor(output[key]).cpu().numpy() for key in ("scan", "colours", "drawn")
            )
            spacing = output["scan"].pixdim.tolist()
            draw(
                self.output_dir / f"{batch['name']}_structures.png",
                image[0],
                colours,
                structures[0],
                spacing,
                ("mechanics only: synthetic anatomy; " if batch.get("synthetic", False) else "") + str(batch["name"]),
            )


def draw(
    path: Path, image: np.ndarray, colours: np.ndarray, structures: np.ndarray, spacing: list[float], title: str
) -> None:
    """Middle slices of a scan, of its tokens and of its structures, as a PNG that is replaced at once.

    Args:
        path: of the PNG.
        image: (D, H, W), oriented RAS, any intensities.
        colours: (3, D, H, W), in [0, 1].
        structures: (D, H, W), from 1.
        spacing: mm a voxel along D, H, W.
        title: of the figure.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    count = int(structures.max())
    palette = ListedColormap([COLOURS[i % len(COLOURS)] for i in range(count)])
    figure = Figure(figsize=(9, 9), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=11)
    low, high = np.percentile(image, (1, 99))
    for row, (axis, plane) in zip(figure.subplots(3, 3), enumerate(PLANES), strict=True):
        u, v = (other for other in range(3) if other != axis)
        index = image.shape[axis] // 2
        scan, groups = (np.take(volume, index, axis=axis).T for volume in (image, structures))
        tokens = np.take(colours, index, axis=1 + axis).transpose(2, 1, 0)  # (V, U, 3)
        shown = {"origin": "lower", "aspect": spacing[v] / spacing[u], "interpolation": "nearest"}
        for axes in row:
            axes.imshow(scan, cmap="gray", vmin=low, vmax=high, **shown)
            axes.set_axis_off()
        row[1].imshow(tokens, **shown)
        row[2].imshow(groups, cmap=palette, vmin=0.5, vmax=count + 0.5, alpha=0.45, **shown)
        row[0].set_title(f"scan, {plane} {index}", fontsize=9)
        row[1].set_title("tokens: first three principal components", fontsize=9)
        row[2].set_title("structure map", fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
