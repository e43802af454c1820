"""Serve a folder of packed bundles on this computer."""

import logging
import re
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from .index import SUMS

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")
BLOCK = 1 << 16


class Handler(SimpleHTTPRequestHandler):
    """Serve files whole or in part (``Range: bytes=first-last``), and answer every request with a status."""

    default_request_version = "HTTP/1.0"  # with HTTP/0.9, answers to odd request lines would have no status line
    timeout = 60  # seconds without a byte from the client
    raw_requestline: bytes  # of http.server, whose types do not list it
    rest = -1  # bytes to send; -1: up to the end

    def parse_request(self) -> bool:
        """Read the request; an empty request line is answered too."""
        if super().parse_request():
            return True
        if not self.raw_requestline.split():
            self.send_error(HTTPStatus.BAD_REQUEST, "Empty request line")
        return False

    def send_head(self) -> Any:
        """Send the headers and return the file at the place to read from, or None."""
        self.rest = -1
        try:
            file = Path(self.translate_path(self.path))
            wanted = RANGE.fullmatch(self.headers.get("Range", "").strip())
            if wanted is None or not any(wanted.groups()) or not file.is_file():
                return super().send_head()
            return self._send_part(file, *wanted.groups())
        except (ValueError, OSError):  # a path that no file system takes
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")
            return None

    def _send_part(self, file: Path, first: str, last: str) -> Any:
        size = file.stat().st_size
        start = _number(first) if first else max(0, size - _number(last))
        stop = min(size, _number(last) + 1) if first and last else size
        if first and last and _number(last) < _number(first):
            return super().send_head()  # no range at all: the whole file
        if start >= size:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        stream: BinaryIO = file.open("rb")
        stream.seek(start)
        self.rest = stop - start
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(str(file)))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(self.rest))
        self.end_headers()
        return stream

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send what was asked for of a file."""
        if self.rest < 0:
            super().copyfile(source, outputfile)
        while self.rest > 0 and (block := source.read(min(BLOCK, self.rest))):
            outputfile.write(block)
            self.rest -= len(block)

    def log_message(self, format: str, *args: Any) -> None:
        """Write to the log, as everything else does."""
        logger.info(format % args)


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 20 else sys.maxsize


class Server(ThreadingHTTPServer):
    """A server with room for many clients that come at once."""

    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log that a client went away; its connection is closed."""
        logger.info(f"{client_address[0]}: {sys.exc_info()[1]}")


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of an indexed folder at ``http://127.0.0.1:port``; ``serve_forever`` starts it.

    Args:
        folder: See ``index``.
        port: 0 takes a free one.

    Raises:
        ValueError: no folder, no index in it, or an invalid port.
        OSError: the port is in use, or not allowed.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: `ssl3d pack --output_dir {folder}` makes one.")
    if not (folder / SUMS).is_file():
        raise ValueError(f"{folder} has no {SUMS}: run `ssl3d zoo index {folder}` first.")
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"port must be a whole number between 0 and 65535, got {port!r}.")
    try:
        return Server((HOST, port), partial(Handler, directory=str(folder)))
    except OSError as error:
        raise OSError(
            f"Cannot listen on port {port}: {error.strerror}. Choose another port with --port, or 0 for a free one."
        ) from error
