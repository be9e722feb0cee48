"""The process that holds espeak-ng: it is run as a file, and speaks one text at a time.

    python -I -S child.py LIBRARY DATA

It imports the standard library only. The library is process-global, not thread-safe and GPL-3, so
it is loaded here and nowhere else; it may crash or hang without hurting anyone.

In, on descriptor 0: `u32 length` (little-endian), then a JSON object with `text`, `voice`, `rate`
(words a minute) and `pitch` (0 to 99). A length of zero says: stop.
Out, on what was descriptor 1: `kind` (one byte), `u32 length`, payload.

    R  ready                    once, at the start
    A  audio                    signed 16-bit mono PCM at 22,050 Hz
    E  end of the text
    X  error, a word of it      `voice`, `silent` or `failed`; no E follows
    S  stopped                  the one answer to every stop, whatever was on its way

A stop is answered by an S of its own and not by the E, because the E may already be under way when
the stop is sent: it would then be taken for the answer of the next text.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
from collections.abc import Callable
from typing import NoReturn

_LENGTH = struct.Struct("<I")
_HEADER = struct.Struct("<cI")
_LONGEST_FRAME = 16 << 20

# speak_lib.h of espeak-ng 1.52
_SYNCHRONOUS = 2
_BUFFER_MS = 40
_RATE, _PITCH = 1, 3
_POSITION_IS_CHARACTER = 1
_UTF8 = 1

_SAMPLE_RATE = 22050
_LEAST_SOUND = 2 * _SAMPLE_RATE // 20
"""50 ms in bytes: a text with nothing to say comes out as 7 ms of silence, one letter as 170."""
_USUAL_RATE = 175
"""Words a minute at a speed of one; faster speech makes the least sound shorter."""
_BATCH = 16 << 10
"""Bytes of audio in a frame after the first: a frame costs the parent more than a copy does."""


class Pipe:
    """The two ends to the parent. When the parent is gone, so is the process."""

    def __init__(self) -> None:
        # A library that prints must not break the protocol: from here on its stdout is stderr.
        self._out = os.dup(1)
        os.dup2(2, 1)

    def read(self) -> bytes:
        """The next frame; empty is a stop."""
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if length > _LONGEST_FRAME:
            leave()
        return self._exactly(length)

    def has_news(self) -> bool:
        return bool(select.select([0], [], [], 0)[0])

    def write(self, kind: bytes, payload: bytes = b"") -> None:
        frame = memoryview(_HEADER.pack(kind, len(payload)) + payload)
        try:
            while frame:
                frame = frame[os.write(self._out, frame) :]
        except OSError:
            leave()

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            try:
                part = os.read(0, min(count, 1 << 20))
            except OSError:
                leave()
            if not part:
                leave()
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def leave() -> NoReturn:
    """End at once, also from inside a callback of the library."""
    os._exit(0)


def stay_small(memory_bytes: int) -> None:
    """Give up what a synthesis never needs, and die with the parent."""
    limits = {
        resource.RLIMIT_CORE: 0,  # a core file would hold somebody's text
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_AS: memory_bytes,
    }
    for limit, most in limits.items():
        try:
            resource.setrlimit(limit, (most, most))
        except (OSError, ValueError):
            continue  # not every system knows every limit
    if sys.platform == "linux":
        # The closed pipe tells a child that listens; this tells one that is stopped or hangs.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Engine:
    """espeak-ng, loaded once."""

    def __init__(self, library: str, data: str, pipe: Pipe) -> None:
        self._pipe = pipe
        self._audio = bytearray()
        self._wanted = self._least = _LEAST_SOUND
        self._sounded = self._stopped = False
        self._library = ctypes.CDLL(library)
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, os.fsencode(data), 0)
        if rate != _SAMPLE_RATE:
            sys.exit("espeak-ng did not start")
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._kept = callback(self._hear)  # the library does not keep it alive
        self._library.espeak_SetSynthCallback(self._kept)

    def speak(self, order: dict[str, str | int]) -> None:
        """Speak, and tell the parent how it ended."""
        self._audio.clear()
        rate = int(order["rate"])
        self._least = min(_LEAST_SOUND, max(_LEAST_SOUND * _USUAL_RATE // rate, _LEAST_SOUND // 4))
        self._wanted = self._least
        self._sounded = self._stopped = False
        if self._library.espeak_SetVoiceByName(str(order["voice"]).encode()):
            self._pipe.write(b"X", b"voice")
            return
        self._library.espeak_SetParameter(_RATE, rate, 0)
        self._library.espeak_SetParameter(_PITCH, int(order["pitch"]), 0)
        failed = self._synthesize(str(order["text"]).encode())
        if self._stopped:
            self._pipe.write(b"S")
        elif failed:
            self._pipe.write(b"X", b"failed")
        elif not self._sounded and len(self._audio) < self._least:
            self._pipe.write(b"X", b"silent")
        else:
            self._hand_out()
            self._pipe.write(b"E")

    def _synthesize(self, text: bytes) -> int:
        synth: Callable[..., int] = self._library.espeak_Synth
        size = ctypes.c_size_t(len(text) + 1)
        return synth(text, size, 0, _POSITION_IS_CHARACTER, 0, _UTF8, None, None)

    def _hear(self, samples: int | None, count: int, _events: int | None) -> int:
        """Take audio from the library; 1 tells it to stop."""
        try:
            if self._pipe.has_news():
                # While a text is spoken a stop is all that the parent may say.
                if self._pipe.read():
                    leave()
                self._stopped = True
                return 1
            if samples and count > 0:
                self._audio += ctypes.string_at(samples, 2 * count)
                if len(self._audio) >= self._wanted:
                    self._hand_out()
        except BaseException:  # ctypes would print it and go on
            leave()
        return 0

    def _hand_out(self) -> None:
        if self._audio:
            self._pipe.write(b"A", bytes(self._audio))
            self._audio.clear()
            self._sounded = True
            self._wanted = _BATCH


def main(library: str, data: str) -> None:
    pipe = Pipe()
    stay_small(512 << 20)
    engine = Engine(library, data, pipe)
    pipe.write(b"R")
    while True:
        frame = pipe.read()
        if frame:
            engine.speak(json.loads(frame))
        else:
            pipe.write(b"S")


if __name__ == "__main__":
    main(*sys.argv[1:])
