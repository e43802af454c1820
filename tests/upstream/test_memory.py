"""Memory between the steps of a training on CPU."""

import platform
import subprocess
import sys

import pytest

from ssl3d.upstream import memory

PROGRAM = """
import ctypes, resource, runpy, sys

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: huge pages would hide the faults
if sys.argv[2] == "kept":
    assert runpy.run_path(sys.argv[1])["keep_freed_memory"]()

def step():
    maps = [b"1" * (4 << 20) for _ in range(4)]  # as the feature maps of a small crop

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has mallopt")
def test_steps_reuse_their_memory():
    def faults(mode: str) -> int:
        return int(subprocess.check_output([sys.executable, "-c", PROGRAM, memory.__file__, mode]))

    given_back, kept = faults("given back"), faults("kept")
    assert kept < 0.01 * given_back


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not memory.keep_freed_memory()
