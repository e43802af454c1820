"""JSON for people."""

import json

import pytest

from ssl3d.files.readable_json import WIDTH, readable_json

LONG = {f"argument_{i}": i for i in range(20)}


@pytest.mark.parametrize(
    "value",
    [{}, [], {"a": []}, {"a": [LONG, 1, [LONG]]}, {"a": {"b": LONG}, "c": [LONG | {"inner": LONG}]}, {"ä": "x" * 200}],
    ids=["nothing", "empty list", "empty", "lists", "nested", "a long text"],
)
def test_is_the_same_json(value):
    text = readable_json(value)
    assert json.loads(text) == value
    assert text.endswith("\n")


def test_what_fits_stands_on_one_line():
    assert readable_json({"a": [1, 2], "b": {"c": 1}}) == '{\n    "a": [1, 2],\n    "b": {"c": 1}\n}\n'


def test_an_entry_of_a_list_takes_few_lines():
    lines = readable_json({"transforms": [LONG]}).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) == 10
    assert lines[2] == 8 * " " + "{"
    assert lines[3].startswith(12 * " " + '"argument_0": 0, "argument_1": 1, ')


def test_members_of_several_lines_stay_apart():
    lines = readable_json([{"a": LONG, "b": 1}]).splitlines()
    assert '        "b": 1' in lines


def test_refuses_what_json_cannot_hold():
    with pytest.raises(ValueError, match="JSON"):
        readable_json(float("nan"))
