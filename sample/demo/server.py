"""A server of the page and of what it asks for: the standard library's, on loopback alone."""

import itertools
import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sample.demo.exhibits import Exhibits
from zoo.cli import out_of_memory

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
FILES = {"/": "index.html", **{f"/{path.name}": path.name for path in PAGE.iterdir()}}
ASKED = ("listed", "surprise", "complete", "sound", "sources", "translate", "scenes", "caption")
STREAMED = ("write",)
LARGEST = 1_000_000  # bytes of a request
# Scripts, styles and requests come from this server alone; sounds are made in the page.
POLICY = "default-src 'self'; media-src data: blob:; img-src 'self' data:"


class Server(ThreadingHTTPServer):
    """Answers one request of a model at a time; it can be reached from this machine alone."""

    daemon_threads = True

    def __init__(self, exhibits: Exhibits, port: int):
        super().__init__(("127.0.0.1", port), Handler)
        self.exhibits, self.one = exhibits, threading.Lock()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """GET sends a file of the page; POST /NAME asks an exhibit, with a request as JSON."""

    server: Server

    def do_GET(self) -> None:
        """Sends a file of the page."""
        if not self._is_from_here():
            return
        name = FILES.get(self.path.partition("?")[0])
        if name is None:
            self._send(HTTPStatus.NOT_FOUND, {"error": f"there is nothing at {self.path}."})
            return
        path = PAGE / name
        self._headers(HTTPStatus.OK, f"{TYPES[path.suffix]}; charset=utf-8", path.stat().st_size)
        self.wfile.write(path.read_bytes())

    def do_POST(self) -> None:
        """Asks an exhibit; a request that it refuses ends in one line."""
        if not self._is_from_here():
            return
        name = self.path.removeprefix("/")
        try:
            request = self._request()
            with self.server.one:
                if name in STREAMED:
                    self._stream(getattr(self.server.exhibits, name)(request))
                elif name in ASKED:
                    self._send(HTTPStatus.OK, getattr(self.server.exhibits, name)(request))
                else:
                    self._send(HTTPStatus.NOT_FOUND, {"error": f"there is nothing at {self.path}."})
        except (ValueError, OSError) as error:
            self._refuse(error)
        except Exception as error:
            if not out_of_memory(error):
                raise
            self._refuse("not enough memory: ask for less.")

    def _refuse(self, reason):
        if not isinstance(reason, ConnectionError):  # else the reader has left
            self._send(HTTPStatus.BAD_REQUEST, {"error": " ".join(str(reason).split())})

    def _is_from_here(self):
        """Whether the page of this server asks, and no other page in the same browser."""
        hosts = [f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")]
        origin = self.headers.get("Origin")
        known = origin is None or origin in [f"http://{host}" for host in hosts]
        if self.headers.get("Host") in hosts and known:
            return True
        self._send(HTTPStatus.FORBIDDEN, {"error": "this page is for this machine alone."})
        return False

    def _request(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= LARGEST:
            raise ValueError(f"a request has at most {LARGEST:,} bytes.")
        request = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(request, dict):
            raise ValueError("a request is an object of JSON.")
        return request

    def _stream(self, answers):
        """One line of JSON an answer, sent as soon as it is there."""
        first = next(answers, None)  # what is refused is refused before the headers
        self._headers(HTTPStatus.OK, "application/x-ndjson", None)
        for answer in itertools.chain([] if first is None else [first], answers):
            self._line(answer)

    def _line(self, answer):
        self.wfile.write(json.dumps(answer).encode() + b"\n")
        self.wfile.flush()

    def _send(self, status, answer):
        body = json.dumps(answer).encode()
        self._headers(status, "application/json", len(body))
        self.wfile.write(body)

    def _headers(self, status, kind, length):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        """Nothing: requests are the page's own."""
