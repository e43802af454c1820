"""Draw what the trained method of a pre-training bundle makes of held-out volumes, as its README shows it.

Run from the folder of the bundle. Further arguments override keys of the configs, as in ``monai.bundle run``.

Example:
    cd bundles/s2dc_pretraining
    python ../../tools/draw_views.py docs/pretraining.png --dataset_dir $SSL3D_DATA/msd_hippocampus
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.bundle import ConfigWorkflow

from ssl3d import weights
from ssl3d.tasks.views_preview import ViewsPreview


def main() -> None:
    """Evaluate the first validation batch and draw one PNG."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--weights", default="models/pretraining.pth", help="weights of the method")
    parser.add_argument("--title", default="shipped weights", help="second half of the title")
    parser.add_argument("--overlays", default="", help="configs after train.json, separated by commas: mr.json")
    parser.add_argument("--rows", type=int, default=2, help="number of volumes")
    parser.add_argument("--batch", type=int, default=8, help="volumes to choose from: those with the least padding")
    sys.path.insert(0, str(Path.cwd()))  # of the bundle, for its scripts
    arguments, rest = parser.parse_known_args()
    overrides: dict[str, Any] = {k.removeprefix("--"): v for k, v in zip(rest[::2], rest[1::2], strict=True)}
    overrides["validate#dataloader#batch_size"] = arguments.batch
    workflow = ConfigWorkflow(
        config_file=[f"configs/{name}" for name in ("train.json", *filter(None, arguments.overlays.split(",")))],
        meta_file="configs/metadata.json",
        logging_file="configs/logging.conf",
        workflow_type="train",
        **overrides,
    )
    workflow.initialize()
    evaluator = workflow.parser.get_parsed_content("validate#evaluator")
    network = workflow.parser.get_parsed_content("network")
    passport = weights.passport_of(arguments.weights)
    whole = passport is not None and passport.network == type(network).__name__
    weights.load(network if whole else network.student, arguments.weights, part="network", min_match=0.8)
    preview = ViewsPreview(arguments.picture.parent, evaluator, network, arguments.rows)
    preview.path = arguments.picture
    evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=1), preview.keep)
    evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda engine: engine.terminate())
    evaluator.run()
    preview.draw(arguments.title)


if __name__ == "__main__":
    main()
