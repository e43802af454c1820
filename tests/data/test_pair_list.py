"""Pairs from two files, from a JSON file of pairs, from the volumes of a data set."""

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ssl3d.data import DataError, Datalist, PairList
from ssl3d.data.pair_list import draw_pairs


def volumes(*sizes: int) -> list[dict]:
    return [{"name": f"g{group}_{i}", "group": f"g{group}"} for group, size in enumerate(sizes) for i in range(size)]


def names(pairs) -> list[tuple[str, str]]:
    return [(fixed["name"], moving["name"]) for fixed, moving in pairs]


def test_random_pairs_are_ordered_different_and_of_one_group():
    drawn = draw_pairs(volumes(6, 3, 1), 20, seed=0)
    assert len(set(names(drawn))) == 20
    for fixed, moving in drawn:
        assert fixed["name"] != moving["name"]
        assert fixed["group"] == moving["group"]
    assert "g2" not in {fixed["group"] for fixed, _ in drawn}, "a volume has no partner in a group of its own"


def test_random_pairs_are_a_function_of_the_seed_and_fewer_begin_more():
    drawn = names(draw_pairs(volumes(8), 20, seed=3))
    assert names(draw_pairs(volumes(8), 5, seed=3)) == drawn[:5]
    assert names(draw_pairs(volumes(8), 20, seed=4)) != drawn


def test_groups_come_in_proportion_to_the_square_root_of_their_size():
    drawn = draw_pairs(volumes(40, 160), 600, seed=0)
    count = Counter(fixed["group"] for fixed, _ in drawn)
    assert count["g1"] / count["g0"] == pytest.approx(2, rel=0.25)


def test_all_pairs_where_there_are_fewer():
    assert sorted(names(draw_pairs(volumes(3, 2), 50, seed=0))) == sorted(
        (f"g{g}_{a}", f"g{g}_{b}") for g, n in ((0, 3), (1, 2)) for a in range(n) for b in range(n) if a != b
    )
    with pytest.raises(ValueError, match=r"2 volume\(s\) in 2 group\(s\) give no pair"):
        draw_pairs(volumes(1, 1), 5, seed=0)


def test_pairs_of_a_data_set(make_dataset):
    folder = make_dataset(8)
    pairs = PairList(folder, "test", labels="required")
    assert [item["name"] for item in pairs] == ["case_07_onto_case_03", "case_03_onto_case_07"]
    assert pairs[0] == {
        "fixed": str(folder / "imagesTr" / "case_03.nii.gz"),
        "moving": str(folder / "imagesTr" / "case_07.nii.gz"),
        "fixed_label": str(folder / "labelsTr" / "case_03.nii.gz"),
        "moving_label": str(folder / "labelsTr" / "case_07.nii.gz"),
        "name": "case_07_onto_case_03",
        "group": "set",
    }
    assert not pairs.synthetic
    assert pairs.skipped == []
    assert pairs.corpus == [{"name": "unnamed", "count": 2, "licence": "unknown"}]
    assert all("fixed_label" not in item for item in PairList(folder, "test", labels="ignored"))
    assert pickle.loads(pickle.dumps(pairs)) == pairs


def test_synthetic_pairs_carry_their_landmarks_and_their_mark(own_cache):
    pairs = PairList(None, "all", kind="hippocampus_mri", synthesis={"subjects": 2})
    assert pairs.synthetic
    assert len(pairs) == 2
    for item in pairs:
        assert item["synthetic"] is True
        for role in ("fixed", "moving"):
            assert Path(item[f"{role}_landmarks"]).stem == Path(item[role]).name.split(".")[0]
            assert "world" in next(iter(json.loads(Path(item[f"{role}_landmarks"]).read_text()).values()))


def test_two_files_come_before_all_else(make_dataset, monkeypatch):
    folder = make_dataset(4)
    monkeypatch.chdir(folder)
    image, label = "imagesTr/case_0{}.nii.gz", "labelsTr/case_0{}.nii.gz"
    (item,) = PairList(
        folder, "test", fixed=image.format(0), moving=image.format(2), moving_label=label.format(2), kind="none"
    )
    assert item == {
        "fixed": str(folder / image.format(0)),
        "moving": str(folder / image.format(2)),
        "moving_label": str(folder / label.format(2)),
        "name": "case_02_onto_case_00",
        "group": "given files",
    }
    (same,) = PairList(None, "all", fixed=image.format(1), moving=image.format(1))
    assert same["name"] == "case_01_onto_case_01"
    with pytest.raises(DataError, match=r"case_00\.nii\.gz: no label"):
        PairList(None, "all", fixed=image.format(0), moving=image.format(2), labels="required")


def pair_file(folder: Path, content: dict, name: str = "pairs.json") -> str:
    (folder / name).write_text(json.dumps(content))
    return name


def entry(fixed: int, moving: int, **more) -> dict:
    return {"fixed": f"imagesTr/case_0{fixed}.nii.gz", "moving": f"imagesTr/case_0{moving}.nii.gz", **more}


