"""The jobs in the store, as the others of this room ask for them. SQLAlchemy comes with it, so it
is imported when the first job does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec

from router.jobs.job import Job, State
from router.jobs.rows import claiming, coming, ending, looking, speaking
from router.jobs.rows.claiming import Claim, Claimed, Lease, Release
from router.jobs.rows.ending import CANCELLED, TOO_OLD, Cancel, End, Telling
from router.jobs.rows.looking import Figures
from router.jobs.rows.speaking import Piece, Spoken
from router.jobs.taking import Coming, Once
from router.store.opening import Store

__all__ = ["Archive", "Claim", "Claimed", "End", "Figures", "Lease", "Piece", "Release", "Spoken"]


class Archive:
    """The jobs of one store. All methods raise StoreUnavailable."""

    def __init__(self, store: Store, telling: Telling) -> None:
        """`telling` is how receivers of webhooks are told of a job."""
        self.store = store
        self.telling = telling

    # ---- callers

    async def come_in(self, submission: Coming) -> list[Job]:
        """Raises what the submission is refused with."""
        undo = msgspec.structs.replace(submission, is_undone=True)
        return await self.store.write(coming.come_in, submission, undo=undo)

    async def again(self, owner: str, once: Once) -> list[Job]:
        """What came in under this key before. Raises IdempotencyConflict."""
        return await self.store.read(partial(coming.again, owner=owner, once=once))

    async def find(self, id: str) -> Job | None:
        return await self.store.read(partial(looking.one, id=id))

    async def by_token(self, token: str) -> Job | None:
        return await self.store.read(partial(looking.by_token, token=token))

    async def page(
        self, owner: str, batch: str | None, after: int | None, most: int
    ) -> list[tuple[int, Job]]:
        """Jobs with their places in the order; see `rows.looking`."""
        if batch is None:
            return await self.store.read(partial(looking.page, owner=owner, after=after, most=most))
        return await self.store.read(
            partial(looking.page_of_batch, owner=owner, batch=batch, after=after, most=most)
        )

    async def queue(self) -> dict[str, int]:
        """All that wait, each with how many are before it."""
        return await self.store.read(looking.queue)

    async def figures(self) -> Figures:
        return await self.store.read(looking.figures)

    async def cancel(self, id: str, owner: str) -> Job | None:
        """End it where nobody has it under way, else have it ended by whoever has."""
        wish = Cancel(id, owner, CANCELLED, self.telling)
        return await self.store.write(ending.cancel, wish)

    # ---- who speaks

    async def claim(self, wish: Claim) -> Claimed | None:
        if not await self.store.read(claiming.is_due):
            return None
        return await self.store.write(claiming.claim, wish)

    async def renew(self, lease: Lease) -> bool:
        return await self.store.write(claiming.renew, lease)

    async def release(self, job: Release) -> None:
        await self.store.write(claiming.release, job, must=True)

    async def unwanted(self, holders: Sequence[str]) -> list[str]:
        return await self.store.read(partial(claiming.unwanted, holders=holders))

    async def pieces(self, id: str) -> list[Piece]:
        return await self.store.read(partial(speaking.pieces_of, id=id))

    async def speak(self, spoken: Spoken) -> bool:
        return await self.store.write(speaking.speak, spoken)

    async def lost(self, id: str, holder: str, number: int) -> None:
        await self.store.write(speaking.lost, (id, holder, number))

    def end(self, job: End) -> asyncio.Future[Job | None]:
        """Queued by the call itself, and made as soon as the store can be reached."""
        return self.store.write(ending.end, job, must=True)

    # ---- upkeep

    async def forget(self) -> list[str]:
        return await self.store.write(looking.forget, None)

    async def end_overdue(self) -> list[Job]:
        """End jobs that took longer than any may."""
        ids = await self.store.read(looking.overdue)
        wishes = [Cancel(id, None, TOO_OLD, self.telling) for id in ids]
        ended = await asyncio.gather(*(self.store.write(ending.cancel, one) for one in wishes))
        return [job for job in ended if job is not None and job.has_ended]

    async def known(self, ids: Sequence[str]) -> dict[str, State]:
        return await self.store.read(partial(looking.known, ids=ids))
