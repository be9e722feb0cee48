"""Three shapes come in, each with its own names and defaults; one request goes on."""

from __future__ import annotations

from typing import Any

import pytest

from router.contract.audio import AudioFormat
from tests.api.served import NANO, NEWER, SHARED, Served, envelope


def form(**fields: Any) -> dict[str, Any]:
    return {"model": "tts-1", "input": "Hello there.", "voice": "alloy", **fields}


# ---- which shape


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({}, "leaper"),
        ({"model": None}, "leaper"),
        ({"model": ""}, "leaper"),
        ({"model": "moss-tts-nano"}, "leaper"),
        ({"model": " MOSS-tts-nano "}, "leaper"),
        ({"model": "tts-1", "voice": "alloy"}, "openai"),
        ({"model": "nano-tts-1", "voice": "alloy"}, "openai"),
    ],
)
def test_on_the_shared_path_the_model_tells_the_shape(
    api: Served, fields: dict[str, Any], shape: str
) -> None:
    assert api.asks(**fields).status_code == 200
    assert api.records[-1].shape == shape


def test_multipart_is_leaperones_whatever_the_model(api: Served) -> None:
    answer = api.post(data=form(), files={"x": (None, "y")})
    assert answer.headers["content-type"] == "audio/wav"
    assert api.records[-1].shape == "leaper"


def test_a_form_is_read_like_json(api: Served) -> None:
    answer = api.post(data=form(response_format="wav", speed="1.5", seed="7", stream="True"))
    assert answer.status_code == 200
    assert api.records[-1].shape == "openai"
    assert (api.order.speed, api.order.options) == (1.5, {"seed": 7})
    assert "content-length" not in answer.headers, "stream: True"


# ---- defaults


