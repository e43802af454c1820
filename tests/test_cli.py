"""The command line: help with an example, and one line for an error of the user's."""

import importlib
import inspect
import json
import os
import subprocess
import sys

import pytest
from fire import docstrings

from ssl3d import cli
from ssl3d.commands.zoo import zoo
from ssl3d.engines import flag
from ssl3d.version import __version__

RELEASE, STUDY = (importlib.import_module(f"ssl3d.{name}") for name in ("release", "study.run"))


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_help_shows_an_example(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ssl3d", command, "--help"])
    monkeypatch.setenv("PAGER", "cat")
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    shown = "".join(capsys.readouterr())
    assert f"Example: ssl3d {command} " in " ".join(shown.split())


FUNCTIONS = [getattr(importlib.import_module(f"ssl3d.commands.{name}"), name) for name in sorted(cli.COMMANDS)]
ROUTINES = [*filter(inspect.isroutine, FUNCTIONS), zoo.index, zoo.serve, zoo.get]


@pytest.mark.parametrize("routine", ROUTINES, ids=lambda routine: routine.__name__)
def test_help_cuts_no_text_of_an_argument(routine):
    """Fire takes a line with a colon for the next argument."""
    shown = {entry.name: entry.description for entry in docstrings.parse(routine.__doc__).args}
    assert list(shown) == [name for name in inspect.signature(routine).parameters if name != "self"]
    for text in shown.values():
        assert text[0].isupper() and text[-1] in '."' and text.count("(") == text.count(")")


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_the_overview_has_each_command_and_its_file(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ssl3d"])
    cli.main()
    assert f"  {command} " in capsys.readouterr().out
    assert hasattr(importlib.import_module(f"ssl3d.commands.{command}"), command)


def test_version_help_and_complaints_need_no_heavy_library():
    script = """
import sys
from ssl3d.cli import COMMANDS, main
for words in (["--version"], [], *([name, "--help"] for name in COMMANDS), ["doctor", "x", "--againt"], ["zoo"]):
    sys.argv = ["ssl3d", *words]
    try:
        main()
    except SystemExit:
        pass
print([name for name in ("torch", "monai", "numpy", "nibabel") if name in sys.modules])
"""
    environment = {**os.environ, "PAGER": "cat"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith(f"ssl3d {__version__}\n")
    assert done.stdout.endswith("\n[]\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["doctr", "x"], "unknown command 'doctr'. Did you mean doctor?"),
        (["doctor", "x", "--againt", "y"], "unknown flag --againt. Did you mean --against?"),
        (["doctor", "x", "y"], "one folder is expected, got x y. Compare two with --against"),
        (["doctor", "x", "--againt=y"], "unknown flag --againt. Did you mean --against?"),
        (["synthesize", "brain_mri", "out", "--q", "1"], "unknown flag --q. The flags are --kind, --output_dir"),
        (["zoo", "get", "x", "--frm", "y"], "unknown flag --frm. Did you mean --from?"),
        (["zoo", "fetch", "x"], "zoo needs one of index, serve, get"),
        (["pack", "gvsl_pretraining", "--output-dirr", "x"], "unknown flag --output_dirr. Did you mean --output_dir?"),
    ],
)
def test_what_is_misspelt_is_refused_before_anything_runs(words, message, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ssl3d", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_error_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["ssl3d", "study", str(tmp_path), str(tmp_path), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("ssl3d: ") and "is not a bundle" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "labels", "seeds"),
    [
        (["--labels", "4,all", "--seeds", "0,1"], [4, "all"], [0, 1]),
        (["--labels", "all", "--seeds", "3"], ["all"], [3]),
        ([], [4, 16, "all"], [0, 1, 2]),
    ],
)
def test_lists_of_the_study(arguments, labels, seeds, monkeypatch, tmp_path):
    found = {}
    (tmp_path / "table.md").write_text("| table |")
    monkeypatch.setattr(
        STUDY,
        "study",
        lambda *_, **options: found.update(options) or tmp_path / "table.md",
    )
    monkeypatch.setattr(sys, "argv", ["ssl3d", "study", "bundle", "data", "out", *arguments])
    cli.main()
    assert found["labels"] == labels
    assert found["seeds"] == seeds
    assert found["pretrained"] == ["none"]
    assert found["settings"] == {}
    assert found["folds"] is None


def test_further_flags_of_the_study_go_to_the_runs_as_they_were_written(monkeypatch, tmp_path):
    found = {}
    (tmp_path / "table.md").write_text("| table |")
    monkeypatch.setattr(
        STUDY,
        "study",
        lambda *_, **options: found.update(options) or tmp_path / "table.md",
    )
    flags = {
        "epochs": "10", "label_names": "head,body,tail", "roi_size": "[32, 48, 32]", "network_def#out_channels": "4",
        "learning_rate": "0.001", "amp": "true", "pixdim": "1.5",
    }  # fmt: skip
    words = [word for key, value in flags.items() for word in (f"--{key}", value)]
    monkeypatch.setattr(sys, "argv", ["ssl3d", "study", "bundle", "data", "out", "--folds", "5", *words])
    cli.main()
    assert found["settings"] == flags
    assert found["folds"] == 5


@pytest.mark.parametrize(
    ("arguments", "size", "paper"),
    [
        (["--size", "64", "--paper", "true", "--settings", "{'crops': [1, 1, 1]}"], 64, True),
        (["--size", "32,48,32"], (32, 48, 32), False),
        ([], None, False),
    ],
)
def test_sizes_of_the_bench(arguments, size, paper, monkeypatch, capsys):
    found = []
    monkeypatch.setattr(RELEASE, "bench", lambda *given: found.extend(given) or "| table |")
    monkeypatch.setattr(sys, "argv", ["ssl3d", "bench", "bundle", *arguments])
    cli.main()
    assert found[:3] == ["bundle", size, None]
    assert flag(found[3]) is paper
    assert found[6] == ({"crops": [1, 1, 1]} if paper else None)
    assert capsys.readouterr().out == "| table |\n"


def test_the_bench_of_inference(monkeypatch, capsys):
    found = []
    monkeypatch.setattr(
        RELEASE,
        "bench_inference",
        lambda *given: found.extend(given) or "| table |",
    )
    arguments = ["--inference", "true", "--size", "512,512,300", "--spacing", "0.8,0.8,1"]
    monkeypatch.setattr(sys, "argv", ["ssl3d", "bench", "bundle", *arguments])
    cli.main()
    assert found == ["bundle", (512, 512, 300), (0.8, 0.8, 1), 5, "cpu"]
    assert capsys.readouterr().out == "| table |\n"
    monkeypatch.setattr(sys, "argv", ["ssl3d", "bench", "bundle", "--inference", "--batch_size", "2"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "leave them out" in capsys.readouterr().err


@pytest.mark.parametrize("broken", [False, True])
def test_the_doctor_tells_by_its_exit_and_prints_one_document(broken, make_dataset, monkeypatch, capsys):
    folder = make_dataset(3)
    if broken:
        (folder / "imagesTr" / "case_01.nii.gz").write_bytes(b"")

    def doctor(*options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ssl3d", "doctor", str(folder), *options])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    code, shown, _ = doctor("--json", "--write", "good.json")
    assert code == int(broken)
    document = json.loads(shown)
    assert document["written"] == str(folder / "good.json")
    assert document["cases"]["good"] == 3 - broken
    code, shown, _ = doctor("--datalist", "good.json", "--json", "false")
    assert code == 0
    assert f"Good: all {3 - broken} cases" in shown
    code, shown, error = doctor("--json", "--write", "good.json")
    assert code == 2
    assert shown == ""
    assert "good.json exists and is not overwritten" in error
