"""The outbox as people look after it, beside the processes that send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from router.accounts.opening import embedded
from router.jobs.webhooks import outbox
from router.jobs.webhooks.notice import Letter, NoticeState
from router.settings.structs import Settings
from router.store.opening import Store, opened

PAGE = 500


class Outbox:
    """Messages of one store. All methods raise StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def letters(self, *states: NoticeState) -> AsyncIterator[list[Letter]]:
        """Those in one of the states, page by page."""
        after = ""
        while page := await self._store.read(
            partial(outbox.letters, states=states, after_id=after, most=PAGE)
        ):
            yield page
            after = page[-1].id

    async def retry(self, ids: Sequence[str] | None = None) -> list[str]:
        """Try again for another day: those with these ids, else all that are dead. Which were
        there; who sends finds them within a second."""
        return await self._store.write(outbox.retry, ids)

    async def drop(self, ids: Sequence[str] | None = None) -> list[str]:
        """Forget those with these ids, else all that are dead. Which were there."""
        return await self._store.write(outbox.drop, ids)


@asynccontextmanager
async def outbox_of(settings: Settings) -> AsyncIterator[Outbox]:
    """The outbox of an installation while the block lasts.

    Raises:
        StoreUnusable: the store cannot be opened.
    """
    url = settings.accounts.store if settings.accounts else None
    async with opened(url or embedded(settings.data_dir)) as store:
        yield Outbox(store)
