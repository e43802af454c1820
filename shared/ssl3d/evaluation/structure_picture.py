"""A picture of a scan's structures: slices of the scan, of its tokens in colours, of the structure map."""

from pathlib import Path

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Evaluator
from monai.transforms import generate_spatial_bounding_box

from ..data.content import replacing
from .preview import COLOURS, PLANES


class StructurePictures:
    """Handler of an evaluator that draws ``<output_dir>/<name>_structures.png`` of each scan.

    It shows the grid of the network without its padding: items hold ``scan`` and ``valid`` (1, D, H, W), ``colours``
    and ``drawn``, the structures of ``StructureMapd`` before they are brought back to the scan's own grid.

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
            item = {**batch, **output}
            low, high = generate_spatial_bounding_box(item["valid"])
            depth, height, width = (slice(start, stop) for start, stop in zip(low, high, strict=True))
            image, colours, structures = (
                torch.as_tensor(item[key]).cpu().numpy()[:, depth, height, width]
                for key in ("scan", "colours", "drawn")
            )
            title = ("mechanics only: synthetic anatomy; " if item.get("synthetic", False) else "") + str(item["name"])
            path = self.output_dir / f"{item['name']}_structures.png"
            draw(path, image[0], colours, structures[0], item["scan"].pixdim.tolist(), title)


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
