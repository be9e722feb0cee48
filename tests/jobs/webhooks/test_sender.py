"""The sender: at least once to everybody, for a day, and nobody held up by another."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from aiohttp import web
from standardwebhooks import Webhook

from router.contract.provider import Secret
from router.contract.record import Event, WebhookTried
from router.jobs.webhooks.outbox import FORGOTTEN, drop, retry
from router.jobs.webhooks.sender import AT_ONCE, OF_HOST, Sender, sending
from router.jobs.webhooks.signature import secret_for
from router.settings.jobs import Webhooks
from router.store.opening import Store, opened
from router.store.schema import outbox
from router.testing.watch import becomes
from tests.jobs.webhooks.messages import found, let_pass, notice, put
from tests.jobs.webhooks.receivers import Heard, Names, fine, receiving, saying
from tests.support.process import ROOT

INSTALLATION = Secret("the secret of this installation")
HERE = Webhooks(allow_private=True, timeout_s=5)
DAY_S = 86_400.0

SEND = """
import asyncio, sys
from router.contract.provider import Secret
from router.jobs.webhooks.sender import sending
from router.settings.jobs import Webhooks
from router.store.opening import opened

async def send():
    settings = Webhooks(allow_private=True, timeout_s=30)
    async with opened(Secret(sys.argv[1])) as store:
        async with sending(store, Secret(sys.argv[2]), settings, print):
            await asyncio.sleep(60)

