"""The classes of a segmentation: what decides them at training, and that the passport does later."""

import json
import logging

import pytest
import torch
from passports import some_passport

from ssl3d.data import as_names, data_set_names, same_names
from ssl3d.weights import save, trained_classes, training_classes

OWN = "anterior, posterior"


def data_set(folder, labels):
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "training": []}))
    return folder


def weights(folder, names=()):
    passport = some_passport(label_names=list(names))
    save({"w": torch.zeros(1)}, folder / "model.pt", passport)
    return folder / "model.pt"


@pytest.mark.parametrize(
    "value",
    [
        "head,body,tail",
        " head , body,tail",
        ["head", "body", "tail"],
        ("head", "body", "tail"),
        ["Background", "head", "body", "tail"],
        {"0": "background", "1": "head", "2": "body", "3": "tail"},
        {3: "tail", 2: "body", 1: "head"},
    ],
)
def test_names_are_read_however_they_are_given(value):
    assert as_names(value) == ["head", "body", "tail"]


def test_one_name_is_one_class():
    assert as_names("tumour") == ["tumour"]
    assert as_names(("1", 2)) == ["1", "2"]


@pytest.mark.parametrize(
    "value", ["", ",", "a,,b", [], "a,A", 3, True, {"1": "a", "3": "b"}, {"a": 1}, [f"c{i}" for i in range(256)]]
)
def test_what_are_no_names_is_refused(value):
    with pytest.raises(ValueError, match="label_names"):
        as_names(value)


def test_the_data_set_names_its_classes_in_every_form(tmp_path):
    for labels in ({"0": "background", "1": "head", "2": "tail"}, {"background": 0, "tail": 2, "head": 1}):
        assert data_set_names(data_set(tmp_path, labels)) == ["head", "tail"]
    for labels in (None, {}, {"0": "background"}, {"whole": [1, 2], "core": 2}):
        assert data_set_names(data_set(tmp_path, labels)) == []
    assert data_set_names(None) == []
    (tmp_path / "other.json").write_text(json.dumps({"labels": {"1": "all"}}))
    assert data_set_names(tmp_path, "other.json") == data_set_names(None, tmp_path / "other.json") == ["all"]
    with pytest.raises(ValueError, match=r"dataset\.json names the label ids 1, 2, 4.*--label_names"):
        data_set_names(data_set(tmp_path, {"1": "a", "2": "b", "4": "c"}))
    with pytest.raises(ValueError, match=r"dataset\.json.*different names"):
        data_set_names(data_set(tmp_path, {"1": "a", "2": "A"}))


def test_the_same_classes_may_be_spelled_otherwise():
    assert same_names(["Anterior", "Posterior"], ["anterior hippocampus", "posterior_hippocampus"])
    assert not same_names(["head", "tail"], ["anterior", "posterior"])
    assert not same_names(["a", "p"], ["anterior", "posterior"])
    assert not same_names(["anterior"], ["anterior", "posterior"])


def test_what_decides_at_training(tmp_path, caplog):
    named = data_set(tmp_path, {"1": "head", "2": "body", "3": "tail"})
    with caplog.at_level(logging.INFO):
        found = training_classes(OWN, None, named)
    assert found.names == ["head", "body", "tail"] and found.channels == 4 and found.given == [0, 1, 2, 3]
    assert "1 head, 2 body, 3 tail (named by the data set" in caplog.text
    assert training_classes(OWN, "x,y", named).names == ["x", "y"]
    assert training_classes(OWN).names == ["anterior", "posterior"]
    assert training_classes(OWN, None, data_set(tmp_path, {"1": "Anterior", "2": "Posterior"})).names == [
        "anterior",
        "posterior",
    ]


def test_a_label_map_leads_to_the_classes(tmp_path):
    gaps = data_set(tmp_path, {"1": "a", "2": "b", "40": "c"})
    found = training_classes(OWN, None, gaps, map={"1": 1, "2": 0, "40": 2})
    assert (found.given, found.ours, found.names) == ([0, 1, 2, 40], [0, 1, 0, 2], ["anterior", "posterior"])
    assert training_classes(OWN, "liver", gaps, map={"40": 1}).names == ["liver"]
    with pytest.raises(ValueError, match="label_map flare22 leads to the 13 abdominal organs"):
        training_classes(OWN, map="flare22")
    with pytest.raises(ValueError, match="whole numbers from 0 to 2"):
        training_classes(OWN, map={"1": 3})


def test_the_passport_decides_later(tmp_path, caplog):
    file = weights(tmp_path, ["head", "body", "tail"])
    assert trained_classes(OWN, file).names == ["head", "body", "tail"]
    assert trained_classes(OWN, file, ("head", "body", "tail")).channels == 4
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert trained_classes(OWN, file, "x,y,z").names == ["x", "y", "z"]
    assert "label_names calls them 1 x, 2 y, 3 z" in caplog.text
    with pytest.raises(ValueError, match="was trained for 3 classes"):
        trained_classes(OWN, file, "x,y")
    caplog.clear()
    trained_classes(OWN, file, None, data_set(tmp_path, {"1": "liver", "2": "spleen"}))
    assert "The data set names 1 liver, 2 spleen" in caplog.text


def test_weights_of_earlier_versions_have_the_classes_of_their_bundle(tmp_path):
    file = weights(tmp_path)
    content = json.loads(file.with_suffix(".json").read_text())
    del content["label_names"]
    file.with_suffix(".json").write_text(json.dumps(content))
    assert trained_classes(OWN, file).names == ["anterior", "posterior"]
    assert trained_classes(OWN, file, "a,b,c").channels == 4
    assert trained_classes(OWN, tmp_path / "there is none.pt").channels == 3
    assert trained_classes(OWN, None).channels == 3
