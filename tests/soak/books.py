"""Many processes that spend the same credit, killed at random: the books must balance.

On SQLite and on PostgreSQL, whose server crashes and comes back meanwhile. At the end every row is
counted, and compared with what each process was told before it died.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import sqlalchemy as sa

from router.accounts.opening import opened
from router.contract.provider import Secret
from router.store.databases import databases
from tests.soak.bookkeeper import ACCOUNTS, LEASE_S, SECRET, Line
from tests.support import postgres
from tests.support.process import ROOT

OPERATIONS = 100_000
PROCESSES = 16
_RELEASE_S = 30.0
_END_S = 60.0


class Row(msgspec.Struct, frozen=True):
    account: str
    request: str
    kind: str
    amount: int
    charged: int


class Found(msgspec.Struct):
    """What the store has at the end, and what was done to it."""

    rows: list[Row]
    balances: dict[str, int]
    reserved: int
    used: tuple[int, int]
    """Requests and nano-credits of the usage."""
    told: list[Line]
    kills: int
    crashes: int
    seconds: float


class Crew:
    """The processes; one that was killed is replaced."""

    def __init__(self, url: str, folder: Path, seed: int) -> None:
        self._url = url
        self._folder = folder
        self._seed = seed
        self._number = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def hire(self) -> None:
        self._number += 1
        log, errors = self._folder / f"{self._number}.log", self._folder / f"{self._number}.err"
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.soak.bookkeeper"),
                    *(self._url, str(log), str(self._seed + self._number)),
                ],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=stderr,
                stderr=stderr,
            )
        self._processes.append(process)

    def kill(self, dice: random.Random) -> None:
        process = self._processes.pop(dice.randrange(len(self._processes)))
        process.kill()
        process.communicate()

    def finish(self) -> None:
        """Everybody ends what they have begun."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            assert process.wait(_END_S) == 0, self.errors()

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def done(self) -> int:
        """Operations so far: what was told, without what was only asked."""
        told = (log.read_bytes() for log in self._folder.glob("*.log"))
        return sum(log.count(b"\n") - log.count(b'"asks"') for log in told)

    def told(self) -> list[Line]:
        logs = (log.read_bytes() for log in self._folder.glob("*.log"))
        lines = (line for log in logs for line in log.splitlines())
        return [msgspec.json.decode(line, type=Line) for line in lines]

    def errors(self) -> str:
        return "".join(file.read_text("utf-8") for file in self._folder.glob("*.err"))


def survive(
    url: str,
    folder: Path,
    *,
    operations: int = OPERATIONS,
    processes: int = PROCESSES,
    kill_every: int = 2_000,
    crash: Callable[[], None] | None = None,
    crash_every: int = 10_000,
    seed: int = 1,
) -> Found:
    """So many operations, with a kill and a crash after every so many of them."""
    crew, dice, began = Crew(url, folder, seed), random.Random(seed), time.monotonic()
    kills = crashes = 0
    asyncio.run(_begun(url))
    try:
        for _ in range(processes):
            crew.hire()
        while (done := crew.done()) < operations:
            if done >= (kills + 1) * kill_every:
                crew.kill(dice)
                crew.hire()
                kills += 1
            if crash is not None and done >= (crashes + 1) * crash_every:
                crash()
                crashes += 1
            time.sleep(0.05)
            assert time.monotonic() - began < operations / 20, crew.errors()
        crew.finish()
    finally:
        crew.end()
    seconds = time.monotonic() - began
    rows, balances, reserved, used = asyncio.run(_ended(url))
    return Found(rows, balances, reserved, used, crew.told(), kills, crashes, seconds)


async def _begun(url: str) -> None:
    """Accounts with a little credit, so that it runs out at times."""
    async with opened(Secret(url), SECRET) as accounts:
        for account in ACCOUNTS:
            await accounts.ledger.top_up(account, 20_000, request=f"first.{account}")


