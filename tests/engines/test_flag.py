"""Switches as the command line hands them over."""

import pytest

from ssl3d.engines import flag


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("False", False),
        (" no ", False),
        ("on", True),
        (1, True),
        (0, False),
    ],
)
def test_words_and_booleans(value, meant):
    assert flag(value) is meant


@pytest.mark.parametrize("value", ["maybe", "", None, 2])
def test_anything_else_is_refused_by_name(value):
    with pytest.raises(ValueError, match=repr(value).replace("'", "'")):
        flag(value)
