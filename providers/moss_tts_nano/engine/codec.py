"""The codec's threads: frames become sound while others are made."""

from __future__ import annotations

import numpy as np

from providers.moss_tts_nano.engine.book import GLANCE_S, Book
from providers.moss_tts_nano.engine.take import Take
from providers.moss_tts_nano.engine.tally import Tally
from providers.moss_tts_nano.guards import Finding
from providers.moss_tts_nano.parts import Decoder, Floats, Ints


class CodecWorker:
    """One thread. Any of them goes on with any take, one at a time with each."""

    def __init__(self, book: Book, decoder: Decoder) -> None:
        self._book = book
        self._decoder = decoder
        self.tally = Tally()

    def run(self) -> None:
        """The thread: until the book is closed."""
        while (piece := self._next()) is not None:
            take, first, codes = piece
            try:
                sound, finding = self._decode(take, codes)
            except Exception as error:  # whatever the runtime raises: the thread must live on
                with self._book.lock:
                    take.utterance.fail(error)
            else:
                self._note(take, first, sound, finding)

    def _next(self) -> tuple[Take, int, Ints] | None:
        with self._book.lock:
            while not self._book.is_closing:
                waits = self._book.hand_out()
                piece = self._book.next_piece()
                if piece is not None:
                    take, frames = piece
                    first = take.decoded - frames
                    return take, first, np.stack(take.frames[first : take.decoded])
                self._book.sound.wait(GLANCE_S if waits else None)
        return None

    def _decode(self, take: Take, codes: Ints) -> tuple[bytes, Finding | None]:
        if take.state is None:
            take.state = self._decoder.start()
        with self.tally.timed("codec"):
            samples = self._decoder.decode(take.state, codes)
        return pcm(samples), take.hush.hear(samples)

    def _note(self, take: Take, first: int, sound: bytes, finding: Finding | None) -> None:
        with self._book.lock:
            take.at_codec = False
            if not take.is_wanted:
                return
            take.sound.append((first, sound))
            if finding is not None:
                take.utterance.doubt(take, finding)
            if take.is_done:
                take.state = None
            self._book.work.notify_all()


def pcm(samples: Floats) -> bytes:
    """Signed 16-bit, interleaved, scaled as the official runtime scales it; `samples` float32
    [channels, length]."""
    scaled = np.rint(np.clip(samples, -1.0, 1.0) * np.float32(32767))
    return np.ascontiguousarray(scaled.T.astype("<i2")).tobytes()
