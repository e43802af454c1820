"""Bundles from recipes: ours are rendered, and the rules of rendering."""

import json
import shutil
from pathlib import Path

import pytest
from monai.bundle import ConfigParser
from rendering import ROOT, build_bundles

BUNDLES = ROOT / "bundles"
NAMES = sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir())


@pytest.fixture
def build(monkeypatch, capsys):
    """Runs the script; returns its exit status and what it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["build_bundles.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            build_bundles.main()
        return ended.value.code, capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", NAMES)
def test_committed_configs_are_those_of_the_recipe(name, build):
    assert build("--check", name) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_short_and_every_fact_in_it_is_used(name):
    text = (BUNDLES / name / "recipe.json").read_text()
    assert text == build_bundles.readable_json(json.loads(text))
    assert text.count("\n") <= 60
    recipe = json.loads(text)
    asked = json.dumps([list(build_bundles.layers(recipe["family"])), recipe.get("configs")])
    asked_by_the_script = {"family", "configs", "channels", "title", "classes"}
    unused = [key for key in recipe.keys() - asked_by_the_script if f"{build_bundles.FACT}{key}" not in asked]
    assert not unused


@pytest.mark.parametrize("file", sorted(build_bundles.FAMILIES.rglob("*.json")), ids=lambda file: file.parent.name)
def test_templates_are_formatted_and_belong_to_a_bundle(file):
    assert file.read_text() == build_bundles.readable_json(json.loads(file.read_text()))
    family = file.parent.relative_to(build_bundles.FAMILIES).as_posix()
    families = [build_bundles.read(BUNDLES / name)["family"] for name in NAMES]
    assert family == "." or any(f"{other}/".startswith(f"{family}/") for other in families)


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of a bundle's text files; returns the folder of bundles."""
    ignore = shutil.ignore_patterns("*.pt", "*.pth", "output", "eval", "__pycache__")
    shutil.copytree(BUNDLES / NAMES[0], tmp_path / NAMES[0], ignore=ignore)
    for weights in (BUNDLES / NAMES[0] / "models").glob("*.pt*"):
        (tmp_path / NAMES[0] / "models" / weights.name).touch()
    return tmp_path


def test_a_file_that_differs_is_named_and_only_written_without_check(copy, build):
    file = copy / NAMES[0] / "configs" / "train.json"
    file.write_text(file.read_text().replace('"epochs": ', '"epochs": 1'))
    changed = file.read_text()
    status, printed = build("--check", "--root", str(copy))
    assert (status, printed) == (1, f"differs from its recipe: {file}\n")
    assert file.read_text() == changed
    assert build("--root", str(copy))[0] == 0
    assert file.read_bytes() == (BUNDLES / NAMES[0] / "configs" / "train.json").read_bytes()


def test_a_config_that_no_recipe_has_is_named(copy, build):
    (copy / NAMES[0] / "configs" / "mine.json").write_text("{}\n")
    assert build("--check", "--root", str(copy)) == (
        1,
        f"differs from its recipe: {copy / NAMES[0] / 'configs' / 'mine.json'}\n",
    )


def test_what_people_wrote_into_the_metadata_stays(copy, build):
    file = copy / NAMES[0] / "configs" / "metadata.json"
    metadata = json.loads(file.read_text())
    mine = {"version": "7.0.0", "changelog": {"7.0.0": "mine"}, "description": "mine", "eval_metrics": {"dice": 1}}
    file.write_text(build_bundles.readable_json(metadata | mine | {"name": "wrong", "monai_version": "0"}))
    build("--root", str(copy))
    assert json.loads(file.read_text()) == metadata | mine


def test_facts_are_filled_in_and_lists_spliced():
    facts = ConfigParser({"pixdim": [1.0, 2.0], "crop": [{"a": "%recipe#pixdim"}], "deep": {"x": 3}})
    template = {"pixdim": "%recipe#pixdim", "list": ["%recipe#crop", "%recipe#deep#x", "@own", "%own#macro"]}
    assert build_bundles.filled(template, facts) == {
        "pixdim": [1.0, 2.0],
        "list": [{"a": [1.0, 2.0]}, 3, "@own", "%own#macro"],
    }
    with pytest.raises(ValueError, match="no 'classes', which a template of its family asks for"):
        build_bundles.filled("%recipe#classes", facts)


def test_an_overlay_is_merged_as_monai_does():
    config = {"epochs": 1, "...": None, "train": {"crop": [1], "seed": 0}, "run": ["a"]}
    overlay = {"mine": 1, "yours": 2, "train#crop": [], "train#new": 3, "after": 4, "+run": ["b"], "epochs": 2}
    found = build_bundles.merged(config, overlay)
    assert found == {
        "epochs": 2, "...": None, "mine": 1, "yours": 2, "train": {"crop": [], "seed": 0, "new": 3}, "after": 4,
        "run": ["a", "b"],
    }  # fmt: skip
    assert list(found) == ["epochs", "mine", "yours", "...", "train", "after", "run"]
    assert config["train"] == {"crop": [1], "seed": 0}, "a template serves many bundles"


def test_ids_of_an_overlay_stay_ids():
    overlay = {"validate#dataset": {"data": 1}, "+imports": ["x"]}
    assert build_bundles.merged({}, overlay) == overlay
    assert build_bundles.merged(overlay, {"validate#dataset#data": 2, "validate#other": 3}) == {
        "validate#dataset": {"data": 2},
        "validate#other": 3,
        "+imports": ["x"],
    }


def test_an_unknown_family_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"no family 'pretraining/none'\. There are: .*pretraining/gvsl.*segmentation"):
        list(build_bundles.layers("pretraining/none"))
