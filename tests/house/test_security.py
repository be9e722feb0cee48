"""The security pass: what an attacker would try, and what nobody may ever read."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from router.accounts import gate as gates
from router.accounts import key_rows
from router.accounts.keys import Terms, hash_of
from router.accounts.usage import UsageQuery
from router.cli import main
from router.contract.errors import SpeechError, Unauthenticated
from router.contract.provider import Secret
from router.settings.secret import secret_of
from tests.accounts.gates import APP, HOME, gated, settings_of
from tests.support.process import ServerProcess, serving
from tests.support.scripts import SCRIPTED, SPEECH, UNJUDGED, asking, models, scripted
from tests.support.wire import Answer, connected, exchange

ADMIN = "the-admins-own-key-kept-to-ourselves-4711"
KEY = "sk-of-a-caller-kept-to-ourselves-4711"
WITH_KEY = {"Authorization": f"Bearer {KEY}"}
AS_ADMIN = {"Authorization": f"Bearer {ADMIN}"}
EVIL = "'; DROP TABLE keys; --"
FOLDED = "alloy\r\nX-Evil: 1\r\n\r\n<html>"
CLIMBS = (
    "../../../../etc/passwd",
    "..\\..\\secret",
    "/etc/passwd",
    "....//secret",
    "%2e%2e/secret",
)


def config(**accounts: Any) -> dict[str, Any]:
    own = {"admin_key": ADMIN, "keys": {"caller": {"key": KEY, "credits": 5}}, **accounts}
    return {
        "integrity": UNJUDGED,
        "accounts": own,
        "providers": {"voice": scripted(seconds=0.2)},
        "models": models({"it": ("voice",)}),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("security")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    limits = {"failing": {"requests_per_minute": 100_000}}
    with serving(config(limits=limits), folder, plugins=[SCRIPTED]) as server:
        yield server


async def ask(server: ServerProcess, **fields: Any) -> Answer:
    return await exchange(server.url, SPEECH, asking(**fields), headers=WITH_KEY)


def told(answer: Answer) -> str:
    return f"{answer.headers}{answer.body.decode('utf-8', 'replace')}"


# ---- keys: compared in constant time, kept as hashes, found nowhere


async def test_keys_are_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    class Watched:
        compare_digest = staticmethod(compare)
        digest = staticmethod(hmac.digest)

    monkeypatch.setattr(gates, "hmac", Watched)
    monkeypatch.setattr(key_rows, "hmac", Watched)
    async with gated(tmp_path, {"admin_key": ADMIN}) as gate:
        made = await gate.accounts.keys.create(Terms())
        compared.clear()
        await gate.identify(made.credential, HOME)
        assert compared == [(64, 64)]
        compared.clear()
        for wrong in ("x", ADMIN[:-1], ADMIN + "x", "ü" * 20):
            with pytest.raises(Unauthenticated):
                await gate.check_admin(Secret(wrong), HOME)
        assert compared == [(32, 32)] * 4, "digests of one length: not even the length is told"


async def test_a_key_is_kept_as_a_hash_that_needs_the_secret(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        credential = (await gate.accounts.keys.create(Terms(name="me"))).credential
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("store.db*"))
    secret = secret_of(settings_of(tmp_path, None))
    assert hash_of(secret, credential).encode() in kept
    assert hash_of(Secret("another"), credential).encode() not in kept
    assert credential.reveal().encode() not in kept
    assert credential.reveal()[15:-4].encode() not in kept


async def test_what_is_kept_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    async with gated(tmp_path, {}):
        kept = [path for path in (tmp_path / "data").iterdir() if path.is_file()]
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in kept}
        assert {"secret", "store.db"} <= modes.keys()
        assert {name for name, mode in modes.items() if mode & 0o077} == set()


async def test_no_repr_shows_a_key(tmp_path: Path) -> None:
    accounts = {
        "admin_key": ADMIN,
        "store": "postgresql://me:hidden-word@db/x",
        "redis": "redis://:hidden-word@db/0",
    }
    settings = settings_of(tmp_path, {"keys": {"app": {"key": APP.reveal()}}, **accounts})
    async with gated(tmp_path, {}) as gate:
        made = await gate.accounts.keys.create(Terms())
        caller = await gate.identify(made.credential, HOME)
        shown = f"{settings!r}{settings.accounts}{made!r}{caller!r}{caller.account!r}"
        shown += repr(await gate.accounts.keys.page())
    for hidden in (ADMIN, APP.reveal(), made.credential.reveal(), "hidden-word"):
        assert hidden not in shown


async def test_no_key_is_in_a_log_or_in_an_answer(server: ServerProcess) -> None:
    made = await exchange(
        server.url, "/admin/v1/keys", {"name": "me", "credits": 1}, headers=AS_ADMIN
    )
    key = made.json["key"]
    answers = [
        await exchange(server.url, path, body, headers=headers, method=method)
        for headers in (
            {"Authorization": f"Bearer {key}"},
            {"X-API-Key": f"{KEY}x"},
            {"Authorization": f"Basic {KEY}"},
            {"X-API-Key": f"{KEY} {KEY}"},
            WITH_KEY,
            AS_ADMIN,
        )
        for method, path, body in (
            ("POST", SPEECH, asking()),
            ("POST", SPEECH, {"model": KEY, "input": KEY, "voice": KEY}),
            ("POST", SPEECH, b"{"),
            ("GET", "/v1/credits", None),
            ("GET", "/v1/usage", None),
            ("GET", "/admin/v1/keys", None),
            ("POST", f"/admin/v1/keys/{quote(made.json['id'])}/disable", None),
            ("POST", f"/admin/v1/keys/{quote(made.json['id'])}/enable", None),
            ("GET", "/health/ready", None),
            ("GET", "/nothing/here", None),
        )
    ]
    assert {200, 401} <= {answer.status for answer in answers}
    everything = "".join(map(told, answers)) + server.log.text
    assert key not in everything
    assert ADMIN not in everything
    # The caller's own word is told back where it names a model that is not there: that is not ours
    # to hide. Everywhere else it is not to be found.
    asked_for = [told(answer) for answer in answers if answer.status == 404]
    rest = everything
    for one in asked_for:
        rest = rest.replace(one, "")
    assert KEY not in rest


def test_a_config_with_mistakes_tells_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    wrong = config(
        store="mysql://me:hidden-word@db/x",
        redis="http://:hidden-word@db/0",
        keys={"a": {"key": KEY}, "b": {"key": KEY}, "c": {"key": "short-4711"}},
    )
    file.write_text(json.dumps({**wrong, "providers": {"voice": {"kind": "espeak"}}}))
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 1
    assert result.output.count("accounts.") == 4
    for hidden in ("hidden-word", KEY, "short-4711", ADMIN):
        assert hidden not in result.output


@pytest.mark.parametrize(
    "key",
    ["x" * 8_000, "\u00ff\u00fe", "a b c", "\x01\x02", "null", "0", "%00", EVIL, "{}", "Bearer"],
)
async def test_an_odd_key_is_a_wrong_key(key: str, server: ServerProcess) -> None:
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
        async with connected(server.url) as line:
            body = json.dumps(asking()).encode()
            lines = [f"{name}: {text}" for name, text in headers.items()]
            head = f"POST {SPEECH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
            await line.send((head + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
            assert (await line.answer()).status in (400, 401, 429)


# ---- injection


async def test_sql_in_names_stays_a_name(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        accounts = gate.accounts
        made = await accounts.keys.create(Terms(name=EVIL, models=(EVIL,)), credit_nano=5)
        assert (await accounts.keys.get(made.key.id)).terms.name == EVIL
        for id in (EVIL, "' OR '1'='1", 'x" --', "key_%", "*"):
            with pytest.raises(Exception, match="there is no key"):
                await accounts.keys.get(id)
            assert await accounts.ledger.balance(id) is None
            assert (await accounts.usage.page(UsageQuery(account=id))).rows == []
        assert await accounts.keys.find(Secret(EVIL)) is None
        assert [key.id for key in await accounts.keys.page(after="' OR 1=1 --")][-1] == made.key.id
        assert (await gate.identify(made.credential, EVIL)).id == made.key.id


async def test_a_key_is_not_found_by_its_hash(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        made = await gate.accounts.keys.create(Terms())
        hash = hash_of(secret_of(settings_of(tmp_path, None)), made.credential)
        with pytest.raises(Unauthenticated):
            await gate.identify(Secret(hash), HOME)


async def test_no_line_of_a_header_can_be_made_up(server: ServerProcess) -> None:
    bodies = (
        asking(voice=FOLDED),
        asking(model=FOLDED),
        asking(response_format=FOLDED),
        asking(language=FOLDED),
        {**asking(), FOLDED: 1},
        asking(voice="alloy\x00\x1b[31m"),
    )
    for body in bodies:
        answer = await exchange(server.url, SPEECH, body, headers=WITH_KEY)
        assert answer.status < 500
        assert "x-evil" not in answer.headers
    for name in ("X-Request-ID", "Idempotency-Key", "X-Forwarded-For", "Origin"):
        answer = await exchange(
            server.url, SPEECH, asking(), headers={**WITH_KEY, name: "a\tb\x7f; X-Evil: 1"}
        )
        assert answer.status < 500
        assert "x-evil" not in answer.headers
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers.get("x-request-id", "0" * 32))


async def test_two_headers_in_one_are_refused_by_the_server(server: ServerProcess) -> None:
    async with connected(server.url) as line:
        head = f"GET /v1/credits HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\rX-Evil: 1\r\n\r\n"
        await line.send(head.encode())
        assert (await line.answer()).status in (400, 401)


async def test_names_lead_to_no_file(server: ServerProcess, folder: Path) -> None:
    before = _files(folder)
    secret = (folder / "data" / "secret").read_text()
    for name in CLIMBS:
        escaped = quote(name, safe="")
        for path in (
            f"/v1/voices/{escaped}/sample",
            f"/v1/models/{name}",
            f"/v1/models/{escaped}",
            f"/admin/v1/keys/{escaped}",
            f"/schema/{escaped}",
            f"/{escaped}",
        ):
            answer = await exchange(server.url, path, headers=AS_ADMIN)
            assert answer.status in (400, 401, 404, 405), (path, answer.status)
            assert secret not in told(answer)
            assert "root:" not in told(answer)
        answer = await ask(server, voice=name, model=name)
        assert answer.status in (400, 404)
        form = _form(name)
        answer = await exchange(
            server.url,
            SPEECH,
            form,
            headers={**WITH_KEY, "Content-Type": "multipart/form-data; boundary=x"},
        )
        assert answer.status in (400, 404)
    assert _files(folder) == before


def _form(name: str) -> bytes:
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{text}\r\n'
        for field, text in (("input", "Hello."), ("voice", name))
    )
    clip = (
        f'--x\r\nContent-Disposition: form-data; name="prompt_audio"; filename="{name}"\r\n\r\n'
        "RIFF\x24\0\0\0WAVEfmt \r\n--x--\r\n"
    )
    return (parts + clip).encode()


def _files(folder: Path) -> set[Path]:
    """What stands there; SQLite's own files come and go."""
    return {path for path in folder.rglob("*") if not path.name.startswith("store.db-")}


