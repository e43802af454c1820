"""The command that a passport names can be given to a shell as it stands."""

import shlex
import sys

import pytest

from ssl3d.engines.publish import _command


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-m", "probe"], "python -m probe"),
        (["['a.json','b.json']"], "python \"['a.json','b.json']\""),
        (["a b", "$c"], "python 'a b' '$c'"),
        (["$d['e']", 'f"g', "h\\'i"], None),
    ],
)
def test_words_survive_a_shell(words, text, monkeypatch):
    monkeypatch.delenv("SSL3D_DATA", raising=False)
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3", *words])
    assert shlex.split(_command()) == ["python", *words]
    assert text in (None, _command())


def test_the_folder_of_data_goes_by_the_name_of_its_variable(monkeypatch):
    monkeypatch.setenv("SSL3D_DATA", "/there/data")
    monkeypatch.setattr(sys, "orig_argv", ["python", "--dataset_dir", "/there/data/one"])
    assert _command() == "python --dataset_dir $SSL3D_DATA/one"
