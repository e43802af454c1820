"""Allow one training per output folder, because two would overwrite each other's checkpoints."""

import os
import socket
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows has no such locks, so nothing is checked there
    fcntl = None  # type: ignore[assignment]

FILE = "run.lock"
_held: dict[Path, IO[str]] = {}  # by folder; closed, and so released, when the process ends, however it ends


class FolderInUseError(RuntimeError):
    """Raised if another run writes to the output folder."""


def hold(folder: str | Path) -> None:
    """Lock ``folder`` for this process, until it ends or calls ``release``.

    The system drops the lock of a killed process by itself, so no stale lock can stop a run from being resumed.

    Raises:
        FolderInUseError: Another process holds the folder; the message names its process id and host.
        OSError: The lock file cannot be written.
    """
    file = Path(folder).resolve() / FILE
    if fcntl is None or file in _held:
        return
    stream = file.open("a+")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.seek(0)
        holder = stream.read().strip()
        stream.close()
        if holder.startswith(f"process {os.getpid()} on {socket.gethostname()}"):
            return  # locked by the second copy of this package, which a packed bundle contains
        raise FolderInUseError(
            f"Another run ({holder or 'unknown process'}) writes to {file.parent}. Wait until it has ended, or choose "
            "another folder with --output_dir."
        ) from None
    except OSError:  # a file system without locks is no reason to refuse a run
        pass
    stream.seek(0)
    stream.truncate()
    stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    stream.flush()
    _held[file] = stream


def release(folder: str | Path) -> None:
    """Unlock ``folder`` and remove the lock file; nothing happens if this process does not hold it."""
    file = Path(folder).resolve() / FILE
    stream = _held.pop(file, None)
    if stream is not None:
        file.unlink(missing_ok=True)
        stream.close()
