"""A model hub on loopback that breaks on purpose: the API as huggingface_hub calls it."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import msgspec

_TREE = re.compile(r"/api/models/([^/]+/[^/]+)/tree/([^/?]+)")
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/?]+)/([^/?]+)")
_CDN = re.compile(r"/cdn/([^/]+/[^/]+)/([^/?]+)")


class Asked(msgspec.Struct, frozen=True):
    """One request: its path and the range that it wanted."""

    path: str
    range: str | None
    authorization: str | None


class ModelHub:
    """What it has, what it does wrong, and what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        """By repository and name."""
        self.revisions: dict[str, str] = {}
        self.asked: list[Asked] = []
        self.cuts: dict[str, list[int]] = {}
        """Of a file's next answers, after how many bytes each breaks off."""
        self.damaged: dict[str, int] = {}
        """Of a file, how many answers more have a wrong byte."""
        self.says: dict[str, list[int]] = {}
        """Of a file, the statuses of its next answers."""
        self.sizes: dict[str, int] = {}
        """Of a file, a size that the listing tells and that is not true."""
        self.ignores_ranges = False
        self.url = ""

    def serve(self, repository: str, revision: str, folder: Path) -> None:
        """Offer the files of a folder."""
        self.revisions[repository] = revision
        self.files[repository] = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.files[repository]["README.md"] = b"not wanted"
        self.files[repository]["..json"] = b"{}"

    def fetched(self, name: str) -> list[str | None]:
        """The ranges that were asked of a file's content."""
        return [one.range for one in self.asked if re.search(rf"/{re.escape(name)}$", one.path)]

    def tree(self, repository: str) -> bytes:
        return json.dumps(
            [self._entry(name, content) for name, content in self.files[repository].items()]
        ).encode()

    def _entry(self, name: str, content: bytes) -> dict[str, object]:
        size = self.sizes.get(name, len(content))
        git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        entry: dict[str, object] = {"type": "file", "path": name, "size": size, "oid": git}
        if is_large(name):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": size, "pointerSize": 130}
        return entry


def is_large(name: str) -> bool:
    """Whether the hub keeps the file outside git and serves it from another place."""
    return name.endswith((".data", ".onnx", ".model"))


@contextmanager
def model_hub() -> Iterator[ModelHub]:
    """A hub on a free port, until the block ends."""
    hub = ModelHub()

    class Handler(_Handler):
        stand_in = hub

    with _Server(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what is tested, and no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    stand_in: ClassVar[ModelHub]

    def do_GET(self) -> None:
        hub = self.stand_in
        headers = self.headers
        hub.asked.append(Asked(self.path, headers.get("Range"), headers.get("Authorization")))
        if found := _TREE.match(self.path):
            if hub.revisions.get(found[1]) == found[2]:
                self._answer(200, hub.tree(found[1]), {"Content-Type": "application/json"})
            else:
                self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif found := _RESOLVE.match(self.path):
            self._resolve(found[1], found[3])
        elif found := _CDN.match(self.path):
            self._content(found[2], hub.files[found[1]][found[2]])
        else:
            self._answer(404, b"{}", {})

    def do_HEAD(self) -> None:
        self._head(200, 0, {})

    def _resolve(self, repository: str, name: str) -> None:
        if statuses := self.stand_in.says.get(name):
            self._answer(statuses.pop(0), b"", {})
        elif is_large(name):
            self._answer(302, b"", {"Location": f"{self.stand_in.url}/cdn/{repository}/{name}"})
        else:
            self._content(name, self.stand_in.files[repository][name])

    def _content(self, name: str, content: bytes) -> None:
        hub = self.stand_in
        if hub.damaged.get(name, 0) > 0:
            hub.damaged[name] -= 1
            content = bytes([content[0] ^ 1]) + content[1:]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and not hub.ignores_ranges:
            start = int(wanted[1])
            told = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, content[start:], {"Content-Range": told}, name)
        else:
            self._send(200, content, {}, name)

    def _send(self, status: int, body: bytes, headers: dict[str, str], name: str) -> None:
        cuts = self.stand_in.cuts.get(name)
        if not cuts:
            self._answer(status, body, headers)
            return
        self._head(status, len(body), headers)
        self.wfile.write(body[: cuts.pop(0)])
        self.close_connection = True

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, len(body), headers)
        self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""
