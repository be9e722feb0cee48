"""Whatever callers send, the number of series stays: no word of theirs becomes a label."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as of_openmetrics

from router.contract.audio import ENCODINGS
from router.contract.record import SpeechRecord
from router.telemetry.counting import Counting
from router.testing.script import Script, Tone
from router.testing.scripted import Scripted
from tests.support.scripts import SPEECH, asking
from tests.telemetry.telling import Telling, series, telling

MANY = 10_000
OVER_HTTP = 300
MARKER = "kept-to-ourselves-4711"
MARKED = f"sk-{MARKER}-of-a-key"
BRIEF = Script(speaking=(Tone(0.05),))
PATHS = (SPEECH, "/v1/speech", "/api/v1/audio/speech")


def _word(dice: random.Random) -> str:
    return MARKER + "".join(dice.choices(string.ascii_letters + '"\\\n{}=', k=8))


def _request(dice: random.Random) -> dict[str, Any]:
    """A request in which all is by chance that a caller may choose."""
    body = asking(_word(dice), input=_word(dice), voice=_word(dice))
    body |= dice.choice([{}, {"response_format": _word(dice)}, {_word(dice): 1}, {"speed": 9}])
    headers = {"authorization": f"Bearer {_word(dice).encode().hex()}", "x-api-key": MARKED}
    headers |= {"x-request-id": _word(dice).encode().hex(), "idempotency-key": f"{MARKED}-1"}
    paths = (*PATHS, f"/{_word(dice).encode().hex()}")
    return {"url": dice.choice(paths), "json": body, "headers": headers}


async def _sends(it: Telling, dice: random.Random, times: int) -> None:
    for _ in range(times):
        answer = await it.client.post(**_request(dice))
        assert 400 <= answer.status_code < 500


async def _names(it: Telling) -> set[str]:
    return set(await it.metrics())


def _one_of_each(counting: Counting) -> None:
    """Everything that a request may count by chance, with the config's names."""
    for shape in ("leaper", "openai", "nanogpt"):
        for format in ENCODINGS:
            counting.recorded(_record(shape, "it", "one", format))
            counting.recorded(_record(shape, "unknown", "unknown", format))


def _record(shape: str, model: str, provider: str, format: str) -> SpeechRecord:
    return SpeechRecord(
        request_id=MARKER,
        shape=shape,
        opened=0.0,
        model=model,
        provider=provider,
        voice=MARKER,
        language=MARKER,
        caller=MARKER,
        format=format,
        place_s=0.0,
        first_audio_s=0.1,
        total_s=0.2,
        audio_s=1.0,
        status=200,
        outcome="spoken",
    )


def test_ten_thousand_requests_with_names_by_chance_add_no_series() -> None:
    registry = CollectorRegistry()
    counting = Counting(registry)
    counting.learn(["it"], ["one"])
    _one_of_each(counting)
    dice = random.Random(4711)

    def count() -> int:
        return sum(len(family.samples) for family in registry.collect())

    before = count()
    for _ in range(MANY):
        shape = dice.choice(("leaper", "openai", "nanogpt", _word(dice)))
        named = _record(shape, _word(dice), _word(dice), dice.choice(ENCODINGS))
        counting.recorded(named)
    # A shape that is none is `other`, and there is one of those.
    after = count()
    assert after - before == len([1 for _ in ("tts_requests_total", "_created")])


async def test_requests_over_http_with_words_by_chance_add_no_series(tmp_path: Path) -> None:
    dice = random.Random(4711)
    async with telling(tmp_path, one=Scripted(BRIEF)) as it:
        assert (await it.asks()).status_code == 200
        await _sends(it, dice, 60)  # each kind of refusal that there is
        before = await _names(it)

        await _sends(it, dice, OVER_HTTP)
        after = await _names(it)
        text = (await it.client.get("/metrics")).text

    assert after - before == set()
    assert MARKER not in text
    assert MARKER.encode().hex() not in text


async def test_voices_and_texts_by_chance_that_are_spoken_add_no_series(tmp_path: Path) -> None:
    dice = random.Random(4711)
    async with telling(tmp_path, one=Scripted(BRIEF)) as it:
        await it.asks()
        before = await _names(it)
        for _ in range(50):
            headers = {"x-request-id": _word(dice).encode().hex()}
            body = asking(input=_word(dice), user=_word(dice), instructions=_word(dice))
            assert (await it.client.post(SPEECH, json=body, headers=headers)).status_code == 200
        text = (await it.client.get("/metrics")).text

    assert set(series(text)) - before == set()
    assert MARKER not in text


async def test_a_model_that_is_reached_by_its_provider_is_other(tmp_path: Path) -> None:
    """`<provider>/<model>` is no name of the config."""
    config = {"server": {"provider_prefix": True}}
    async with telling(tmp_path, config, one=Scripted(BRIEF)) as it:
        assert (await it.asks("one/tone-1")).status_code == 200
        told = await it.metrics()

    assert told['tts_characters_total{model="other",provider="one"}'] > 0
    assert not any("one/tone-1" in name for name in told)


async def test_names_of_the_config_cannot_break_the_exposition(tmp_path: Path) -> None:
    name = 'a "b"\\\n{c="d"}'
    config = {"models": {name: {"routes": [{"provider": "one"}]}}}
    async with telling(tmp_path, config, one=Scripted(BRIEF)) as it:
        assert (await it.asks(name)).status_code == 200
        accept = {"accept": "application/openmetrics-text; version=1.0.0"}
        text = (await it.client.get("/metrics", headers=accept)).text
        families = list(of_openmetrics(text))  # type: ignore[no-untyped-call]  # it has no types

    models = {s.labels.get("model") for family in families for s in family.samples}
    assert name in models
