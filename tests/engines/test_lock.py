"""One run per output folder."""

import os
import signal
import subprocess
import sys

import pytest

from ssl3d.engines import lock

HOLDER = """
import sys, time
from ssl3d.engines import lock
lock.hold(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_refused_by_name_until_the_first_has_ended(tmp_path, holder):
    with pytest.raises(lock.FolderInUseError, match=rf"process {holder.pid} on .*--output_dir"):
        lock.hold(tmp_path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    lock.hold(tmp_path)  # a killed run leaves nothing that stops its resumption
    assert f"process {os.getpid()} " in (tmp_path / lock.FILE).read_text()
    lock.release(tmp_path)
    assert not (tmp_path / lock.FILE).exists()


def test_one_process_may_hold_a_folder_again_and_others_besides(tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b", tmp_path / "a"):
        folder.mkdir(exist_ok=True)
        lock.hold(folder)
    for name in ("a", "b"):
        lock.release(tmp_path / name)
    lock.release(tmp_path / "a")  # nothing is held any more
