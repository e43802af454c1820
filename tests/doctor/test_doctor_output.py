"""What the doctor gives: a table that fits, a list that is read back, settings that run a bundle."""

import json
import shlex
from pathlib import Path

import pytest
from bundles.conftest import TINY, TRAIN, copy_bundle, forget_scripts, workflow  # noqa: F401
from doctor.doctor_sets import broken_set, good_set, list_cases, problems, text

from ssl3d.data import Datalist, validate
from ssl3d.data.splits import SECTIONS
from ssl3d.doctor.examine import examine


@pytest.fixture
def folder(tmp_path) -> Path:
    return good_set(tmp_path / "set")


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_shows_every_fault_and_fits(folder, width):
    document = examine(broken_set(folder))
    assert len(problems(document)) == 9
    shown = text(document, width)
    tables, commands = shown.split("For a bundle")
    assert max(map(len, tables.splitlines())) <= width
    left = "".join(line[1:].split("│")[0].strip() for line in tables.splitlines() if line.startswith("│"))
    right = " ".join(line.split("│")[2].strip() for line in tables.splitlines() if line.count("│") == 3)
    for fault in document["faults"]:
        assert str(Path(fault["file"]).relative_to(folder)).replace(" ", "") in left.replace(" ", "")
        assert fault["problem"].replace(f"{folder}/", "").replace(" ", "") in right.replace(" ", "")
        assert fault["remedy"].rstrip("?").replace(" ", "") in right.replace(" ", "")
    assert "Not good yet: 6 of 15 cases" in tables
    assert "--skip_bad true" in commands


def test_the_list_of_good_cases_is_read_back(folder, tmp_path):
    broken_set(folder)
    document = examine(folder, write="good.json")
    assert document["written"] == str(folder / "good.json")
    good = [f"case_{number}" for number in range(6)]
    items = Datalist(folder, "all", datalist="good.json", label_ids=[0, 1, 2])
    assert [item["name"] for item in items] == good
    assert validate(list(items))[1] == []
    assert Datalist(None, "training", datalist=folder / "good.json")
    content = json.loads((folder / "good.json").read_text())
    assert content["training"][0] == {"image": "./imagesTr/case_0.nii.gz", "label": "./labelsTr/case_0.nii.gz"}
    assert content["labels"] == {"0": "background", "1": "label 1", "2": "label 2"}
    assert content["numTraining"] == 6
    assert examine(folder, datalist="good.json")["good"]
    assert document["settings"]["datalist"] == str(folder / "good.json")
    assert "skip_bad" not in document["settings"]
    before = (folder / "good.json").read_bytes()
    with pytest.raises(FileExistsError, match="not overwritten"):
        examine(folder, write="good.json")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        examine(folder, write=tmp_path / "gone" / "good.json")
    assert (folder / "good.json").read_bytes() == before


def test_the_list_keeps_sections_names_and_other_entries_and_may_lie_elsewhere(folder, tmp_path):
    (folder / "imagesTr" / "case_1.nii.gz").write_bytes(b"broken")
    list_cases(folder, training=[0, 1, 2], validation=[3], test=[4])
    content = json.loads((folder / "dataset.json").read_text())
    content["training"][0] |= {"name": "Jane", "group": "site 7", "age": 44}
    (folder / "dataset.json").write_text(json.dumps({**content, "synthetic": True}))
    examine(folder, write=tmp_path / "elsewhere.json")
    found = {section: Datalist(None, section, datalist=tmp_path / "elsewhere.json") for section in SECTIONS}
    assert {section: [item["name"] for item in items] for section, items in found.items()} == {
        "training": ["Jane", "case_2"],
        "validation": ["case_3"],
        "test": ["case_4"],
    }
    assert found["training"][0]["group"] == "site 7"
    assert found["training"][0]["age"] == 44
    assert found["training"].synthetic
    assert found["training"].corpus[0]["licence"] == "CC0-1.0"


def test_no_list_is_written_without_a_good_case(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"broken")
    document = examine(tmp_path, write="good.json")
    assert document["written"] is None
    assert not (tmp_path / "good.json").exists()
    assert "0 of 1 cases" in text(document, 80)


@pytest.mark.usefixtures("forget_scripts")
def test_a_bundle_runs_with_the_settings_that_are_shown(folder, tmp_path, monkeypatch):
    list_cases(folder, training=[0, 1, 2, 3], validation=[4, 5])
    (folder / "imagesTr" / "case_0.nii.gz").write_bytes(b"broken")
    shown = text(examine(folder), 120).split("train.json")[1].replace("\\\n", " ")
    words = shlex.split(" ".join(line for line in shown.splitlines() if "--" in line))
    options = dict(zip(words[::2], words[1::2], strict=True))
    settings = {key[2:]: value if value[0] in "/tl" else json.loads(value) for key, value in options.items()}
    assert settings["pixdim"] == [1, 1.5, 2]
    assert settings["roi_size"] == [16, 16, 16]
    assert settings["label_names"] == "label 1,label 2"
    assert settings["skip_bad"] == "true"
    root = copy_bundle("hippocampus_mri_segmentation", tmp_path)
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(root)
    flow = workflow(TRAIN, "train", **{**TINY, "epochs": 1, **settings})
    flow.run()
    assert [item["name"] for item in flow.parser.get_parsed_content("train#dataset").data] == [
        "case_1",
        "case_2",
        "case_3",
    ]
