"""A submission on its way in: read, let in, written down; whatever refuses it gives all back."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from router.accounts.entry import Entry
from router.accounts.gate import KeyedGate
from router.contract.caller import Ask, Caller
from router.dispatch.speaker import Speaker
from router.jobs.job import Job, Submission
from router.jobs.taking import Coming, New, Once, Reading
from router.settings.jobs import Jobs

if TYPE_CHECKING:
    from router.jobs.archive import Archive


class Intake:
    """Takes submissions in, with the config of one moment."""

    def __init__(self, archive: Archive, speaker: Speaker, settings: Jobs) -> None:
        self._archive = archive
        self._speaker = speaker
        self._settings = settings

    async def take(
        self, submissions: Sequence[Submission], caller: Caller, once: tuple[str, bytes] | None
    ) -> tuple[list[Job], bool]:
        """The jobs, and whether they are new. Raises what `Office.submit` does."""
        named = None if once is None else Once(_hash(once[0].encode()), _hash(once[1]))
        if named is not None and (before := await self._archive.again(caller.id, named)):
            return before, False
        read = await Reading(self._speaker, self._settings, caller).read(submissions)
        entry = await self._let_in(caller, [ask for _, ask in read])
        news = [
            msgspec.structs.replace(new, due=due)
            for (new, _), due in zip(read, entry.dues, strict=True)
        ]
        try:
            jobs = await self._archive.come_in(self._coming(caller, news, named))
        except BaseException:
            await entry.refund()
            raise
        is_new = jobs[0].id == news[0].id
        if not is_new:  # the same key came twice at once
            await entry.refund()
        return jobs, is_new

    async def _let_in(self, caller: Caller, asks: Sequence[Ask]) -> Entry:
        """Raises RateLimited, Overloaded."""
        gate = self._speaker.gate
        if isinstance(gate, KeyedGate):
            return await gate.let_in(caller, asks)
        return Entry([None] * len(asks))

    def _coming(self, caller: Caller, news: Sequence[New], once: Once | None) -> Coming:
        return Coming(
            owner=caller.id,
            jobs=news,
            batch=f"bat_{secrets.token_urlsafe(17)[:22]}" if len(news) > 1 else None,
            once=once,
            most=self._settings.queue_most,
            most_of_owner=self._settings.queue_most_key,
            most_bytes=self._settings.max_bytes,
        )


def _hash(value: bytes) -> str:
    return hashlib.blake2b(value, digest_size=32).hexdigest()
