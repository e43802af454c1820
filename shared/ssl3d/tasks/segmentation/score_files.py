"""Write the scores of an evaluation to files named after the section and the classes."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine
from monai.handlers import MetricsSaver, write_metrics_reports
from monai.utils import string_list_all_gather

FORMER = "val_"  # prefix of the metrics' names in the training config


class ScoreFiles(MetricsSaver):
    """Handler of an evaluator that writes MONAI's tables of metrics, with names that say what they hold.

    ``metrics.csv`` holds the means. ``test_mean_dice_raw.csv`` has one row per case and one column per class, and
    ``test_mean_dice_summary.csv`` their means, medians and so on; ``test`` is the section.

    Args:
        directory: Folder of the files, named as the section; made when needed.
        label_names: Name of each foreground class, in order.

    Example:
        >>> ScoreFiles("output/test", ["anterior", "posterior"]).attach(evaluator)  # doctest: +SKIP
    """

    def __init__(self, directory: str | Path, label_names: Sequence[str]) -> None:
        super().__init__(str(directory), metrics="*", metric_details="*", batch_transform=_names, summary_ops="*")
        self.section = Path(directory).name
        self.label_names = list(label_names)

    def __call__(self, engine: Engine) -> None:
        """Write the files, on the first process."""
        names = string_list_all_gather(self._filenames) if idist.get_world_size() > 1 else self._filenames
        if idist.get_rank() != self.save_rank:
            return
        means = {self._named(name): value for name, value in engine.state.metrics.items()}
        write_metrics_reports(self.save_dir, names, means, None, None)
        for name, scores in engine.state.metric_details.items():  # type: ignore[attr-defined]
            known = scores.ndim == 2 and scores.shape[1] == len(self.label_names)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # NumPy warns of means of no case and of infinity
                write_metrics_reports(
                    self.save_dir,
                    names,
                    None,
                    {self._named(name): scores},
                    self.summary_ops,
                    class_labels=self.label_names if known else None,
                )

    def _named(self, metric: str) -> str:
        return f"{self.section}_{metric.removeprefix(FORMER)}"


def _names(batch: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the names of the cases in the form in which MONAI looks for them."""
    return [{"filename_or_obj": item.get("name") or item["image"].meta["filename_or_obj"]} for item in batch]
