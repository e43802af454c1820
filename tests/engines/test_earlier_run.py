"""What an earlier run has left in the folder of a new one."""

import os

from ssl3d.engines.earlier_run import keep_earlier_run
from ssl3d.engines.writable import missing_folders, remove_empty


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_results_are_moved_to_the_next_free_folder_and_nothing_else_is(tmp_path, caplog):
    fill(tmp_path, "model.pt", "model.json", "history.csv", "preview.png", "cases.json", "error.txt")
    fill(tmp_path, "events.out.tfevents.1.host.0.0", f"events.out.tfevents.2.host.{os.getpid()}.0")
    fill(tmp_path, "test/metrics.csv", "validation/notes.txt", "checkpoint.pt", "run.lock", "previous/model.pt")
    with caplog.at_level("INFO"):
        kept = keep_earlier_run(tmp_path)
    assert kept == tmp_path / "previous" / "run_1" and str(kept) in caplog.text
    assert {path.name for path in kept.iterdir()} == {
        *("model.pt", "model.json", "history.csv", "preview.png", "cases.json", "error.txt", "test"),
        "events.out.tfevents.1.host.0.0",
    }
    assert {path.name for path in tmp_path.iterdir()} == {
        *("validation", "checkpoint.pt", "run.lock", "previous", f"events.out.tfevents.2.host.{os.getpid()}.0")
    }
    assert (tmp_path / "previous" / "model.pt").read_text() == "previous/model.pt", "from the bundle: stays"
    fill(tmp_path, "pretraining.pth")
    assert keep_earlier_run(tmp_path) == tmp_path / "previous" / "run_2"


def test_a_run_that_ended_before_any_result_leaves_nothing_to_keep(tmp_path):
    fill(tmp_path, "error.txt", "cases.json", "run.lock")
    assert keep_earlier_run(tmp_path) is None
    assert keep_earlier_run(tmp_path / "absent") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.json", "error.txt", "run.lock"]


def test_only_empty_folders_are_removed(tmp_path):
    inner = tmp_path / "a" / "b" / "c"
    missing = missing_folders(inner)
    assert missing == [inner, tmp_path / "a" / "b", tmp_path / "a"]
    inner.mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    remove_empty(missing)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "file"]
