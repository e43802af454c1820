"""The positional split, the hippocampus split and nested labelled sets."""

import json
import random
from pathlib import Path

import pytest

from ssl3d.data import hippocampus_split, labelled_subset, positional_split
from ssl3d.data.splits import HIPPOCAMPUS_NAMES, SECTIONS

NAMES = sorted(HIPPOCAMPUS_NAMES)


def assert_the_rule(names: list[str], sections: dict[str, list[str]]) -> None:
    ordered = sorted(names)
    assert sections["test"] == ordered[3::4]
    assert sections["validation"] == ordered[2::8]
    assert sections["training"] == [n for i, n in enumerate(ordered) if i % 4 != 3 and i % 8 != 2]


def test_hippocampus_counts_and_no_overlap():
    sections = hippocampus_split(NAMES[::-1])
    assert list(sections) == list(SECTIONS)
    assert [len(sections[section]) for section in SECTIONS] == [122, 25, 48]
    assert sorted(name for names in sections.values() for name in names) == NAMES
    assert_the_rule(NAMES, sections)


@pytest.mark.parametrize("form", ["{}.nii.gz", "{}.nii", "/data/imagesTr/{}.nii.gz"])
def test_names_come_back_as_given(form):
    sections = hippocampus_split([form.format(name) for name in NAMES])
    assert sections == {k: [form.format(n) for n in v] for k, v in hippocampus_split(NAMES).items()}
    paths = hippocampus_split([Path(form.format(name)) for name in NAMES])
    assert [str(path) for path in paths["test"]] == sections["test"]


def test_a_superset_gives_the_same_sections():
    others = [f"hippocampus_{i:03d}" for i in range(1, 395) if f"hippocampus_{i:03d}" not in HIPPOCAMPUS_NAMES][:65]
    assert hippocampus_split(others + NAMES) == hippocampus_split(NAMES)


@pytest.mark.parametrize("names", [NAMES[:-1], [f"other_{i}" for i in range(20)], [*NAMES[1:], "other"]])
def test_any_other_set_is_split_by_position(names):
    assert_the_rule(names, hippocampus_split(names))


def test_form_of_the_name_does_not_change_the_order():
    stems = ["a", "a-1", "a_1", "ab", "b"]
    plain, files = positional_split(stems), positional_split([f"{stem}.nii.gz" for stem in stems])
    assert files == {section: [f"{stem}.nii.gz" for stem in names] for section, names in plain.items()}


@pytest.mark.parametrize("split", [positional_split, hippocampus_split])
def test_duplicates_are_refused(split):
    with pytest.raises(ValueError, match="hippocampus_001"):
        split([*NAMES, "x/hippocampus_001.nii"])


def test_few_names(caplog):
    assert positional_split(["c", "a", "b"]) == {"training": ["a"], "validation": ["c"], "test": ["b"]}
    assert "Only 3 cases" in caplog.text
    with pytest.raises(ValueError, match="at least 3"):
        positional_split(["a", "b"])
    assert all(positional_split(list("abcd")).values())


def test_labelled_sets_are_nested_and_repeatable():
    training = hippocampus_split(NAMES)["training"]
    for seed in (0, 3):
        sets = [labelled_subset(training, k, seed) for k in (4, 12, 122)]
        assert sets[0] == random.Random(seed).sample(training, 122)[:4]
        assert sets[2][:12] == sets[1]
        assert sets[1][:4] == sets[0]
        assert sorted(sets[2]) == training
    assert labelled_subset(training, 12, 0) != labelled_subset(training, 12, 3)
    for k in (0, -1, 123):
        with pytest.raises(ValueError, match=f"122 training cases, got {k}"):
            labelled_subset(training, k, 0)
    with pytest.raises(ValueError, match=r"--split none.*'folds 5/0'.*ssl3d study with --folds"):
        labelled_subset(training, len(training) + 1, 0)


def test_the_list_of_names_is_that_of_the_real_data(data_dir):
    listed = json.loads((data_dir / "msd_hippocampus" / "dataset.json").read_text())["training"]
    assert sorted(Path(entry["image"]).name.removesuffix(".nii.gz") for entry in listed) == NAMES