def test_pairs_of_a_json_file_are_taken_as_they_are(make_dataset):
    folder = make_dataset(5)
    labels = {f"{role}_label": f"labelsTr/case_0{i}.nii.gz" for role, i in (("fixed", 3), ("moving", 1))}
    content = {
        "name": "study",
        "licence": "CC0-1.0",
        "test": [entry(3, 1, **labels)],
        "validation": [entry(0, 4), entry(4, 0)],
    }
    file = pair_file(folder, content)
    test = PairList(folder, "test", datalist=file, labels="required", pairs=1)
    assert [item["name"] for item in test] == ["case_01_onto_case_03"]
    assert test[0]["moving_label"] == str(folder / "labelsTr" / "case_01.nii.gz")
    assert test.corpus == [{"name": "study", "count": 2, "licence": "CC0-1.0"}]
    assert len(PairList(None, "all", datalist=folder / file, pairs=1)) == 3, "the number is that of random pairs"
    pair_file(folder, {**content, "synthetic": True}, "dataset.json")
    assert PairList(folder, "test")[0]["synthetic"] is True
    with pytest.raises(ValueError, match=r"pairs\.json lists no pairs under 'training'"):
        PairList(folder, "training", datalist=file)


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path, write_nifti, image_array):
    for i in range(2):
        write_nifti(tmp_path / f"p{i}" / "ct.nii.gz", image_array(i))
    file = pair_file(tmp_path, {"test": [{"fixed": "p0/ct.nii.gz", "moving": "p1/ct.nii.gz"}]})
    assert PairList(tmp_path, "test", datalist=file)[0]["name"] == "p1_ct_onto_p0_ct"


def test_bad_pairs_are_refused_with_a_sentence(make_dataset, write_nifti):
    folder = make_dataset(4)
    for content, sentence in (
        (
            {"test": [entry(0, 1), {"fixed": "imagesTr/case_02.nii.gz"}]},
            r"test entry 2, gives fixed .*case_02.*not 'moving'",
        ),
        ({"test": [entry(0, 1), "imagesTr/case_02.nii.gz"]}, r"test entry 2, gives nothing, but not 'fixed'"),
        ({"test": [entry(0, 1), entry(0, 1)]}, "listed twice: case_01_onto_case_00"),
        ({"test": [entry(0, 9)]}, r"case_09\.nii\.gz: missing file"),
    ):
        with pytest.raises(ValueError, match=sentence):
            PairList(folder, "test", datalist=pair_file(folder, content))
    with pytest.raises(ValueError, match=r"The run gives moving .*x\.nii, but not 'fixed'"):
        PairList(None, "all", moving="x.nii")
    for wrong in ({"section": "tests"}, {"labels": "yes"}, {"pairs": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            PairList(folder, **{"section": "test", **wrong})
    with pytest.raises(FileNotFoundError, match=r"other\.json does not exist"):
        PairList(folder, "test", datalist="other.json")


def test_bad_volumes_are_named_or_skipped(make_dataset, write_nifti, image_array):
    folder = make_dataset(5)
    images = folder / "imagesTr"
    write_nifti(images / "case_01.nii.gz", np.stack([image_array(1), image_array(2)], axis=-1))  # two channels
    write_nifti(images / "case_02.nii.gz", np.full((6, 7, 8), np.nan, np.float32))
    write_nifti(images / "case_03.nii.gz", image_array(3)[0])  # 2D
    write_nifti(folder / "labelsTr" / "case_04.nii.gz", np.ones((6, 7, 9), np.uint8))
    other_grid = entry(4, 0, fixed_label="labelsTr/case_04.nii.gz")
    bad = [entry(0, 1), entry(0, 2), entry(3, 0), other_grid]
    file = pair_file(folder, {"test": [*bad, entry(0, 0)]})
    with pytest.raises(DataError) as caught:
        PairList(folder, "test", datalist=file)
    lines = str(caught.value).splitlines()
    for case, words in ((1, "2 channels"), (2, "NaN"), (3, "2D"), (4, "image and label differ")):
        assert any(f"case_0{case}.nii.gz" in line and words in line for line in lines), (case, lines)
    pairs = PairList(folder, "test", datalist=file, skip_bad=True)
    assert [item["name"] for item in pairs] == ["case_00_onto_case_00"]
    assert len(pairs.skipped) == 4
    pair_file(folder, {"test": bad}, "bad.json")
    with pytest.raises(ValueError, match="No pair is left"):
        PairList(folder, "test", datalist="bad.json", skip_bad=True)


def test_class_numbers_are_no_label_maps(make_dataset):
    folder = make_dataset(8)
    entries = [{"image": f"imagesTr/case_0{i}.nii.gz", "label": i % 2} for i in range(8)]
    pair_file(folder, {"name": "classes", "training": entries}, "dataset.json")
    assert len(Datalist(folder, "test")) == 2
    with pytest.raises(ValueError, match="classes has class numbers"):
        PairList(folder, "test", labels="required")
