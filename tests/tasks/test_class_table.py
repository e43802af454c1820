"""The table of classes at the end of an evaluation."""

import csv
import logging
from math import inf, nan

import pytest
import torch
from ignite.engine import Engine

from ssl3d.tasks.segmentation.class_table import ClassTable


def run(table: ClassTable, dice: list, distance: list, rank: int = 0) -> None:
    engine = Engine(lambda engine, batch: None)
    engine.state.rank = rank
    engine.state.metric_details = {
        "val_mean_dice": torch.tensor(dice),  # (cases, classes)
        "val_hausdorff95": torch.tensor(distance),
    }
    table.attach(engine)
    engine.run([0])


def test_each_class_has_its_name_and_its_own_scores(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        run(ClassTable(tmp_path / "new", ["liver", "spleen"]), [[0.5, 1.0], [0.7, 0.0]], [[2.0, 1.0], [4.0, 3.0]])
    rows = list(csv.reader((tmp_path / "new" / "classes.csv").open()))
    assert rows == [
        ["class", "cases", "missed", "mean_dice", "median_hausdorff95"],
        ["liver", "2", "0", "0.600", "3.0"],
        ["spleen", "2", "0", "0.500", "2.0"],
    ]
    assert "liver" in caplog.text and "0.600" in caplog.text


def test_a_case_without_the_class_is_not_counted_and_one_that_missed_it_is_infinitely_far(tmp_path):
    dice = [[nan, nan], [0.0, nan], [0.0, nan], [0.9, nan]]
    distance = [[nan, nan], [nan, nan], [inf, nan], [1.0, nan]]
    run(ClassTable(tmp_path, ["liver", "spleen"]), dice, distance)
    rows = list(csv.reader((tmp_path / "classes.csv").open()))
    assert rows[1:] == [["liver", "3", "2", "0.300", "inf"], ["spleen", "0", "0", "-", "-"]]


def test_names_must_fit(tmp_path):
    with pytest.raises(ValueError, match="2 classes were scored, and label_names has 1"):
        run(ClassTable(tmp_path, ["liver"]), [[0.5, 0.5]], [[1.0, 1.0]])


def test_only_the_first_process_writes(tmp_path):
    run(ClassTable(tmp_path, ["liver"]), [[0.5]], [[1.0]], rank=1)
    assert not list(tmp_path.iterdir())