asyncio.run(send())
"""


@asynccontextmanager
async def at_work(
    store: Store, settings: Webhooks = HERE, heard: list[Event] | None = None
) -> AsyncIterator[Sender]:
    events: list[Event] = [] if heard is None else heard
    async with sending(store, INSTALLATION, settings, events.append) as sender:
        yield sender


async def comes(there: Callable[[], Awaitable[bool]], within_s: float = 10.0) -> bool:
    """Whether the store shows it in time."""
    end = time.monotonic() + within_s
    while not await there():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True


async def states(store: Store) -> set[str]:
    return {letter.state for letter in (await found(store)).values()}


def verified(heard: Heard, at: int, owner: str = "key_1") -> object:
    """What the reference package reads, if the signature is right."""
    return Webhook(secret_for(INSTALLATION, owner).reveal()).verify(
        heard.bodies[at], dict(heard.headers[at])
    )


async def test_every_message_arrives_signed_with_its_owner_s_secret(store: Store) -> None:
    events: list[Event] = []
    async with receiving() as heard, at_work(store, heard=events) as sender:
        await put(store, *(notice(f"run_{n}", heard.url, f"key_{n % 3}") for n in range(30)))
        sender.wake()
        assert await becomes(lambda: len(events) == 30, 10)
        assert await states(store) == {"delivered"}
    assert len(set(heard.ids)) == 30
    for at, body in enumerate(heard.bodies):
        number = int(body.split(b"run_")[1].split(b'"')[0])
        told = verified(heard, at, f"key_{number % 3}")
        assert isinstance(told, dict)
        assert told["data"] == {"id": f"run_{number}"}
    assert set(map(repr, events)) == {repr(WebhookTried(ok=True, attempts=1, dead=False))}


async def test_a_secret_of_the_config_signs_for_everybody(store: Store) -> None:
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    settings = Webhooks(allow_private=True, secret=Secret(secret))
    async with receiving() as heard, at_work(store, settings):
        await put(store, notice("run_1", heard.url))
        assert await becomes(lambda: bool(heard.bodies), 10)
    assert Webhook(secret).verify(heard.bodies[0], dict(heard.headers[0]))


async def test_what_is_no_secret_stops_the_start(store: Store) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        async with at_work(store, Webhooks(secret=Secret("whsec_short"))):
            pass


async def test_a_receiver_that_fails_is_told_again_with_the_same_id_for_a_day(
    store: Store,
) -> None:
    events: list[Event] = []

    def has(tries: int) -> bool:
        return len(events) == tries

    async with receiving(saying(500)) as heard, at_work(store, heard=events) as sender:
        await put(store, notice("run_1", heard.url))
        passed_s, waits = 0.0, []
        with structlog.testing.capture_logs() as logs:
            for tries in range(1, 200):
                sender.wake()
                assert await becomes(partial(has, tries), 10)
                letter = (await found(store))["run_1"]
                if letter.state == "dead":
                    break
                waits.append((letter.next_ms - time.time_ns() / 1e6) / 1000)
                assert (letter.last_error, letter.attempts) == ("http_500", tries)
                await let_pass(store, waits[-1] + 0.1)
                passed_s += waits[-1] + 0.1
    assert DAY_S - 60 < passed_s < DAY_S + 60
    assert len(heard.ids) == tries
    assert len(set(heard.ids)) == 1
    assert waits[0] < 5.1
    assert 1_790 < max(waits) < 3_601
    assert events[-1] == WebhookTried(ok=False, attempts=tries, dead=True)
    (line,) = [line for line in logs if "given up" in line["event"]]
    assert (line["job"], line["attempts"], line["error"]) == ("run_1", tries, "http_500")


async def test_who_comes_back_is_told(store: Store) -> None:
    async with receiving(saying(503)) as heard, at_work(store) as sender:
        await put(store, notice("run_1", heard.url))
        assert await becomes(lambda: len(heard.bodies) == 1, 10)
        heard.answers = fine

        async def is_delivered() -> bool:
            await let_pass(store, 10)
            sender.wake()
            return await states(store) == {"delivered"}

        assert await comes(is_delivered)
    assert len(set(heard.ids)) == 1
    assert verified(heard, -1)


async def test_who_wants_no_more_is_left_alone_and_may_be_asked_again_by_hand(
    store: Store,
) -> None:
    events: list[Event] = []
    async with receiving(saying(410)) as heard, at_work(store, heard=events) as sender:
        await put(store, notice("run_1", heard.url))
        assert await becomes(lambda: len(events) == 1, 10)
        assert events == [WebhookTried(ok=False, attempts=1, dead=True)]
        assert (await found(store))["run_1"].last_error == "http_410"
        heard.answers = fine
        assert len(await store.write(retry, None)) == 1
        sender.wake()
        assert await becomes(lambda: len(events) == 2, 10)
    assert len(set(heard.ids)) == 1


async def test_one_slow_receiver_holds_up_nobody_else(store: Store) -> None:
    under_way = most = 0
    open_gate = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await open_gate.wait()
        under_way -= 1
        return web.Response()

    patient = Webhooks(allow_private=True, timeout_s=60)
    async with receiving(slow) as stuck, receiving() as quick, at_work(store, patient) as sender:
        await put(store, *(notice(f"run_slow_{n}", stuck.url) for n in range(300)))
        sender.wake()
        assert await becomes(lambda: under_way == OF_HOST, 10)
        await put(store, *(notice(f"run_quick_{n}", quick.url) for n in range(50)))
        sender.wake()
        assert await becomes(lambda: len(quick.bodies) == 50, 10)
        assert (under_way, most) == (OF_HOST, OF_HOST)
        await store.write(drop, [n.id for n in map(notice, (f"run_slow_{m}" for m in range(300)))])
        open_gate.set()


async def test_no_more_than_a_bounded_number_is_under_way(store: Store) -> None:
    """Each name is a receiver of its own; all of them are one that hangs."""
    under_way = 0
    open_gate = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal under_way
        under_way += 1
        await open_gate.wait()
        return web.Response()

    names, events = Names(["127.0.0.1"]), list[Event]()
    async with (
        receiving(slow) as heard,
        sending(store, INSTALLATION, HERE, events.append, resolver=names) as sender,
    ):
        urls = [f"http://r{n}.example:{heard.port}/" for n in range(AT_ONCE + 20)]
        await put(store, *(notice(f"run_{n}", url) for n, url in enumerate(urls)))
        sender.wake()
        assert await becomes(lambda: under_way == AT_ONCE, 10)
        await asyncio.sleep(0.1)
        assert under_way == AT_ONCE
        open_gate.set()
        assert await becomes(lambda: len(events) == len(urls), 10)


async def test_a_private_target_is_not_called_unless_it_is_allowed(store: Store) -> None:
    events: list[Event] = []
    async with receiving() as heard, at_work(store, Webhooks(), events):
        name = heard.url.replace("127.0.0.1", "localhost")
        await put(store, notice("run_1", heard.url), notice("run_2", name))
        assert await becomes(lambda: len(events) == 2, 10)
        letters = await found(store)
    assert heard.bodies == []
    assert {letter.state for letter in letters.values()} == {"waiting"}


async def test_killed_in_the_middle_it_is_delivered_again_with_the_same_id(
    store_url: Secret,
) -> None:
    async def hangs(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with receiving(hangs) as heard, opened(store_url) as store:
        await put(store, notice("run_1", heard.url))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SEND, store_url.reveal(), INSTALLATION.reveal()),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        try:
            assert await becomes(lambda: len(heard.bodies) == 1, 20)
        finally:
            process.kill()
            await process.wait()
        assert await states(store) == {"waiting"}
        heard.answers = fine
        async with at_work(store) as sender:
            await asyncio.sleep(0.1)
            assert len(heard.bodies) == 1, "it is held for the dead until its lease is over"
            await let_pass(store, 46)
            sender.wake()
            assert await comes(lambda: _is(store, {"delivered"}))
    assert len(heard.ids) == 2
    assert len(set(heard.ids)) == 1
    assert verified(heard, 0) == verified(heard, 1)


async def _is(store: Store, wanted: set[str]) -> bool:
    return await states(store) == wanted


async def test_what_is_to_be_forgotten_is_however_much_it_is(store: Store) -> None:
    await put(store, notice("run_1"))

    def many_ended_long_ago(connection: sa.Connection, asked: Sequence[None]) -> list[None]:
        row = dict(connection.execute(sa.select(outbox)).mappings().one())
        row |= {"state": "delivered", "next_ms": 0}
        rows = [{**row, "id": f"msg_{n}"} for n in range(FORGOTTEN + 10)]
        connection.execute(sa.delete(outbox))
        connection.execute(sa.insert(outbox), rows)
        return [None] * len(asked)

    await store.write(many_ended_long_ago, None)
    async with at_work(store):
        assert await comes(lambda: _is(store, set()))


async def test_what_is_under_way_at_the_end_is_ended(store: Store) -> None:
    async def takes_a_while(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response()

    async with receiving(takes_a_while) as heard:
        async with at_work(store):
            await put(store, notice("run_1", heard.url))
            assert await becomes(lambda: bool(heard.bodies), 10)
        assert await states(store) == {"delivered"}


async def test_nothing_of_an_address_but_its_host_is_logged(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    events: list[Event] = []
    secrets = ("hook-secret-path", "hook-secret-query")
    async with receiving(saying(410)) as heard:
        base = heard.url.rpartition("/")[0]
        urls = [
            f"{base}/{secrets[0]}?token={secrets[1]}",
            f"http://127.0.0.1:1/{secrets[0]}?token={secrets[1]}",
            f"http://nobody.invalid/{secrets[0]}?token={secrets[1]}",
            f"https://127.0.0.1:{heard.port}/{secrets[0]}?token={secrets[1]}",
        ]
        await put(store, *(notice(f"run_{n}", url) for n, url in enumerate(urls)))
        await let_pass(store, DAY_S)
        with structlog.testing.capture_logs() as logs:
            async with at_work(store, heard=events):
                assert await becomes(lambda: len(events) == len(urls), 10)
        letters = await found(store)
    assert {letter.state for letter in letters.values()} == {"dead"}
    told = repr(logs) + caplog.text + repr(letters) + repr(events)
    assert "127.0.0.1" in told
    for secret in secrets:
        assert secret not in told


def test_who_sends_no_webhook_loads_no_client_for_it(tmp_path: Path) -> None:
    """The words of the outbox are used at the door too."""
    script = (
        "import sys; from router.jobs.webhooks import notice, signature, targets; "
        "print({'aiohttp', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
