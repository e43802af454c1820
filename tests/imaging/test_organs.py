"""Label maps of the abdominal data sets."""

import json

import pytest
import torch
from monai.transforms import MapLabelValued

from ssl3d.data import label_map
from ssl3d.imaging.organs import ORGANS

NOT_ANNOTATED = {
    "btcv": set(),
    "flare22": {"portal vein and splenic vein"},
    "amos": {"portal vein and splenic vein"},
}


@pytest.mark.parametrize("name", NOT_ANNOTATED)
def test_every_organ_has_one_id_where_it_is_annotated(name):
    mapping = label_map(name)
    assert mapping.given == list(range(len(mapping.given)))
    organs = [target for target in mapping.ours if target]
    assert len(set(organs)) == len(organs)
    assert mapping.annotated == sorted({0, *organs})
    assert set(ORGANS[1:]) - set(mapping.names) == NOT_ANNOTATED[name]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("btcv", {"spleen": 1, "liver": 6, "pancreas": 11, "left adrenal gland": 13}),
        ("flare22", {"liver": 1, "right kidney": 2, "spleen": 3, "stomach": 11, "left kidney": 13}),
        ("amos", {"spleen": 1, "liver": 6, "aorta": 8, "pancreas": 10, "left adrenal gland": 12}),
    ],
)
def test_ids_are_those_of_the_data_sets(name, ids):
    mapping = label_map(name)
    for organ, original in ids.items():
        assert ORGANS[mapping.ours[mapping.given.index(original)]] == organ


def test_feeds_the_transform_that_maps():
    mapping = label_map("amos")
    label = torch.tensor([[[[0, 1, 6], [10, 13, 15]]]])
    mapped = MapLabelValued("label", mapping.given, mapping.ours)({"label": label})["label"]
    assert mapped.tolist() == [[[[0, 1, 6], [11, 0, 0]]]]


def test_a_mapping_of_ones_own():
    assert label_map({"3": 8, 40: 6, 41: 6, 7: 0}) == ([0, 3, 7, 40, 41], [0, 8, 0, 6, 6], [0, 6, 8])


def test_a_mapping_in_a_file(tmp_path):
    file = tmp_path / "map.json"
    file.write_text(json.dumps({"3": 8, "40": 6}))
    assert label_map(str(file)) == label_map({3: 8, 40: 6})


@pytest.mark.parametrize(("content", "said"), [("[1, 2]", "must hold an object"), ("{", "is not valid JSON")])
def test_refuses_a_file_without_a_mapping(tmp_path, content, said):
    file = tmp_path / "map.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=f"map.json {said}"):
        label_map(str(file))


def test_says_that_there_is_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.json does not exist"):
        label_map(str(tmp_path / "absent.json"))


@pytest.mark.parametrize("given", ["BTCV2", {1: 14}, {1: "liver"}, {2: -1}, {"liver": 6}])
def test_refuses_what_it_does_not_know(given):
    with pytest.raises(ValueError, match="label_map must"):
        label_map(given)
