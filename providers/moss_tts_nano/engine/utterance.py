"""One speech in the making: which chunk is next, and what of it may be heard."""

from __future__ import annotations

from bisect import insort

from providers.moss_tts_nano.engine.cadence import (
    GATHERED_FRAMES,
    HELD_S,
    MOST_FRAMES,
    piece_frames,
)
from providers.moss_tts_nano.engine.script import Listener, Script
from providers.moss_tts_nano.engine.take import Take
from providers.moss_tts_nano.guards import Finding
from providers.moss_tts_nano.parts import Ints, Shape

MADE_AHEAD_FRAMES = 1500
"""Frames that may wait, made and unheard, before no further one is made (2 minutes; 96 kB)."""
DECODED_AHEAD_FRAMES = 500
"""The same for sound (40 s; 7.7 MB)."""
UNREAD_FRAMES = 250
"""Sound that is handed out before the listener has read what he has (20 s; 3.8 MB)."""


class Mute(Exception):
    """The model made no sound of a whole text."""


class Utterance:
    """Everything here is touched under the engine's lock."""

    def __init__(self, script: Script, listener: Listener, shape: Shape, now: float) -> None:
        self.script = script
        self.is_over = False
        self.takes: dict[int, Take] = {}
        """Chunks that were begun and not yet heard to their end."""
        self.to_begin = list(range(len(script.chunks)))
        self.head = 0
        """The chunk that is heard now, or next."""
        self._listener = listener
        self._frame_s = shape.frame_samples / shape.sample_rate
        self.frame_bytes = shape.frame_samples * shape.channels * 2
        self._sample_bytes = shape.channels * 2
        self._attempts = [0] * len(script.chunks)
        self._opened_at = now
        self._first_at: float | None = None
        self._handed_bytes = 0
        self._unread_bytes = 0

    def lead_s(self, now: float) -> float:
        """Sound handed out, less the time since its first; before that, less the time waited."""
        if self._first_at is None:
            return self._opened_at - now
        heard_s = self._handed_bytes / self.frame_bytes * self._frame_s
        return heard_s - (now - self._first_at)

    def turn(self, now: float) -> tuple[bool, float]:
        """Whose turn is first: who has heard nothing yet, then who has the least lead. By leads
        alone somebody new would wait, where there are too many, until he is as late as the rest."""
        return self._first_at is not None, self.lead_s(now)

    @property
    def has_begun(self) -> bool:
        return any(self._attempts)

    # ---- for those who make frames

    def next_chunk(self, most_ahead: int) -> int | None:
        """The chunk to begin now, at most so many after the one that is heard."""
        if self.is_over or not self.to_begin:
            return None
        index = self.to_begin[0]
        if index == self.head:
            return index
        ahead = index - self.head > most_ahead or self._unheard_frames() >= MADE_AHEAD_FRAMES
        return None if ahead else index

    def begin(self, index: int) -> Take:
        self.to_begin.remove(index)
        take = self.takes[index] = Take(self, index, self._attempts[index])
        self._attempts[index] += 1
        return take

    def may_go_on(self, take: Take) -> bool:
        """Whether another frame of it is wanted already."""
        if take.index == self.head:
            return self._unheard(take) + self._unread_frames() < MADE_AHEAD_FRAMES
        return self._unheard_frames() < MADE_AHEAD_FRAMES

    def add(self, take: Take, codes: Ints) -> bool:
        """One more frame; whether the take goes on."""
        if take.is_made or not take.is_wanted:
            return False
        take.frames.append(codes)
        finding = take.watch.hear(codes)
        if finding is None:
            return True
        self.doubt(take, finding)
        return False

    def stop(self, take: Take) -> None:
        """The model has ended it."""
        if take.is_made or not take.is_wanted:
            return
        finding = take.watch.end()
        if finding is None and not take.frames:
            finding = Finding("cut", 0)
        if finding is not None:
            self.doubt(take, finding)
        take.is_made = True

    def doubt(self, take: Take, finding: Finding) -> None:
        """Something is wrong with it: it is made again while nobody has heard of it, or ends
        here."""
        if not take.is_wanted:
            return
        if take.limit is not None:  # it ends already, but perhaps sooner
            take.limit = min(take.limit, finding.sound_frames)
            return
        again = not take.has_left and self._attempts[take.index] < self.script.tries
        self._listener.doubt(finding, made_again=again)
        take.is_made = True
        if again:
            take.dropped = True
            del self.takes[take.index]
            insort(self.to_begin, take.index)
        else:
            take.limit = finding.sound_frames

    # ---- for those who make sound

    def next_piece(self, now: float) -> tuple[Take, int] | None:
        """What to decode now: the take that is heard, and a number of its frames.

        What is made ahead stays frames: where a decoder stands in a stream takes 25 MB.
        """
        take = self.takes.get(self.head)
        if self.is_over or take is None or take.at_codec or not take.to_decode:
            return None
        if self._held_frames(take) + self._unread_frames() >= DECODED_AHEAD_FRAMES:
            return None
        if self._first_at is None:
            return take, 1
        wanted = min(GATHERED_FRAMES, piece_frames(self.lead_s(now)))
        if take.to_decode < wanted and not take.is_made:
            return None
        return take, min(take.to_decode, MOST_FRAMES)

    def hand_out(self, now: float) -> bool:
        """Give the listener what he may have by now, and move on to the next chunk where one is
        all heard; whether one was."""
        before = self.head
        while not self.is_over:
            take = self.takes.get(self.head)
            if take is None or not self._may_leave(take, now):
                break
            while take.sound and self._unread_bytes < UNREAD_FRAMES * self.frame_bytes:
                first, sound = take.sound.popleft()
                self._hand(take.good_part(first, sound, self.frame_bytes), now)
                take.has_left = True
            if take.sound or not take.is_done:
                break
            self._to_next_chunk(take, now)
        return self.head != before

    def read(self, sound_bytes: int) -> None:
        """The listener has taken so much of what he was handed."""
        self._unread_bytes -= sound_bytes

    def fail(self, error: Exception) -> None:
        if not self.is_over:
            self.is_over = True
            self._listener.fail(error)

    def _may_leave(self, take: Take, now: float) -> bool:
        """A chunk that may still go wrong is kept back for as long as nobody has to wait for it."""
        return take.is_done or self._first_at is None or self.lead_s(now) < HELD_S

    def _hand(self, sound: bytes, now: float) -> None:
        if not sound:
            return
        if self._first_at is None:
            self._first_at = now
        self._handed_bytes += len(sound)
        self._unread_bytes += len(sound)
        self._listener.hear(sound)

    def _to_next_chunk(self, take: Take, now: float) -> None:
        del self.takes[take.index]
        self.head += 1
        if self.head < len(self.script.chunks):
            if take.good:
                self._hand(bytes(take.chunk.pause_samples * self._sample_bytes), now)
            return
        self.is_over = True
        if self._first_at is None:
            self._listener.fail(Mute())
        else:
            self._listener.end()

    def _unheard_frames(self) -> int:
        return sum(map(self._unheard, self.takes.values())) + self._unread_frames()

    def _unheard(self, take: Take) -> int:
        return take.to_decode + self._held_frames(take)

    def _held_frames(self, take: Take) -> int:
        return sum(len(sound) for _, sound in take.sound) // self.frame_bytes

    def _unread_frames(self) -> int:
        return self._unread_bytes // self.frame_bytes
