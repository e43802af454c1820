"""Families of bundles: the check of drift, and that ours have not drifted."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAMILIES = json.loads((ROOT / "tools" / "families.json").read_text())
REFERENCE = {"epochs": 2, "roi_size": [8, 8], "train": {"steps": [{"a": 1}, {"b": 2}], "seed": 0}}


def ids(config: dict | list, path: str = "") -> Iterator[str]:
    """All ids of a config; an overlay's keys may hold the sign that joins them."""
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
        below = f"{path}#{key}" if path else str(key)
        yield below
        if isinstance(value, (dict, list)):
            yield from ids(value, below)


@pytest.fixture
def sync(monkeypatch, capsys):
    """Runs the script; returns its exit status and what it printed."""
    spec = importlib.util.spec_from_file_location("sync_family", ROOT / "tools" / "sync_family.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(root: Path, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["sync_family.py", "--root", str(root), *arguments])
        with pytest.raises(SystemExit) as ended:
            script.main()
        return ended.value.code, capsys.readouterr().out

    return run


@pytest.fixture
def family(tmp_path):
    """Writes a family of two bundles; returns its root and the config of the second."""

    def write(other: dict, own: list[str]) -> tuple[Path, Path]:
        for name, config in (("one", REFERENCE), ("two", other)):
            folder = tmp_path / "bundles" / name / "configs"
            folder.mkdir(parents=True)
            (folder / "train.json").write_text(json.dumps(config))
        (tmp_path / "tools").mkdir()
        families = {"f": {"reference": "one", "others": ["two"], "own": {"train.json": own}}}
        (tmp_path / "tools" / "families.json").write_text(json.dumps(families))
        return tmp_path, tmp_path / "bundles" / "two" / "configs" / "train.json"

    return write


def test_ours_have_not_drifted(sync):
    assert sync(ROOT, "--check") == (0, "")


def own_ids() -> Iterator[tuple[list[str], str, list[str]]]:
    """Bundles, a config, and the ids that may differ in it."""
    for family in FAMILIES.values():
        own_of = family.get("own_of", {})
        for config, own in family["own"].items():
            having = [name for name in family["others"] if own_of.get(name, {}).get(config, own) is not None]
            yield [family["reference"], *having], config, own
        for bundle, configs in own_of.items():
            for config, own in configs.items():
                if own is not None:  # the bundle has no such config
                    yield [family["reference"], bundle], config, own


@pytest.mark.parametrize(("bundles", "config", "own"), list(own_ids()))
def test_what_is_said_to_differ_is_there(bundles, config, own):
    there = set()
    for bundle in bundles:
        there |= set(ids(json.loads((ROOT / "bundles" / bundle / "configs" / config).read_text())))
    assert set(own) <= there, "stands in no config of these bundles"


def test_ids_of_one_bundle_are_its_own_alone(family, sync):
    root, file = family(REFERENCE | {"epochs": 9}, [])
    families = root / "tools" / "families.json"
    content = json.loads(families.read_text())
    content["f"]["own_of"] = {"two": {"train.json": ["epochs"]}}
    families.write_text(json.dumps(content))
    assert sync(root, "--check") == (0, "")
    content["f"]["own_of"] = {"one": {"train.json": ["epochs"]}}
    families.write_text(json.dumps(content))
    assert sync(root, "--check")[0] == 1
    assert json.loads(file.read_text())["epochs"] == 9


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"epochs": 3}, "epochs"),
        ({"train": {"steps": [{"a": 1}, {"b": 3}], "seed": 0}}, "train#steps#1#b"),
        ({"train": {"steps": [{"a": 1}], "seed": 0}}, "train#steps"),
        ({"train": {"steps": [{"a": 1}, {"b": 2}]}}, "train#seed"),
        ({"more": 1}, "more"),
    ],
    ids=["value", "deep", "length", "missing", "added"],
)
def test_drift_is_named_and_mended(family, sync, changed, path):
    root, file = family(REFERENCE | changed, [])
    before = file.read_text()
    status, printed = sync(root, "--check")
    assert status == 1
    assert f"two/configs/train.json: {path} differs from one" in printed
    assert file.read_text() == before
    assert sync(root)[0] == 0
    assert json.loads(file.read_text()) == REFERENCE
    assert sync(root, "--check") == (0, "")


def test_own_values_stay_as_they_are(family, sync):
    other = {"epochs": 9, "more": 1, "roi_size": [4, 4], "train": {"steps": [{"a": 7}, {"b": 2}], "seed": 5}}
    root, file = family(other, ["epochs", "more", "roi_size", "train#steps#0", "train#seed"])
    assert sync(root, "--check") == (0, "")
    sync(root)
    assert json.loads(file.read_text()) == other
    assert list(json.loads(file.read_text())) == ["epochs", "more", "roi_size", "train"]  # own keys keep their place


def test_a_key_of_the_reference_stands_in_its_place(family, sync):
    root, file = family({"epochs": 2, "train": REFERENCE["train"]}, [])
    sync(root)
    assert list(json.loads(file.read_text())) == list(REFERENCE)


def test_an_own_list_may_have_another_length(family, sync):
    other = REFERENCE | {"train": {"steps": [], "seed": 0}}
    root, file = family(other, ["train#steps"])
    assert sync(root, "--check") == (0, "")
    sync(root)
    assert json.loads(file.read_text()) == other
