"""`tts-router jobs webhooks`: every verb, as somebody types it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from standardwebhooks import Webhook

from router.cli import main
from router.contract.provider import Secret
from router.jobs.webhooks.delivery import Outcome
from router.jobs.webhooks.outbox import Claim, End, claim, finish
from router.jobs.webhooks.signature import key_of, secret_for, signed
from router.store.opening import opened
from tests.cli.conftest import _logs_as_before
from tests.cli.test_verbs import _with_the_scripted_kind, said
from tests.jobs.webhooks.messages import notice, put

__all__ = ["_logs_as_before", "_with_the_scripted_kind"]

CONFIG = """
server: {{data_dir: {folder}/data, cache_dir: {folder}/cache, secret: {secret}}}
providers: {{voice: {{kind: scripted}}}}
models: {{nano: {{routes: [{{provider: voice}}]}}}}
"""
SECRET = "0123456789abcdef0123456789abcdef"
TOKEN = "a-token-of-the-receiver"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "router.yaml"
    path.write_text(CONFIG.format(folder=tmp_path, secret=SECRET))
    monkeypatch.setenv("TTS_ROUTER_CONFIG", str(path))
    return path


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, ("jobs", "webhooks", *words))


def filled(folder: Path) -> None:
    """One message that is dead, one that waits, one that was delivered."""

    async def fill() -> None:
        async with opened(Secret(f"sqlite:///{folder / 'data' / 'store.db'}")) as store:
            url = f"https://receiver.example/{TOKEN}?token={TOKEN}"
            await put(store, notice("run_dead", url), notice("run_fine", url))
            wanted = Claim(holder="me", lease_ms=60_000, most=9, of_host=9, busy={})
            for taken in await store.write(claim, wanted):
                ok = taken.job == "run_fine"
                outcome = Outcome(ok=ok, word="" if ok else "http_500")
                await store.write(finish, End(taken, outcome, 0))
            await put(store, notice("run_waits", url))

    asyncio.run(fill())


def listed(*options: str) -> dict[str, dict[str, object]]:
    result = typed("list", "--json", *options)
    assert result.exit_code == 0, result.output
    return {letter["job"]: letter for letter in json.loads(result.stdout)}


def test_messages_are_listed_without_what_could_be_a_secret(config: Path) -> None:
    filled(config.parent)
    shown = typed("list").stdout
    head, *rows = shown.splitlines()
    assert head.split()[:3] == ["ID", "JOB", "KIND"]
    assert len(rows) == 2
    assert "receiver.example:443" in shown
    assert "http_500" in shown
    assert TOKEN not in shown + typed("list", "--json").stdout
    assert set(listed()) == {"run_dead", "run_waits"}
    assert set(listed("--state", "delivered")) == {"run_fine"}


def test_the_dead_are_tried_again_by_id_or_all_of_them(config: Path) -> None:
    filled(config.parent)
    id = str(listed()["run_dead"]["id"])
    assert typed("retry", id).stdout == "1 will be tried again.\n"
    assert {letter["state"] for letter in listed().values()} == {"waiting"}
    assert typed("retry", "--all").stdout == "0 will be tried again.\n"


def test_messages_are_dropped_by_id_or_all_that_are_dead(config: Path) -> None:
    filled(config.parent)
    assert typed("drop", "--all").stdout == "1 dropped.\n"
    assert set(listed()) == {"run_waits"}
    assert typed("drop", str(listed()["run_waits"]["id"])).stdout == "1 dropped.\n"
    assert listed() == {}


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("verb", ["retry", "drop"])
def test_a_message_that_is_not_there_is_named(verb: str) -> None:
    result = typed(verb, "msg_nobody")
    assert result.exit_code == 1
    assert "msg_nobody" in said(result)
    assert typed(verb).exit_code == 2
    assert typed(verb, "msg_nobody", "--all").exit_code == 2


@pytest.mark.usefixtures("config")
def test_the_secret_verifies_what_is_signed() -> None:
    printed = typed("secret").stdout.strip()
    key = key_of(secret_for(Secret(SECRET), "local"))
    headers = signed(key, "msg_1", int(time.time()), b"{}")
    assert Webhook(printed).verify(b"{}", headers) == {}


def test_each_key_has_a_secret_of_its_own(config: Path) -> None:
    config.write_text(
        config.read_text() + "\naccounts: {keys: {app: {key: sk-of-the-config-0123}}}\n"
    )
    assert "--key ID" in said(typed("secret"))
    assert typed("secret", "--key", "config:app").stdout.strip() == (
        secret_for(Secret(SECRET), "config:app").reveal()
    )
    assert "there is no key" in said(typed("secret", "--key", "nobody"))


def test_a_secret_of_the_config_is_everybody_s(config: Path) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    config.write_text(config.read_text() + f"\njobs: {{webhooks: {{secret: {secret}}}}}\n")
    assert typed("secret").stdout.strip() == secret


def test_a_secret_that_is_none_is_a_mistake_of_the_config(config: Path) -> None:
    config.write_text(config.read_text() + "\njobs: {webhooks: {secret: my-own-secret}}\n")
    told = said(typed("secret"))
    assert "jobs.webhooks.secret" in told
    assert "whsec_" in told
    assert "my-own-secret" not in told
