"""Opens all that jobs need: their store and folder, who speaks them, who tells of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from router.accounts.opening import embedded
from router.dispatch.ensemble import Ensemble
from router.dispatch.house import House
from router.jobs.archive import Archive
from router.jobs.files import Files
from router.jobs.holding import Holding
from router.jobs.job import Job
from router.jobs.opening import Room
from router.jobs.rows.ending import Telling
from router.jobs.upkeep import Upkeep, kept_up
from router.jobs.webhooks.sender import sending
from router.jobs.work import Ground
from router.jobs.worker import Worker, at_work
from router.settings.structs import Settings
from router.store.opening import opened


class Closing:
    """Whether we are going down, and how long what is under way may still take."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._since: float | None = None

    def __call__(self) -> bool:
        if self._house.is_closing and self._since is None:
            self._since = time.monotonic()
        return self._house.is_closing

    def left_s(self) -> float:
        """Seconds until it is let go."""
        if not self():
            return self._house.drain_s
        assert self._since is not None
        return max(0.0, self._house.drain_s - (time.monotonic() - self._since))


@asynccontextmanager
async def room_of(
    settings: Settings,
    ensemble: Ensemble,
    holding: Holding,
    house: House,
    *,
    telling: Telling,
    ended: Callable[[Job], None],
) -> AsyncIterator[Room]:
    """The room while the block lasts; `ended` hears of every job that ends here.

    Raises:
        StoreUnusable: the store cannot be opened.
    """
    jobs, publish = settings.jobs, ensemble.observers.noticed
    files = Files(folder_of(settings))
    url = settings.accounts.store if settings.accounts is not None else None
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(url or embedded(settings.data_dir)))
        archive = Archive(store, telling)
        sender = await stack.enter_async_context(
            sending(store, ensemble.secret, jobs.webhooks, publish)
        )
        await stack.enter_async_context(kept_up(Upkeep(archive, files, publish)))
        worker: Worker | None = None
        if jobs.workers:

            def over(job: Job) -> None:
                sender.wake()
                ended(job)

            closing = Closing(house)
            ground = Ground(archive, files, holding, closing)
            worker = Worker(ground, jobs, jobs.workers * jobs.at_once, publish, over)
            await stack.enter_async_context(at_work(worker, closing.left_s))
        yield Room(archive, files, worker, sender.wake)


def folder_of(settings: Settings) -> Path:
    """Where the audio of jobs lies."""
    given = settings.jobs.dir
    return Path(given).expanduser() if given else settings.data_dir / "jobs"