# ---- who may reach it


async def test_the_admins_door_is_shut_whatever_is_tried(server: ServerProcess) -> None:
    paths = ("/admin/v1/keys", "/admin/v1/keys/", "/admin/v1//keys", "/admin/v1/usage?key=%00")
    tries: tuple[dict[str, str], ...] = (
        {},
        WITH_KEY,
        {"X-Forwarded-For": "127.0.0.1"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer null"},
        {"Cookie": f"key={ADMIN}"},
        {"X-HTTP-Method-Override": "GET", "Origin": "http://localhost"},
    )
    for path in paths:
        for headers in tries:
            for method in ("GET", "HEAD", "POST", "DELETE", "PUT"):
                answer = await exchange(server.url, path, headers=headers, method=method)
                assert answer.status in (401, 404, 405, 429), (method, path, headers)
    inside = await exchange(server.url, f"/admin/v1/keys?key={ADMIN}&api_key={ADMIN}")
    assert inside.status in (401, 429), "a key in an address ends up in logs of proxies"


async def test_an_address_cannot_be_made_up_by_who_is_no_proxy(tmp_path: Path) -> None:
    own = config(limits={"failing": {"requests_per_minute": 2}})
    with serving(own, tmp_path, plugins=[SCRIPTED]) as server:
        statuses = [
            (await exchange(server.url, SPEECH, asking(), headers={name: f"192.0.2.{n}"})).status
            for n, name in enumerate(
                ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-For")
            )
        ]
        assert statuses == [401, 401, 429, 429]
        assert (await ask(server)).status == 200, "who has a key is not locked out by others"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_keys_only_this_machine_can_reach_it(host: str, tmp_path: Path) -> None:
    for accounts in ({}, {"accounts": {"required": False}}):
        file = tmp_path / "router.yaml"
        data = {"data_dir": str(tmp_path / "data")}
        file.write_text(json.dumps({"server": data, **accounts}))
        result = CliRunner().invoke(main, ["serve", "--config", str(file), "--host", host])
        assert result.exit_code == 1
        assert "there are no keys" in result.output


async def test_with_keys_it_may_listen_anywhere(tmp_path: Path) -> None:
    own = {**config(), "server": {"host": "0.0.0.0"}}
    with serving(own, tmp_path, plugins=[SCRIPTED]) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        headers = {**WITH_KEY, "Host": "anything.example", "Origin": "https://page.example"}
        assert (await exchange(url, SPEECH, asking(), headers=headers)).status == 200
        assert (await exchange(url, SPEECH, asking())).status == 401


async def test_a_key_in_the_store_is_enough_to_need_one(tmp_path: Path) -> None:
    """Who makes a key expects that from then on one is needed."""
    own = {name: table for name, table in config().items() if name != "accounts"}
    file = tmp_path / "made.yaml"
    data = {"data_dir": str(tmp_path / "data"), "cache_dir": str(tmp_path / "cache")}
    file.write_text(json.dumps({"server": data}))
    words = ["keys", "create", "--config", str(file)]
    made = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert made.exit_code == 0, made.output
    with serving(own, tmp_path, plugins=[SCRIPTED]) as server:
        assert (await exchange(server.url, SPEECH, asking())).status == 401
        headers = {"X-API-Key": made.stdout.strip()}
        assert (await exchange(server.url, SPEECH, asking(), headers=headers)).status == 200


async def test_without_keys_foreign_pages_and_hosts_are_refused(tmp_path: Path) -> None:
    own = {name: table for name, table in config().items() if name != "accounts"}
    with serving(own, tmp_path, plugins=[SCRIPTED]) as server:
        for headers in (
            {"Origin": "https://page.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost.page.example"},
            {"Host": "page.example"},
            {"Host": "127.0.0.1.page.example"},
        ):
            for path in (SPEECH, "/admin/v1/keys", "/v1/credits"):
                answer = await exchange(server.url, path, asking(), headers=headers)
                assert answer.status == 403, (path, headers)
        assert (await exchange(server.url, SPEECH, asking())).status == 200


def test_a_port_is_not_taken_from_another(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = tmp_path / "router.yaml"
        file.write_text(json.dumps({"server": {"data_dir": str(tmp_path / "data")}}))
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["serve", "--config", str(file), "--port", port])
        assert result.exit_code == 1
        assert "cannot listen" in result.output


async def test_no_failed_try_says_whether_the_key_was_once_good(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        made = await gate.accounts.keys.create(Terms())
        expired = await gate.accounts.keys.create(Terms(expires_ms=1))
        await gate.accounts.keys.disable(made.key.id)
        words = set()
        for credential in (made.credential, expired.credential, Secret("sk-of-nobody")):
            with pytest.raises(SpeechError) as refused:
                await gate.identify(credential, HOME)
            words.add(refused.value.message)
        assert len(words) == 1
