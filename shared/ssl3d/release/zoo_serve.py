"""A web server for a folder of packed bundles, on this computer."""

import logging
import re
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from .zoo_index import SUMS

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"


class Handler(SimpleHTTPRequestHandler):
    """Gives files whole, or from some byte on (``Range: bytes=N-``), which Python's own handler cannot."""

    def send_head(self) -> Any:
        """Send the headers; returns the file at the place to read from, or None."""
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        file = Path(self.translate_path(self.path))
        if wanted is None or not file.is_file():
            return super().send_head()
        start, size = int(wanted[1]), file.stat().st_size
        if start >= size:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return None
        stream: BinaryIO = file.open("rb")
        stream.seek(start)
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(str(file)))
        self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        return stream

    def log_message(self, format: str, *args: Any) -> None:
        """To the log, as everything else."""
        logger.info(format % args)


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of an indexed folder at ``http://127.0.0.1:port``; ``serve_forever`` starts it.

    Args:
        folder: see ``index``.
        port: 0 takes a free one.

    Raises:
        ValueError: no folder, one without index, or a port that is none.
        OSError: the port is in use, or not allowed.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: `ssl3d pack --output_dir {folder}` makes one.")
    if not (folder / SUMS).is_file():
        raise ValueError(f"{folder} has no {SUMS}: run `ssl3d zoo index {folder}` first.")
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"port must be a whole number between 0 and 65535, got {port!r}.")
    try:
        return ThreadingHTTPServer((HOST, port), partial(Handler, directory=str(folder)))
    except OSError as error:
        raise OSError(
            f"Port {port} cannot be had ({error.strerror}): another program may use it. Give another --port, or 0 for "
            "a free one."
        ) from error
