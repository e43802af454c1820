"""Distances and files of an evaluation."""

import csv
import warnings
from math import inf, isnan, nan

import pytest
import torch
from ignite.engine import Engine

from ssl3d.tasks.segmentation.class_table import ClassTable
from ssl3d.tasks.segmentation.score_files import ScoreFiles
from ssl3d.tasks.segmentation.surface_distance import SurfaceDistance95


def one_hot(*present: bool) -> torch.Tensor:
    """(C, 4, 4, 4) with background, each class in a corner of its own or nowhere."""
    volume = torch.zeros(1 + len(present), 4, 4, 4)
    for number, there in enumerate(present, start=1):
        volume[number, number, :2, :2] = float(there)
    volume[0] = 1 - volume.sum(0)
    return volume


def evaluated(cases, folder=None):
    """The state of an evaluator that has compared pairs of prediction and label; no warning is allowed."""
    engine = Engine(lambda engine, case: case)
    engine.state.rank = 0
    metric = SurfaceDistance95(lambda pair: ([pair[0]], [pair[1]]))
    metric.attach(engine, "val_hausdorff95")
    if folder is not None:
        engine.state.metric_details = {"val_mean_dice": torch.tensor([[1.0, nan], [0.0, nan]])}
        files = ScoreFiles(folder, ["liver", "spleen"])
        files.batch_transform = lambda _: [{"filename_or_obj": f"case {engine.state.iteration}"}]
        files.attach(engine)
        ClassTable(folder, ["liver", "spleen"]).attach(engine)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.run(cases)
    return engine.state


def test_a_missed_class_is_infinitely_far_and_an_absent_one_has_no_distance():
    truth = one_hot(True, False)
    state = evaluated([(truth, truth), (one_hot(False, True), truth), (one_hot(False, False), truth)])
    torch.testing.assert_close(
        state.metric_details["val_hausdorff95"], torch.tensor([[0.0, nan], [inf, nan], [inf, nan]]), equal_nan=True
    )
    assert state.metrics["val_hausdorff95"] == inf
    assert isnan(evaluated([(one_hot(True, True), one_hot(False, False))]).metrics["val_hausdorff95"])
    assert evaluated([(truth, truth)]).metrics["val_hausdorff95"] == 0


def test_files_are_named_after_the_section_and_columns_after_the_classes(tmp_path, caplog):
    truth = one_hot(True, False)
    with caplog.at_level("INFO"):
        evaluated([(truth, truth), (one_hot(False, False), truth)], tmp_path / "test")
    assert sorted(path.name for path in (tmp_path / "test").iterdir()) == [
        *("classes.csv", "metrics.csv", "test_hausdorff95_raw.csv", "test_hausdorff95_summary.csv"),
        *("test_mean_dice_raw.csv", "test_mean_dice_summary.csv"),
    ]
    with (tmp_path / "test" / "test_hausdorff95_raw.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["filename", "liver", "spleen", "mean"]
    assert rows == [["case 1", "0.0", "nan", "0.0"], ["case 2", "inf", "nan", "inf"]]
    assert (tmp_path / "test" / "metrics.csv").read_text() == "test_hausdorff95,inf\n"
    assert "liver       2       1      0.500                    inf" in caplog.text


@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_scores_of_other_columns_keep_their_numbers(tmp_path, shape):
    engine = Engine(lambda engine, case: case)
    engine.state.metric_details = {"other": torch.zeros(shape)}
    files = ScoreFiles(tmp_path / "validation", ["liver", "spleen"])
    files._filenames = ["a", "b"]
    files(engine)
    assert (tmp_path / "validation" / "validation_other_raw.csv").read_text().startswith("filename,class0,")
