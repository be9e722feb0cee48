"""What is left to do of a job: its missing pieces, and the file that is made of all."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable

import msgspec

from router.contract.speech import Held
from router.jobs.archive import Archive, Claimed, Spoken
from router.jobs.binding import Bound, Part, bind
from router.jobs.files import Files
from router.jobs.holding import Holding
from router.jobs.reciting import Reciter
from router.jobs.rows.ending import Finished
from router.routing.segments import pause_after
from router.store.errors import StoreUnavailable

_RETRY_S = 0.5


class Lost(Exception):
    """The job is somebody else's."""


class Closing(Exception):
    """We are going down, and begin nothing more."""


class Ground(msgspec.Struct, frozen=True):
    """What all work stands on."""

    archive: Archive
    files: Files
    holding: Holding
    is_closing: Callable[[], bool]


class Work:
    """Await `finished` once."""

    def __init__(self, claimed: Claimed, ground: Ground) -> None:
        self._job = claimed.job
        self._order = claimed.order
        self._holder = claimed.holder
        self._held: Held | None = claimed.held
        self._ground = ground
        self._archive = ground.archive
        self._files = ground.files
        self._reciter = Reciter(ground.files, claimed.job.id, claimed.order)
        self.spoken = 0
        """Pieces that we have spoken."""

    async def finished(self) -> Finished:
        """Speak what is missing, and bind it.

        Raises:
            Lost, Closing: it is not finished, and not by its own fault.
            SpeechError, NoRoom, TooLarge: nor is it now.
        """
        there = await self._there()
        for number in range(self._job.pieces):
            if number not in there:
                self._check_open()
                await self._speak(number)
        self._check_open()
        return await self._bound()

    def _check_open(self) -> None:
        """Raises Closing."""
        if self._ground.is_closing():
            raise Closing

    async def _there(self) -> set[int]:
        """The pieces that are spoken and have their files."""
        known = await self._archive.pieces(self._job.id)

        def gone() -> list[int]:
            path = self._files.piece
            return [
                one.number
                for one in known
                if not self._files.has(path(self._job.id, one.number), one.bytes)
            ]

        missing = await asyncio.to_thread(gone)
        for number in missing:
            await self._archive.lost(self._job.id, self._holder, number)
        return {one.number for one in known}.difference(missing)

    async def _speak(self, number: int) -> None:
        """One more piece, written down once its file is there."""
        with self._ground.holding() as current:
            recited = await self._reciter.recite(current.speaker, number, self._held)
        self._held = recited.held
        spoken = Spoken(
            id=self._job.id, holder=self._holder, piece=recited.piece, held=recited.held
        )
        while True:  # as long as the job is ours: what is spoken is not spoken again
            try:
                if not await self._archive.speak(spoken):
                    raise Lost
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)
            else:
                self.spoken += 1
                return

    async def _bound(self) -> Finished:
        """Everything in one file, in the wanted format."""
        is_stopped = threading.Event()
        binding = asyncio.ensure_future(asyncio.to_thread(self._bind, is_stopped.is_set))
        try:
            bound = await asyncio.shield(binding)
        except asyncio.CancelledError:
            is_stopped.set()
            await asyncio.wait([binding])
            binding.exception()
            raise
        return Finished(
            token=secrets.token_urlsafe(24),
            bytes=bound.bytes,
            audio_ms=bound.audio_ms,
            format=bound.format,
        )

    def _bind(self, is_stopped: Callable[[], bool]) -> Bound:
        id, format = self._job.id, self._job.format
        with self._files.writing(self._files.audio(id, format.encoding)) as file:
            return bind(self._parts(), format, file, is_stopped)

    def _parts(self) -> list[Part]:
        last = self._job.pieces - 1
        return [
            Part(
                self._files.piece(self._job.id, number),
                0.0 if number == last else pause_after(self._order.piece(number)),
            )
            for number in range(self._job.pieces)
        ]