@pytest.mark.parametrize(
    ("path", "fields", "content_type", "format"),
    [
        (SHARED, {}, "audio/wav", ("wav", 48_000, 2)),
        (SHARED, {"response_format": "pcm"}, "application/octet-stream", ("pcm", 48_000, 2)),
        (SHARED, {"response_format": "mp3"}, "audio/mpeg", ("mp3", 44_100, 2)),
        (SHARED, form(), "audio/mpeg", ("mp3", 44_100, 2)),
        (SHARED, form(response_format="pcm"), "audio/pcm", ("pcm", 24_000, 1)),
        (SHARED, form(response_format="WAV "), "audio/wav", ("wav", 24_000, 1)),
        (SHARED, form(format="wave"), "audio/wav", ("wav", 24_000, 1)),
        (SHARED, form(format="wav", sample_rate=16_000), "audio/wav", ("wav", 16_000, 1)),
        (NEWER, form(), "audio/mpeg", ("mp3", 44_100, 2)),
        (NEWER, {"voice": ..., "response_format": "pcm"}, "audio/pcm", ("pcm", 24_000, 1)),
        (NANO, {}, "audio/mpeg", ("mp3", 44_100, 2)),
        (NANO, {"format": "wav"}, "audio/wav", ("wav", 24_000, 1)),
        (NANO, {"response_format": "wav"}, "audio/wav", ("wav", 24_000, 1)),
        (
            NANO,
            {"format": "pcm16", "sample_rate": 16_000},
            "application/octet-stream",
            ("pcm", 16_000, 1),
        ),
        (NANO, {"format": "wav", "sample_rate": "8000"}, "audio/wav", ("wav", 8_000, 1)),
    ],
)
def test_each_shape_has_its_own_formats(
    api: Served,
    path: str,
    fields: dict[str, Any],
    content_type: str,
    format: tuple[str, int, int],
) -> None:
    answer = api.asks(path, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == content_type
    encoding, rate, channels = format
    assert api.records[-1].format == encoding
    assert answer.headers["x-audio-sample-rate"] == str(rate)
    assert answer.headers["x-audio-channels"] == str(channels)


def test_leaperone_needs_nothing_but_the_text(api: Served) -> None:
    answer = api.asks()
    record = api.records[-1]
    assert (record.model, record.voice, record.language) == ("moss-tts-nano", "nova", "en")
    assert answer.headers["x-tts-voice"] == "nova"


def test_on_the_newer_spelling_the_voice_may_be_left_out(api: Served) -> None:
    assert api.asks(NEWER, voice=...).status_code == 200
    assert (api.records[-1].voice, api.records[-1].shape) == ("alloy", "openai")


@pytest.mark.parametrize("missing", ["model", "input", "voice"])
@pytest.mark.parametrize("absent", [..., None])
def test_nanogpt_needs_model_input_and_voice(api: Served, missing: str, absent: Any) -> None:
    error = envelope(api.asks(NANO, **{missing: absent}), 400)
    assert (error["param"], error["code"]) == (missing, "missing_required_parameter")
    assert error["type"] == "invalid_request_error"


def test_openai_needs_a_voice(api: Served) -> None:
    error = envelope(api.asks(model="tts-1"), 400)
    assert (error["param"], error["code"]) == ("voice", "missing_required_parameter")


@pytest.mark.parametrize("path", [SHARED, NEWER, NANO])
def test_null_means_absent(api: Served, path: str) -> None:
    nulls = dict.fromkeys(
        (
            *("speed", "language", "instructions", "response_format", "sample_rate", "stream"),
            *("seed", "temperature", "top_p", "extra", "stream_format", "pitch", "emotion"),
            *("stability", "similarity", "prompt_audio", "ref_audio", "whatever"),
        )
    )
    assert api.asks(path, **nulls).status_code == 200
    assert api.order.options == {}
    assert api.order.speed == 1.0


# ---- fields


@pytest.mark.parametrize(
    "voice", ["alloy", " Alloy ", {"id": "alloy"}, {"id": " ALLOY", "more": 1}]
)
@pytest.mark.parametrize("path", [SHARED, NEWER, NANO])
def test_a_voice_is_a_name_or_an_object_with_an_id(api: Served, path: str, voice: Any) -> None:
    assert api.asks(path, model="tts-1", voice=voice).status_code == 200
    assert api.records[-1].voice == "alloy"


@pytest.mark.parametrize("files", [None, {"x": (None, "y")}])
def test_a_form_may_spell_the_object_with_brackets(api: Served, files: Any) -> None:
    fields = {**form(), "voice[id]": "echo"}
    del fields["voice"]
    assert api.post(data=fields, files=files).status_code == 200
    assert api.records[-1].voice == "echo"


def test_what_the_page_names_arrives_at_the_provider(api: Served) -> None:
    fields = {
        "speed": 2,
        "pitch": -3.5,
        "emotion": "glad",
        "stability": 0.25,
        "similarity": 1,
        "language": "de-at",
        "seed": 5,
        "temperature": 0.5,
        "top_p": 0.75,
        "extra": {"deep": [1, {"a": None}]},
    }
    answer = api.asks(NANO, format="wav", **fields)
    assert answer.headers["x-tts-ignored"] == "none"
    assert (api.order.speed, api.order.pitch, api.order.language) == (2.0, -3.5, "de-AT")
    given = {name: fields[name] for name in fields if name not in ("speed", "pitch", "language")}
    assert api.order.options == given


@pytest.mark.parametrize(
    ("path", "alias", "name"),
    [
        (SHARED, "instruction", "instructions"),
        (NEWER, "instruction", "instructions"),
        (NANO, "similarity_boost", "similarity"),
    ],
)
def test_an_alias_is_the_name_itself(api: Served, path: str, alias: str, name: str) -> None:
    value = 0.5 if name == "similarity" else "softly"
    assert api.asks(path, model="tts-1", voice="alloy", **{alias: value}).status_code == 200
    assert api.order.options == {name: value}


def test_what_the_provider_cannot_honour_is_ignored_and_named(api: Served) -> None:
    answer = api.asks(model="plain", instructions="softly", seed=5, extra={"a": 1})
    assert answer.status_code == 200
    assert answer.headers["x-tts-ignored"] == "extra, instructions, seed"
    assert api.plain.orders[-1].options == {}


def test_unknown_fields_are_ignored(api: Served) -> None:
    assert api.asks(wat=1, lang_code="a", user="me").status_code == 200


@pytest.mark.parametrize("on", ["true", "True", "1", "on"])
def test_a_forms_switch_is_on_in_every_spelling(api: Served, on: str) -> None:
    answer = api.post(data=form(response_format="wav", stream=on))
    assert answer.status_code == 200, answer.text
    assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        (NANO, "speed", 0.2),
        (NANO, "speed", 4.5),
        (SHARED, "speed", "fast"),
        (SHARED, "speed", True),
        (SHARED, "speed", "nan"),
        (SHARED, "speed", "inf"),
        (NANO, "stability", 1.5),
        (NANO, "similarity", -0.1),
        (NANO, "pitch", "high"),
        (SHARED, "seed", -1),
        (SHARED, "seed", 1.5),
        (SHARED, "seed", True),
        (SHARED, "seed", 10**30),
        (SHARED, "temperature", 3),
        (SHARED, "top_p", "nan"),
        (SHARED, "extra", "text"),
        (SHARED, "extra", [1]),
        (SHARED, "stream", "perhaps"),
        (SHARED, "language", "not a tag"),
        (SHARED, "language", 5),
        (SHARED, "input", 5),
        (SHARED, "input", ["Hello"]),
        (SHARED, "input", "  \n"),
        (SHARED, "input", ""),
        (SHARED, "voice", 5),
        (SHARED, "voice", {"name": "alloy"}),
        (SHARED, "voice", ["alloy"]),
        (SHARED, "model", 5),
        (SHARED, "model", {"id": "tts-1"}),
        (SHARED, "model", "x" * 300),
        (SHARED, "response_format", 5),
        (SHARED, "instructions", 5),
    ],
)
def test_a_wrong_value_is_told_by_the_fields_name(
    api: Served, path: str, field: str, value: Any
) -> None:
    error = envelope(api.asks(path, **{field: value}), 400)
    assert error["param"] == field
    assert error["type"] == "invalid_request_error"
    assert not api.able.orders


