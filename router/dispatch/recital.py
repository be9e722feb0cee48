"""A long text spoken piece by piece: when a provider dies in one, another goes on with that piece.

A piece leaves only when it is known to be whole (`hold: piece`), so what was heard is never heard
again and nothing is left out. One pipeline codes all of them: one container, whoever speaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import msgspec

from router.audio.pcm import SAMPLE_BYTES
from router.audio.pipeline import Pipeline, preload
from router.contract.audio import AudioFormat
from router.contract.caller import Share
from router.contract.record import SpeechResumed
from router.dispatch.asking import Asker, Spoken, Want
from router.dispatch.made import Made
from router.dispatch.observers import Observers
from router.dispatch.sounding import Sounding, fed, held_whole
from router.dispatch.verdicts import NobodyHas, passed_over
from router.routing.language import is_speakable
from router.routing.plan import FIRST_CHARS, Candidate, Plan, who_may_go_on
from router.routing.segments import Text, next_most, pause_after
from router.settings.structs import Settings

_PLAIN = AudioFormat("pcm")
"""What a piece is held in: samples, at the rate and with the channels of who speaks."""
_SLICE_BYTES = 65_536
_SCAN_IN_THREAD = 20_000
"""Code points from which on the scan of a text is too long for the loop (20 ms)."""


class Recital:
    """One text, as it is spoken. Enter `begun` once; then it is a `Sound`."""

    def __init__(
        self, asker: Asker, observers: Observers, settings: Settings, want: Want, made: Plan
    ) -> None:
        """`want` is that of the whole text; its candidates and its record hold for all pieces."""
        self._asker = asker
        self._observers = observers
        self._want = want
        self._plan = made
        self._hold_bytes = settings.server.whole_bytes if made.rules.hold == "piece" else 0
        limits = [one.longest for one in want.candidates if one.longest is not None]
        self._most = min([made.rules.piece_chars, *limits])
        is_batch = want.priority == "batch"
        self._deadline_s = (
            settings.timeouts.deadline_most_s if is_batch else settings.timeouts.deadline_s
        )
        self._who: Sequence[Candidate] = want.candidates
        self._first: Spoken | None = None
        self._sounding: Sounding | None = None
        self._pipeline: Pipeline
        self._text: Text
        self._tokens: int | None = 0
        self._told = 0
        """Code points of the text that were asked of somebody and have been spoken."""
        self._shares: dict[tuple[str, str], float] = {}
        self.ended = False
        self.framed = True
        self.length: int | None = None
        self.body: AsyncIterator[bytes]

    @property
    def format(self) -> AudioFormat:
        return self._pipeline.format

    @property
    def seconds(self) -> float | None:
        return self._pipeline.seconds

    @property
    def voice(self) -> str | None:
        return self._sounding.voice if self._sounding is not None else None

    @property
    def upstream_id(self) -> str | None:
        return self._sounding.upstream_id if self._sounding is not None else None

    @property
    def tokens(self) -> int | None:
        """Those of all pieces together; before the end, what the whole would have by those that
        have been spoken. `None`: of one of them nobody told."""
        if self._tokens is None or not self._told:
            return None
        if self.ended:
            return self._tokens
        return self._tokens * max(len(self._want.request.text), self._told) // self._told

    @property
    def shares(self) -> tuple[Share, ...]:
        if len(self._shares) < 2:
            return ()
        return tuple([Share(*who, audio_s) for who, audio_s in self._shares.items()])

    def exact(self, body: bytearray) -> None:
        self._pipeline.exact(body)

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[Made]:
        """Wait for the first piece; leaving lets go of whoever speaks. Raises NobodyHas."""
        text = self._want.request.text
        in_thread = len(text) > _SCAN_IN_THREAD
        self._text = await asyncio.to_thread(Text, text) if in_thread else Text(text)
        await asyncio.to_thread(preload)
        async with aclosing(self._speech()) as body:
            self.body = _behind(await anext(body), body)
            if self._want.whole_bytes:
                await held_whole(self, self._want.whole_bytes)
            assert self._first is not None
            speaker = self._original(self._first)
            before = passed_over(self._plan, speaker, self._first.failed)
            yield Made(speaker, self, before, self._want.record)

    async def _speech(self) -> AsyncGenerator[bytes, None]:
        """Everything, coded. Raises NobodyHas before the first sound, SpeechError after it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline = self._want.deadline
        piece = self._text.first(min(FIRST_CHARS, self._most), self._most)
        while piece:
            if is_speakable(piece):
                asked = loop.time()
                spoken = await self._ask(piece, deadline)
                took_s = loop.time() - asked
                before_s = self.seconds or 0.0
                async with aclosing(spoken):
                    async for out in self._coded(piece, spoken.sounding):
                        yield out
                    self._counted(piece, spoken, (self.seconds or 0.0) - before_s)
                ahead_s = (self.seconds or 0.0) - (loop.time() - began)
                most = next_most(ahead_s, took_s, len(piece), self._most)
            else:
                most = self._most
            piece = self._text.next(most)
            deadline = loop.time() + self._deadline_s
        self.ended = True
        if tail := self._pipeline.finish():
            yield tail

    async def _ask(self, piece: str, deadline: float) -> Spoken:
        """Have a piece spoken by whoever spoke last, else by who may go on."""
        request = msgspec.structs.replace(self._want.request, text=piece.strip())
        want = msgspec.structs.replace(
            self._want,
            request=request,
            candidates=[_in_samples(one) for one in self._who],
            ask=msgspec.structs.replace(self._want.ask, characters=len(piece)),
            deadline=deadline,
            whole_bytes=self._hold_bytes,
        )
        try:
            spoken = await self._asker.ask(want)
        except NobodyHas:
            if self._first is None:
                raise
            spoken = await self._ask_again(want)
        self._want.record.pieces += 1
        self._noted(self._original(spoken))
        self._sounding = spoken.sounding
        self.framed = self.framed and spoken.sounding.framed
        if self._first is None:
            self._first = spoken
            self._pipeline = Pipeline(self._original(spoken).output)
        return spoken

    async def _ask_again(self, want: Want) -> Spoken:
        """In mid-speech everybody is asked a second time: the other choice is to break off."""
        try:
            return await self._asker.ask(want)
        except NobodyHas as nobody:
            raise nobody.error from None

    def _counted(self, piece: str, spoken: Spoken, audio_s: float) -> None:
        before, tokens = self._tokens, spoken.sounding.tokens
        who = spoken.candidate.provider, spoken.candidate.model
        self._shares[who] = self._shares.get(who, 0.0) + audio_s
        self._tokens = None if before is None or tokens is None else before + tokens
        self._told += len(piece)

    def _noted(self, speaker: Candidate) -> None:
        before = self._who[0]
        if self._first is not None and speaker is not before:
            self._want.record.resumed += 1
            event = SpeechResumed(
                speaker.provider,
                speaker.model,
                before.provider,
                self._plan.model,
                is_same_voice=speaker.timbre == before.timbre,
            )
            self._observers.noticed(event)
        clone = self._want.request.clip is not None
        after = who_may_go_on(self._want.candidates, speaker.held, self._plan.rules, clone=clone)
        self._who = [speaker, *(one for one in after if one is not speaker)]

    def _original(self, spoken: Spoken) -> Candidate:
        """The candidate as it was planned."""
        return next(c for c in self._want.candidates if c.rank == spoken.candidate.rank)

    async def _coded(self, piece: str, sounding: Sounding) -> AsyncGenerator[bytes, None]:
        """A piece in the caller's format, and the pause that follows it."""
        pipeline = self._pipeline
        pipeline.begin(sounding.format)
        async for chunk in sounding.body:
            for at in range(0, len(chunk), _SLICE_BYTES):
                if out := await fed(pipeline, chunk[at : at + _SLICE_BYTES]):
                    yield out
        rate, channels = sounding.format.sample_rate or 0, sounding.format.channels or 0
        if self._text.rest:
            pause = bytes(round(pause_after(piece) * rate) * channels * SAMPLE_BYTES)
            if out := await fed(pipeline, pause):
                yield out
        if out := pipeline.end():
            yield out


def _in_samples(candidate: Candidate) -> Candidate:
    """The same candidate, asked for samples instead of the caller's format."""
    return msgspec.structs.replace(candidate, output=_PLAIN, through=False)


async def _behind(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk
