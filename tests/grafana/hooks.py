"""A receiver of webhooks: one address takes them, one is gone for good."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class _Taker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.path == "/taken" else 410)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


class Hooks:
    """The receiver, while its block lasts."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Taker)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.taken, self.gone = f"{address}/taken", f"{address}/gone"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
