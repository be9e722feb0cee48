"""What the language model knows of a voice, kept within a budget of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from providers.moss_tts_nano.parts import Prefix


class Prefixes:
    """Keys and values of voices' first rows; the one that was not used for longest goes first.

    Every thread that makes frames uses it.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Prefix] = OrderedDict()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def get(self, voice: Hashable) -> Prefix | None:
        with self._lock:
            if voice in self._kept:
                self._kept.move_to_end(voice)
            return self._kept.get(voice)

    def put(self, voice: Hashable, prefix: Prefix) -> None:
        """Keep it, unless it alone is more than the budget."""
        with self._lock:
            if prefix.size_bytes > self._budget_bytes or voice in self._kept:
                return
            self._kept[voice] = prefix
            self._bytes += prefix.size_bytes
            while self._bytes > self._budget_bytes:
                _, old = self._kept.popitem(last=False)
                self._bytes -= old.size_bytes

    def forget(self, voice: Hashable) -> None:
        """Harmless where nothing is kept of it."""
        with self._lock:
            prefix = self._kept.pop(voice, None)
            if prefix is not None:
                self._bytes -= prefix.size_bytes
