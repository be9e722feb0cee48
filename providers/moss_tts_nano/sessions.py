"""Sessions of onnxruntime, as this engine wants them."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from router.contract.errors import Broken

Tensors = Mapping[str, NDArray[Any]]

_FATAL = 4
"""What fails is raised, so it need not be printed too."""


class CannotLoad(Broken):
    """A graph, or the data beside it, is missing or damaged."""


def options(threads: int, *, patterns: bool = True) -> ort.SessionOptions:
    """The threads sleep when they have nothing to do. With their usual spinning, two of them on two
    cores are two to three times slower as soon as anything else runs (a codec, a second stream).

    `patterns`: for each set of shapes that was ever fed, remember the memory it needs."""
    found = ort.SessionOptions()
    found.intra_op_num_threads = threads
    found.inter_op_num_threads = 1
    found.log_severity_level = _FATAL
    found.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # To plan which buffers can be used again takes most of the time in which a graph of many nodes
    # is loaded, and saves nothing: each goes back to the arena once it has been read.
    found.enable_mem_reuse = False
    found.enable_mem_pattern = patterns
    return found


def open_session(path: Path, threads: int, *, patterns: bool = True) -> ort.InferenceSession:
    """Load a graph on the CPU; `threads` work on one node at a time. `patterns` as in `options`.

    Raises:
        CannotLoad: the graph or its data.
    """
    if not path.is_file():
        raise CannotLoad(f"{path.name} is missing in {path.parent}.")
    try:
        # The path is not resolved: the data is looked for beside the name that is given, and in
        # a hub's cache only the links have the right names.
        wanted = options(threads, patterns=patterns)
        return ort.InferenceSession(str(path), wanted, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each status code
        raise CannotLoad(
            f"{path.name} or its data, in {path.parent}, cannot be loaded: {_told(error, path)}"
        ) from error


def _told(error: Exception, path: Path) -> str:
    """What onnxruntime says, without the folder that it says over and over."""
    told = " ".join(str(error).split())
    for folder in {path.parent, path.parent.resolve()}:
        told = told.replace(f"{folder}/", "").replace(str(folder), "")
    return told[:300]


class Graph:
    """One graph, loaded when it is first run. Several threads may run it."""

    def __init__(self, path: Path, threads: int, *, patterns: bool = True) -> None:
        """`patterns` as in `options`."""
        self._path = path
        self._threads = threads
        self._patterns = patterns
        self._loading = threading.Lock()
        self._session: ort.InferenceSession | None = None
        self._outputs: list[str] = []

    @property
    def is_loaded(self) -> bool:
        return self._session is not None

    def load(self) -> ort.InferenceSession:
        """Raises CannotLoad."""
        with self._loading:
            if self._session is None:
                session = open_session(self._path, self._threads, patterns=self._patterns)
                self._outputs = [output.name for output in session.get_outputs()]
                self._session = session
            return self._session

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """All outputs by name. Raises CannotLoad."""
        session = self._session or self.load()
        return dict(zip(self._outputs, session.run(None, dict(feeds)), strict=True))

    def unload(self) -> None:
        """Give its memory back; a later run loads it again."""
        with self._loading:
            was_loaded, self._session = self._session is not None, None
        if was_loaded:
            trim_memory()


def trim_memory() -> None:
    """The C library keeps what was freed, half a gigabyte after the shipped model, until it is
    asked for it. Others than glibc have no such call."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
