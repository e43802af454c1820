"""Walk the files below a folder, without pipes and devices, whose reading may never end."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

KERNEL = ("/proc", "/sys", "/dev")  # their files have no end or block


def walk_files(folder: str | Path) -> Iterator[list[Path]]:
    """Yield the sorted files of each non-empty folder below ``folder``. Follow links and ignore hidden files.

    Pipes, sockets and devices are left out, since reading them may never end, and so are the kernel's own folders and
    links to folders above. Links to nowhere are listed. The root of the file system is no folder of data: it has none.
    """
    seen = set()  # links may lead back up
    top = os.path.realpath(folder)
    if top == os.path.dirname(top):
        return
    for root, below, names in os.walk(folder, followlinks=True):
        below[:] = sorted(name for name in below if name[0] != ".")
        real = os.path.realpath(root)
        above = real != top and os.path.commonpath([real, top]) == real
        if real in seen or above or real in KERNEL:
            below.clear()
            continue
        seen.add(real)
        with os.scandir(root) as entries:  # which know plain files without asking a network drive for each
            plain = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
        paths = [Path(root) / name for name in sorted(names) if name[0] != "."]
        files = [path for path in paths if path.name in plain or not is_special(path)]
        if files:
            yield files


def is_special(path: str | Path) -> bool:
    """Return whether a path is a pipe, a socket or a device, whose reading may never end."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
