"""The log line of who is where, and ``cases.json``, which ``--split`` reads back."""

import json

import pytest

from ssl3d.data import Datalist
from ssl3d.engines.cases import announce_cases, describe_cases, section_to_evaluate

RUN = ["$@train#trainer.run()"]


class Parser(dict):
    """A config whose entries are objects already."""

    get_parsed_content = dict.__getitem__


def parser_of(tmp_path, training, validation, run=RUN, **more):
    data = {"train#dataset#data": training, "validate#dataset#data": validation}
    return Parser({"output_dir": str(tmp_path / "out"), "run": run, **data, **more})


def test_names_of_each_section(make_dataset, tmp_path, caplog):
    folder = make_dataset(12)
    training, validation = (Datalist(folder, section, num_labelled=2) for section in ("training", "validation"))
    with caplog.at_level("INFO"):
        announce_cases(parser_of(tmp_path, training, validation))
    document = json.loads((tmp_path / "out" / "cases.json").read_text())
    assert document["training"] == [item["name"] for item in training]
    assert document["validation"] == ["case_02", "case_10"]
    assert document["test"] == ["case_03", "case_07", "case_11"]
    assert len(document["left_out"]) == 5
    assert "Cases: 2 for training" in caplog.text
    assert "2 for validation (case_02, case_10), 3 for test" in caplog.text
    assert "Only 2 validation cases (case_02, case_10)" in caplog.text
    again = Datalist(folder, "training", split=str(tmp_path / "out" / "cases.json"))
    assert sorted(item["name"] for item in again) == sorted(document["training"])


def test_nothing_validated(make_dataset, tmp_path, caplog):
    folder = make_dataset(3)
    training, validation = (Datalist(folder, section, split="none") for section in ("training", "validation"))
    announce_cases(parser_of(tmp_path, training, validation))
    assert "Nothing is validated: the weights of the last epoch are kept" in caplog.text
    with pytest.raises(ValueError, match="no cases for validation"):
        announce_cases(parser_of(tmp_path, [], validation, ["$@validate#evaluator.run()"], section="validation"))


def test_items_of_others():
    document = describe_cases([{"image": "a.nii.gz"}, {"image": "b.nii.gz", "name": "b"}], [])
    assert document["training"] == ["a.nii.gz", "b"]
    assert document["test"] == document["left_out"] == []


def test_five_validation_cases_are_no_reason_to_warn(make_dataset, tmp_path, caplog):
    items = [{"image": f"{i}", "name": f"{i}"} for i in range(10)]
    announce_cases(parser_of(tmp_path, items[:5], items[5:]))
    assert "validation case" not in caplog.text


@pytest.mark.parametrize(("split", "section"), [("positional", "test"), ("pretraining", "validation"), ("none", "")])
def test_the_section_that_the_next_command_evaluates(make_dataset, tmp_path, split, section):
    training = Datalist(make_dataset(4), "training", split=split)
    assert section_to_evaluate(parser_of(tmp_path, training, [])) == section
