"""The command that a passport names: fit for a shell, and without what is private."""

import shlex
import sys

import pytest

from ssl3d.engines.command_line import public_command

RUN = ["-m", "monai.bundle", "run", "--config_file"]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.delenv("SSL3D_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def command(monkeypatch, *words):
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3", *words])
    return public_command()


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
    found = command(monkeypatch, *words)
    assert shlex.split(found) == ["python", *words]
    assert text in (None, found)


def test_the_folder_of_data_goes_by_the_name_of_its_variable(monkeypatch):
    monkeypatch.setenv("SSL3D_DATA", "/there/data")
    assert command(monkeypatch, "--dataset_dir", "/there/data/one") == "python --dataset_dir $SSL3D_DATA/one"
    assert command(monkeypatch, "--dataset_dir", "/there/data2") == "python --dataset_dir DATASET_DIR"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--dataset_dir", "/home/jane/Smith_John"], "--dataset_dir DATASET_DIR"),
        (["--dataset_dir", "smith"], "--dataset_dir DATASET_DIR"),
        (["--dataset_dir=~/smith"], "--dataset_dir=DATASET_DIR"),
        (["--output_dir", "out", "--model_dir", "../m"], "--output_dir OUTPUT_DIR --model_dir MODEL_DIR"),
        (["--pretrained", "gvsl_pretraining", "--seed", "1"], "--pretrained gvsl_pretraining --seed 1"),
        (["--pretrained", "/x/model.pt"], "--pretrained PRETRAINED"),
        (["--cases#datalist", "private/list.json"], "--cases#datalist CASES_DATALIST"),
        (["--label_names", "head,body", "--pixdim", "[1,1,1]"], "--label_names head,body --pixdim [1,1,1]"),
        (["--learning_rate", "-1"], "--learning_rate -1"),
    ],
)
def test_paths_are_replaced_by_the_names_of_their_settings(monkeypatch, words, text):
    found = command(monkeypatch, *RUN, "configs/train.json", *words)
    assert shlex.split(found) == ["python", *RUN, "configs/train.json", *shlex.split(text)]


@pytest.mark.parametrize("folder", ["/home/jane/bundle/", "../smith/", ""])
def test_config_files_keep_their_folder_alone(monkeypatch, folder):
    files = f"['{folder}configs/train.json','{folder}configs/evaluate.json']"
    expected = ["python", *RUN, "['configs/train.json','configs/evaluate.json']"]
    assert shlex.split(command(monkeypatch, *RUN, files)) == expected


def test_a_file_that_is_there_and_a_script_elsewhere(monkeypatch, tmp_path):
    (tmp_path / "smith").mkdir()
    assert command(monkeypatch, "/home/jane/run.py", "--anything", "smith") == "python run.py --anything ANYTHING"
