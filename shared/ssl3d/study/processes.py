"""Run the processes of a study, and end them together with the study."""

import subprocess
import threading
from collections.abc import Sequence
from typing import Any

PATIENCE = 10  # seconds to wait for a process to end


class Processes:
    """Run commands from several threads, until ``stop`` ends all of them.

    Example:
        >>> Processes().run(["true"])
        0
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[subprocess.Popen] = set()
        self.stopped = False

    def run(self, command: Sequence[str], **options: Any) -> int:
        """Return the exit status of a command.

        Args:
            command: Program with its arguments.
            options: See ``subprocess.Popen``.

        Raises:
            RuntimeError: ``stop`` was called before.
        """
        with self.lock:
            if self.stopped:
                raise RuntimeError("The study was stopped.")
            process = subprocess.Popen(command, **options)
            self.running.add(process)
        try:
            return process.wait()
        finally:
            with self.lock:
                self.running.discard(process)

    def stop(self) -> None:
        """End the running commands, wait for them, and refuse further ones."""
        with self.lock:
            self.stopped = True
            running = list(self.running)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
