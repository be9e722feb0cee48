"""`/` shows a browser how the router is, and nobody what is not theirs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from router.app.server import create_app
from router.contract.errors import Busy
from router.contract.provider import Kind
from router.contract.record import LimitRefused, SpeechRecord
from router.registry import Kinds
from router.settings.load import parse
from router.telemetry.recent import KEPT, Recent
from router.testing.script import Raise, Script
from router.testing.scripted import Scripted, kind_of
from tests.api.keyed import ADMIN, AS_ADMIN, AS_CALLER, KEY, keyed, said

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
WORDS = "A secret that is spoken 4711."
NAME = "<b>'&amp;'</b>"


@contextmanager
def serving(folder: Path, **more: Any) -> Iterator[TestClient[Litestar]]:
    """Two providers that are on, one that lacks its key, and a model with a wicked name."""
    voices = {
        "one": Scripted(),
        "busy": Scripted(Script(entering=(Raise(Busy("", retry_after=90)),))),
    }
    kinds: dict[str, Kind] = {name: kind_of(name, voice) for name, voice in voices.items()}
    config = {
        "server": {"data_dir": str(folder / "data"), "cache_dir": str(folder / "cache")},
        "integrity": {"judges": False},  # tones are no speech
        "providers": {
            "one": {"kind": "one", "limits": {"requests_per_minute": 1234}},
            "busy": {"kind": "busy"},
            "lacking": {"kind": "one", "gain_db": "${NOBODY_SETS_THIS}"},
        },
        "models": {
            "it": {"routes": [{"provider": "busy"}, {"provider": "one"}]},
            "mute": {"routes": [{"provider": "lacking"}]},
            NAME: {"routes": [{"provider": "one"}]},
        },
        **more,
    }
    app = create_app(parse(json.dumps(config), kinds), Kinds(kinds, {}, {}))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient[Litestar]]:
    with serving(tmp_path) as client:
        yield client


def speak(client: TestClient[Litestar], model: str = "it") -> Response:
    return client.post("/v1/audio/speech", json={"model": model, "input": WORDS, "voice": "alloy"})


def page(client: TestClient[Litestar], **headers: str) -> str:
    answer = client.get("/", headers={**BROWSER, **headers})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def part(page: str, id: str) -> str:
    found = re.search(rf'<section id="{id}".*?</section>', page, re.DOTALL)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "audio/*;q=1, */*;q=0.1"])
def test_who_is_no_browser_finds_nothing_as_before(
    client: TestClient[Litestar], accept: str | None
) -> None:
    headers = {"accept": accept} if accept else {}
    answer, elsewhere = (client.get(path, headers=headers) for path in ("/", "/nowhere"))

    assert answer.status_code == elsewhere.status_code == 404
    assert answer.json() == elsewhere.json()


def test_it_tells_who_is_on_and_why_others_are_not(client: TestClient[Litestar]) -> None:
    speak(client)
    shown = page(client)

    providers, models = part(shown, "providers"), part(shown, "models")
    assert "$NOBODY_SETS_THIS is not set" in providers
    assert "1,234 requests a minute" in providers
    assert re.search(
        r"tone-1 <span class=\"mark bad\">open</span>.*?busy, for \d\d s more", providers
    )
    assert "0 of 16" in providers
    assert 'busy<span class="aside"> (left alone)</span>, then one' in models
    assert 'lacking<span class="aside"> (off)</span>' in models
    assert "nobody can speak for mute" in part(shown, "now")


def test_it_tells_the_last_requests_and_nothing_of_what_they_said(
    client: TestClient[Litestar],
) -> None:
    speak(client)
    speak(client, "nobody-has-this")
    shown = page(client)

    routes = part(shown, "recent")
    assert routes.index("unknown_model (404)") < routes.index("busy=busy"), "the last comes first"
    assert routes.count('<tr role="row">') == 1 + 2
    assert ">spoken<" in routes
    assert WORDS not in shown
    assert "nobody-has-this" not in shown


def test_names_are_words_and_no_markup(client: TestClient[Litestar]) -> None:
    speak(client, NAME)
    shown = page(client)

    assert NAME not in shown
    assert shown.count("&lt;b&gt;'&amp;amp;'&lt;/b&gt;") >= 2


def test_only_its_own_style_and_script_are_let_through(client: TestClient[Litestar]) -> None:
    answer = client.get("/", headers=BROWSER)
    policy = dict(
        one.strip().split(" ", 1) for one in answer.headers["content-security-policy"].split(";")
    )

    assert policy["default-src"] == "'none'"
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert not re.search(r"https?://|<[^>]+ (on\w+|style|src)=", answer.text)


def test_no_address_and_no_key_is_on_it(tmp_path: Path) -> None:
    accounts = {
        "admin_key": ADMIN,
        "keys": {"caller": {"key": KEY}},
        "limits": {"key": {"concurrent": 7}},
    }
    with keyed(tmp_path, accounts) as client:
        assert said(client, KEY).status_code == 200
        shown = page(client, **AS_ADMIN)

    assert "7 at once" in part(shown, "limits")
    assert ">spoken<" in part(shown, "recent")
    for hidden in (ADMIN, KEY, KEY[-4:], "127.0.0.1", "testclient", str(tmp_path)):
        assert hidden not in shown


def test_it_tells_how_it_stands_with_the_jobs(client: TestClient[Litestar], tmp_path: Path) -> None:
    assert re.search(r"<dt>Queued</dt><dd>0</dd>", part(page(client), "jobs"))

    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other", jobs={"enabled": False}) as without:
        assert 'id="jobs"' not in page(without)


def basic(password: str) -> dict[str, str]:
    token = base64.b64encode(f"anybody:{password}".encode()).decode()
    return {"authorization": f"Basic {token}"}


@pytest.mark.parametrize("headers", [AS_ADMIN, {"x-api-key": ADMIN}, basic(ADMIN)])
def test_with_keys_the_admin_key_opens_it(tmp_path: Path, headers: dict[str, str]) -> None:
    with keyed(tmp_path) as client:
        assert "Providers" in page(client, **headers)


@pytest.mark.parametrize(
    "headers", [{}, AS_CALLER, basic(KEY), basic(""), {"authorization": "Basic é"}]
)
def test_with_keys_a_browser_is_asked_for_the_admin_key(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    with keyed(tmp_path) as client:
        sent = [(k.encode(), v.encode()) for k, v in {**BROWSER, **headers}.items()]
        answer = client.get("/", headers=sent)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert "Providers" not in answer.text


def test_with_keys_and_without_an_admin_key_nobody_sees_it(tmp_path: Path) -> None:
    with keyed(tmp_path, {"keys": {"caller": {"key": KEY}}}) as client:
        answer = client.get("/", headers={**BROWSER, **AS_CALLER})

    assert answer.status_code == 403
    assert "accounts.admin_key" in answer.text


def test_whoever_guesses_the_admin_key_is_slowed_down(tmp_path: Path) -> None:
    accounts = {"admin_key": ADMIN, "limits": {"failing": {"requests_per_minute": 2}}}
    with keyed(tmp_path, accounts) as client:
        found = [client.get("/", headers={**BROWSER, **basic(f"guess-{n}")}) for n in range(3)]

    assert [one.status_code for one in found] == [401, 401, 429]
    assert int(found[-1].headers["retry-after"]) > 0


def test_so_many_requests_are_remembered_and_no_more() -> None:
    recent = Recent()
    for number in range(3 * KEPT):
        recent.recorded(SpeechRecord(request_id=str(number), shape="openai", opened=0.0))
    recent.noticed(LimitRefused("key", "requests", "speech"))

    assert len(recent.routes) == KEPT
    assert recent.last_minute().requests == 3 * KEPT
    assert list(recent.refused.values()) == [1]


def test_the_last_minute_forgets_what_is_older() -> None:
    now = 1000.0
    recent = Recent(clock=lambda: now)
    record = SpeechRecord(
        request_id="1", shape="openai", opened=0.0, characters=30, outcome="spoken"
    )
    recent.recorded(record)
    now += 59.0
    recent.recorded(record)
    assert (recent.last_minute().outcomes, recent.last_minute().characters) == ({"spoken": 2}, 60)

    now += 1.0
    assert recent.last_minute().requests == 1
    now += 3600.0
    assert recent.last_minute().requests == 0
