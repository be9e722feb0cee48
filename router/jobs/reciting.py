"""One piece of a job, spoken into its file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO, TypeVar

import msgspec

from router.contract.errors import Overloaded
from router.contract.record import SpeechRecord, SpeechResumed
from router.contract.speech import Held
from router.dispatch.speaker import Speaker
from router.dispatch.speech import Speech
from router.jobs.files import Files
from router.jobs.order import Order
from router.jobs.rows.speaking import Piece
from router.jobs.taking import BATCH, KEPT_AS

_Done = TypeVar("_Done")

SHAPE = "jobs"
"""Of the records of pieces: one for each that was asked for."""
_BLOCK_BYTES = 262_144
"""Written at once, in a thread: a piece is some megabytes."""


class Recited(msgspec.Struct, frozen=True):
    """A piece whose file is whole, and who spoke."""

    piece: Piece
    held: Held | None


class Reciter:
    """Has the pieces of one job spoken."""

    def __init__(self, files: Files, id: str, order: Order) -> None:
        self._files = files
        self._id = id
        self._order = order

    async def recite(self, speaker: Speaker, number: int, held: Held | None) -> Recited:
        """Have a piece spoken, by whoever spoke before if he still can.

        Raises:
            Overloaded: not now; it was not asked for.
            SpeechError: nobody has, or it broke off.
            NoRoom, OSError: the file cannot be written.
        """
        text, caller = self._order.piece(number), self._order.caller
        request = msgspec.structs.replace(
            self._order.request, text=text, format=KEPT_AS, stream=True
        )
        terms = msgspec.structs.replace(BATCH, held=held)
        record = self._opened(number)
        is_asked = True
        try:
            async with speaker.speak(request, caller, record, terms) as speech:
                size = await self._written(speech, number)
                _note(speaker, speech, held)
                record.status = 200
                return Recited(_piece(speech, number, len(text), size), speech.held or held)
        except Overloaded:  # it waits for its turn: no news for anybody
            is_asked = False
            raise
        finally:
            record.total_s = _now() - record.opened
            if is_asked:
                speaker.observers.recorded(record)

    def _opened(self, number: int) -> SpeechRecord:
        return SpeechRecord(
            request_id=f"{self._id}.{number}.{os.urandom(4).hex()}",
            shape=SHAPE,
            opened=_now(),
            caller=self._order.caller.id,
        )

    async def _written(self, speech: Speech, number: int) -> int:
        """Write all of it, and tell how many bytes that were: then the file has its name."""
        size, waiting, stack = 0, bytearray(), ExitStack()
        path = self._files.piece(self._id, number)
        try:
            file = await _in_thread(lambda: stack.enter_context(self._files.writing(path)))
            async for chunk in speech.chunks():
                waiting += chunk
                if len(waiting) >= _BLOCK_BYTES:
                    size += await _write(file, waiting)
            size += await _write(file, waiting)
        except BaseException as error:
            told = (type(error), error, error.__traceback__)
            await _in_thread(lambda: stack.__exit__(*told))
            raise
        await _in_thread(stack.close)
        return size


def _note(speaker: Speaker, speech: Speech, before: Held | None) -> None:
    """Tell observers that another goes on."""
    now = speech.held
    if before is not None and now is not None and now != before:
        is_same = now.timbre == before.timbre
        event = SpeechResumed(
            speech.provider, speech.upstream_model, before.provider, speech.model, is_same
        )
        speaker.observers.noticed(event)


def _piece(speech: Speech, number: int, characters: int, size: int) -> Piece:
    return Piece(
        number=number,
        provider=speech.provider,
        model=speech.upstream_model,
        characters=characters,
        audio_ms=round(1000 * (speech.seconds or 0.0)),
        tokens=None if speech.sound is None else speech.sound.tokens,
        bytes=size,
    )


async def _write(file: IO[bytes], waiting: bytearray) -> int:
    block = bytes(waiting)
    waiting.clear()
    await _in_thread(lambda: file.write(block))
    return len(block)


async def _in_thread(work: Callable[[], _Done]) -> _Done:
    """Who is cancelled here waits until the thread has let go of the file."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _now() -> float:
    return asyncio.get_running_loop().time()
