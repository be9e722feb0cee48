"""One process of `tests.soak.books`: it spends and tops up at random until its stdin ends.

What it was told is in its log, line by line, before it goes on: whoever kills it can compare.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Literal

import msgspec

from router.accounts.errors import NotEnough
from router.accounts.ledger import Reservation, Spoken, named, once_of
from router.accounts.opening import Accounts, opened
from router.contract.errors import Overloaded
from router.contract.provider import Secret

ACCOUNTS = tuple(f"account-{number}" for number in range(5))
SECRET = Secret("s" * 64)
TASKS = 8
LEASE_S = 5.0
_ONCE = 200
"""Idempotency-Keys in all: each is used by many requests, of all processes."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one operation was told: that a request was reserved, charged, or given back, or that
    credit was added. `once` is known before the answer, so `asks` comes first."""

    what: Literal["asks", "settle", "release", "top_up", "count", "refused"]
    account: str
    request: str
    nano: int = 0
    once: str = ""


class Bookkeeper:
    def __init__(self, accounts: Accounts, log: int, dice: random.Random) -> None:
        self._ledger = accounts.ledger
        self._log = log
        self._dice = dice
        self.is_over = False

    async def work(self) -> None:
        while not self.is_over:
            try:
                await self._one()
            except Overloaded:
                await asyncio.sleep(0.05)  # the store is down: others may get it up

    async def _one(self) -> None:
        account, chance = self._dice.choice(ACCOUNTS), self._dice.random()
        if chance < 0.05:
            await self._top_up(account)
        elif chance < 0.1:
            request = named("count")
            await self._ledger.count(account, request, _spoken(self._dice))
            self._told("count", account, request)
        else:
            await self._speak(account)

    async def _top_up(self, account: str) -> None:
        request, nano = named("top-up"), self._dice.randint(0, 3_000)
        for _ in range(self._dice.choice((1, 1, 3))):  # repeated, it is added once
            await self._ledger.top_up(account, nano, request=request)
        self._told("top_up", account, request, nano)

    async def _speak(self, account: str) -> None:
        once = None
        if self._dice.random() < 0.2:
            once = once_of(f"{account}-{self._dice.randrange(_ONCE)}", b"")
        request = named("speech")
        self._told("asks", account, request, once=once.key if once is not None else "")
        nano = self._dice.randint(0, 400)
        asked = asyncio.create_task(self._ledger.reserve(account, request, nano, once=once))
        if self._dice.random() < 0.05:
            await asyncio.sleep(self._dice.random() / 100)
            asked.cancel()
        try:
            reserved = await asked
        except (NotEnough, asyncio.CancelledError):
            self._told("refused", account, request)
        else:
            await self._end(reserved)

    async def _end(self, reserved: Reservation) -> None:
        chance = self._dice.random()
        if chance < 0.05:
            await asyncio.sleep(LEASE_S / 10)  # long speech: the process may die in the middle
        if chance < 0.8:
            await self._settle(reserved)
        if chance >= 0.75:  # also after a settlement: then it changes nothing
            ended = await self._ledger.release(reserved)
            self._told("release", reserved.account, reserved.request, ended.charged_nano)

    async def _settle(self, reserved: Reservation) -> None:
        cost = self._dice.randint(0, 500)  # also more than was set aside
        ends = [
            self._ledger.settle(reserved, cost, _spoken(self._dice))
            for _ in range(self._dice.choice((1, 1, 1, 2)))
        ]
        for end in ends:
            ended = await end
            self._told("settle", reserved.account, reserved.request, ended.charged_nano)

    def _told(
        self,
        what: Literal["asks", "settle", "release", "top_up", "count", "refused"],
        account: str,
        request: str,
        nano: int = 0,
        once: str = "",
    ) -> None:
        os.write(self._log, msgspec.json.encode(Line(what, account, request, nano, once)) + b"\n")


def _spoken(dice: random.Random) -> Spoken:
    return Spoken(
        model=dice.choice(("nano", "large")),
        provider=dice.choice(("here", "there")),
        characters=dice.randint(1, 100),
        audio_ms=dice.randint(1, 9_000),
    )


async def keep(url: str, log: Path, seed: int) -> None:
    """Work until stdin ends."""
    descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    async with opened(Secret(url), SECRET, lease_s=LEASE_S) as accounts:
        workers = [
            Bookkeeper(accounts, descriptor, random.Random(f"{seed}.{number}"))
            for number in range(TASKS)
        ]
        tasks = [asyncio.create_task(worker.work()) for worker in workers]
        await asyncio.wait(
            [*tasks, asyncio.create_task(asyncio.to_thread(sys.stdin.read))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        for worker in workers:
            worker.is_over = True
        await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(keep(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