async def _ended(url: str) -> tuple[list[Row], dict[str, int], int, tuple[int, int]]:
    """What is in the store once the reservations of the dead are released."""
    async with opened(Secret(url), SECRET, lease_s=LEASE_S):
        write, read = databases(Secret(url))
        try:
            end = time.monotonic() + _RELEASE_S
            while reserved := await read.run(_reserved):
                assert time.monotonic() < end, f"{reserved} reservations stay"
                await asyncio.sleep(0.1)
            return (*await read.run(_books), 0, await read.run(_used))
        finally:
            await write.close()
            await read.close()


def _reserved(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.text("SELECT count(*) FROM reservations")) or 0)


def _books(connection: sa.Connection) -> tuple[list[Row], dict[str, int]]:
    columns = "account, request, kind, amount_nano, charged_nano"
    rows = connection.execute(sa.text(f"SELECT {columns} FROM entries"))
    balances = connection.execute(sa.text("SELECT id, balance_nano FROM accounts"))
    return [Row(*row) for row in rows], {row.id: row.balance_nano for row in balances}


def _used(connection: sa.Connection) -> tuple[int, int]:
    sums = connection.execute(sa.text("SELECT sum(requests), sum(charged_nano) FROM usage")).one()
    return int(sums[0]), int(sums[1])


def check(found: Found) -> None:
    """The books balance, nobody paid twice, and nothing that was told is missing."""
    sums: Counter[str] = Counter()
    kinds: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in found.rows:
        sums[row.account] += row.amount
        assert row.kind not in kinds[row.request], f"twice: {row}"
        kinds[row.request][row.kind] = row
    assert {account: sums[account] for account in found.balances} == found.balances
    assert min(found.balances.values()) >= 0
    assert found.reserved == 0
    for request, rows in kinds.items():
        if "reserve" in rows:
            charged = rows["settle"].charged if "settle" in rows else 0
            assert sum(row.amount for row in rows.values()) == -charged, request
            assert len(rows) > 1, f"neither settled nor released: {request}"
    _check_told(found, kinds)
    _check_once(found, kinds)
    counted = [row for row in found.rows if row.kind in {"settle", "count"}]
    assert found.used == (len(counted), sum(row.charged for row in counted))


def _check_told(found: Found, kinds: dict[str, dict[str, Row]]) -> None:
    for line in found.told:
        rows = kinds.get(line.request, {})
        if line.what in {"settle", "top_up", "count"}:
            row = rows[line.what]
            assert line.nano == (row.amount if line.what == "top_up" else row.charged), line
        elif line.what == "release" and line.nano:
            assert rows["settle"].charged == line.nano, line
        elif line.what == "refused":
            assert "settle" not in rows, line


def _check_once(found: Found, kinds: dict[str, dict[str, Row]]) -> None:
    charged: Counter[tuple[str, str]] = Counter()
    for line in found.told:
        settled = kinds.get(line.request, {}).get("settle")
        if line.what == "asks" and line.once and settled is not None and settled.charged:
            charged[line.account, line.once] += 1
    assert charged
    assert max(charged.values()) == 1, charged.most_common(3)


@contextmanager
def stores(folder: Path) -> Iterator[list[tuple[str, str, Callable[[], None] | None]]]:
    """Every store that this machine has: its name, its URL, and what makes it crash."""
    found: list[tuple[str, str, Callable[[], None] | None]]
    found = [("SQLite", f"sqlite:///{folder / 'store.db'}", None)]
    if missing := postgres.missing():
        print(missing)
        yield found
        return
    with postgres.running() as server:
        yield [*found, ("PostgreSQL", server.emptied(), server.crash)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder)) as all_stores:
        for name, url, crash in all_stores:
            logs = Path(folder) / name
            logs.mkdir()
            found = survive(url, logs, crash=crash)
            check(found)
            kinds = Counter(row.kind for row in found.rows)
            print(
                f"{name}: {len(found.told)} lines told, rows {dict(kinds)}, {found.kills} kills, "
                f"{found.crashes} crashes, {found.seconds:.0f} s: the books balance"
            )
