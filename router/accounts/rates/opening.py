"""Opens the store of rates that the config names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from router.accounts.rates.memory import SUBJECTS, MemoryRates
from router.accounts.rates.store import OnLoss, Rates, StoreState

PREFIX = "tts-router"
LEASE_S = 30.0
"""How long a slot is kept for a process that was killed."""
TIMEOUT_S = 0.5
"""The longest that a request waits for Redis. A millisecond is usual."""


def unheard(state: StoreState) -> None:
    """For those who only sample the state."""


def in_memory(subjects: int = SUBJECTS) -> MemoryRates:
    """For one router alone; it needs no opening."""
    return MemoryRates(subjects)


@asynccontextmanager
async def in_redis(
    url: str,
    *,
    prefix: str = PREFIX,
    on_loss: OnLoss = "closed",
    lease_s: float = LEASE_S,
    timeout_s: float = TIMEOUT_S,
    subjects: int = SUBJECTS,
    changed: Callable[[StoreState], None] = unheard,
    clock: str | None = None,
) -> AsyncIterator[Rates]:
    """For any number of routers: Redis 5 or newer, or Valkey, at a URL as redis-py reads it.

    `changed` hears the state when it is lost and when it is back; `clock` stands in the script for
    the server's own. A process that stops for longer than `lease_s` (a suspended machine) may find
    its slots taken by others.

    Raises:
        ValueError: the URL is none.
        ImportError: redis-py is not installed.
    """
    # Only who has a Redis needs redis-py.
    from router.accounts.rates.pipeline import Pipeline  # noqa: PLC0415
    from router.accounts.rates.script import SERVER_TIME, Script  # noqa: PLC0415
    from router.accounts.rates.shared import connected  # noqa: PLC0415

    script = Script(prefix, lease_s, clock or SERVER_TIME)
    pipeline = Pipeline(url, script)
    twin = MemoryRates(subjects) if on_loss == "open" else None
    async with connected(
        pipeline, script, lease_s=lease_s, timeout_s=timeout_s, twin=twin, changed=changed
    ) as rates:
        yield rates