@pytest.mark.parametrize("rate", ["16000", 16_000, 16_000.0, " 16000 ", "16000.0"])
def test_a_sample_rate_is_a_whole_number_in_any_spelling(api: Served, rate: Any) -> None:
    answer = api.asks(NANO, format="pcm16", sample_rate=rate)
    assert answer.headers["x-audio-sample-rate"] == "16000"


@pytest.mark.parametrize(
    "rate",
    [
        *(7_999, 192_001, 0, -16_000, 16_000.5, "16k", "nan", "inf", "1e999", True, [], {}),
        pytest.param(10**400, id="401 digits"),
        pytest.param("9" * 400, id="400 digits in words"),
    ],
)
@pytest.mark.parametrize(
    ("path", "type_"), [(NANO, "invalid_sample_rate"), (SHARED, "invalid_request_error")]
)
def test_any_other_sample_rate_is_refused_by_its_name(
    api: Served, path: str, type_: str, rate: Any
) -> None:
    error = envelope(api.asks(path, sample_rate=rate, format="wav"), 400)
    assert (error["param"], error["type"]) == ("sample_rate", type_)
    assert error["code"] == "invalid_sample_rate"


def test_pcm16_needs_its_sample_rate(api: Served) -> None:
    error = envelope(api.asks(NANO, format="pcm16"), 400)
    assert (error["type"], error["param"]) == ("invalid_sample_rate", "sample_rate")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "audio/mpeg"),
        ("*/*", "audio/mpeg"),
        ("audio/wav", "audio/wav"),
        ("audio/x-wav;q=0.9, audio/mpeg;q=0.5", "audio/wav"),
        ("audio/mpeg;q=0.4, audio/wav;q=0.8", "audio/wav"),
        ("audio/wav;q=0, audio/mpeg", "audio/mpeg"),
        ("application/octet-stream", "audio/mpeg"),
        ("text/html, application/json", "audio/mpeg"),
        ("audio/wav;q=nan", "audio/mpeg"),
        (";;;,,=,q=1", "audio/mpeg"),
    ],
)
def test_nanogpts_format_may_come_from_accept(
    api: Served, accept: str | None, content_type: str
) -> None:
    headers = {"accept": accept} if accept else None
    body = {"model": "tts-1", "input": "Hello.", "voice": "alloy"}
    answer = api.post(NANO, json=body, headers=headers)
    assert answer.headers["content-type"] == content_type
    answer = api.post(NANO, json={**body, "format": "wav"}, headers=headers)
    assert answer.headers["content-type"] == "audio/wav", "what the body says comes first"


def test_a_format_that_nobody_knows_names_those_that_are_known(api: Served) -> None:
    error = envelope(api.asks(response_format="midi"), 400)
    assert (error["param"], error["code"]) == ("response_format", "unsupported_format")
    assert "wav" in error["message"]
    error = envelope(api.asks(NANO, format="midi"), 400)
    assert (error["param"], error["type"]) == ("format", "unsupported_format")


@pytest.mark.parametrize("path", [SHARED, NEWER])
def test_an_event_stream_is_what_it_says(api: Served, path: str) -> None:
    answer = api.asks(path, model="tts-1", voice="alloy", stream_format="sse")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text.startswith("data: {")
    error = envelope(api.asks(path, model="tts-1", voice="alloy", stream_format="ws"), 400)
    assert error["param"] == "stream_format"


@pytest.mark.parametrize("path", [SHARED, NEWER, NANO])
@pytest.mark.parametrize(("name", "type_"), [("wave", "audio/wav"), ("MPEG", "audio/mpeg")])
def test_a_format_has_the_names_that_other_servers_gave_it(
    api: Served, path: str, name: str, type_: str
) -> None:
    answer = api.asks(path, response_format=name)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == type_


def test_a_short_wav_comes_whole_and_anything_else_streams(api: Served) -> None:
    whole = api.asks()
    assert whole.headers["content-length"] == str(len(whole.content))
    assert int.from_bytes(whole.content[40:44], "little") == len(whole.content) - 44
    streamed = api.asks(stream=True)
    assert "content-length" not in streamed.headers
    assert streamed.content[40:44] == b"\xff\xff\xff\xff"
    assert "content-length" not in api.asks(response_format="pcm").headers


def test_formats_are_the_ones_that_were_asked_of_the_provider(api: Served) -> None:
    api.asks(response_format="pcm")
    assert api.able.formats[-1] == AudioFormat("pcm", 48_000, 1)
