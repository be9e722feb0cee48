"""A voice sample is a file named `prompt_audio`, and never silently something else."""

from __future__ import annotations

from typing import Any

import pytest
from litestar.types import HTTPScope, Message

from router.api.body import CLIP_BYTES
from tests.api.served import SHARED, Served, envelope
from tests.dispatch.stage import CLIP

FORM = {"input": "Hello there."}


def clip(data: bytes = CLIP.data, name: str = "prompt_audio", file: str | None = "me.wav") -> Any:
    """A file part; `None` for its name makes it a text part."""
    return {name: (file, data, "audio/mpeg")}


def test_a_sample_arrives_at_the_provider_whatever_type_it_was_given(api: Served) -> None:
    answer = api.post(data=FORM, files=clip())
    assert answer.status_code == 200, answer.text
    assert api.order.clip is not None
    assert (api.order.clip.data, api.order.clip.container) == (CLIP.data, "wav")
    assert answer.headers["x-tts-ignored"] == "none"
    assert api.records[-1].clone


def test_the_order_of_the_parts_does_not_matter(api: Served) -> None:
    body = (
        b"--b\r\ncontent-disposition: form-data; name=prompt_audio\r\n\r\n"
        + CLIP.data
        + b'\r\n--b\r\ncontent-disposition: form-data; name="input"\r\n\r\nFirst.\r\n'
        b'--b\r\nContent-Disposition: form-data; name="input"\r\n\r\nLast one.\r\n--b--\r\n'
    )
    answer = api.post(content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 200, answer.text
    assert api.order.clip is not None
    assert api.order.text == "Last one."


def test_multipart_without_a_sample_is_the_preset_voice(api: Served) -> None:
    for files in ({"speed": (None, "1.0")}, clip(b"", file="")):
        assert api.post(data=FORM, files=files).status_code == 200
        assert api.order.clip is None


def test_an_empty_file_is_no_sample_and_not_silently_the_preset_voice(api: Served) -> None:
    error = envelope(api.post(data=FORM, files=clip(b"")), 400)
    assert (error["param"], error["code"]) == ("prompt_audio", "invalid_prompt_audio")


@pytest.mark.parametrize(
    "data", [b"x", b"<html>", b'{"a": 1}', b"\xff\xf1\x50\x80" + bytes(40), bytes(100)]
)
def test_what_is_no_known_container_is_refused(api: Served, data: bytes) -> None:
    error = envelope(api.post(data=FORM, files=clip(data)), 400)
    assert (error["param"], error["code"]) == ("prompt_audio", "invalid_prompt_audio")
    assert "flac" in error["message"]


@pytest.mark.parametrize("data", [b"RIFF\0\0\0\0WAVE", b"OggS" + bytes(60), b"fLaC" + bytes(60)])
def test_what_only_begins_like_audio_is_refused(api: Served, data: bytes) -> None:
    error = envelope(api.post(data=FORM, files=clip(data)), 400)
    assert (error["param"], error["code"]) == ("prompt_audio", "invalid_prompt_audio")


@pytest.mark.parametrize("name", ["file", "audio", "ref_audio", "reference_audio", "Prompt_Audio"])
def test_a_file_of_another_name_is_told_the_right_one(api: Served, name: str) -> None:
    error = envelope(api.post(data=FORM, files=clip(name=name)), 400)
    assert "prompt_audio" in error["message"]
    assert not api.able.orders


@pytest.mark.parametrize("name", ["prompt_audio", "ref_audio", "reference_audio"])
def test_json_cannot_carry_a_sample_and_says_how_it_is_sent(api: Served, name: str) -> None:
    error = envelope(api.post(json={**FORM, name: "UklGRg=="}), 400)
    assert error["param"] == name
    assert "multipart/form-data" in error["message"]


@pytest.mark.parametrize("name", ["prompt_audio", "ref_audio", "reference_audio"])
def test_a_plain_form_cannot_carry_a_sample_either(api: Served, name: str) -> None:
    error = envelope(api.post(data={**FORM, name: "UklGRg=="}), 400)
    assert error["param"] == name
    assert not api.able.orders


def test_a_sample_as_text_is_no_file(api: Served) -> None:
    envelope(api.post(data=FORM, files=clip(b"data:audio/wav;base64,UklGRg==", file=None)), 400)


def test_one_mebibyte_is_the_limit(api: Served) -> None:
    padded = CLIP.data + bytes(CLIP_BYTES - len(CLIP.data))
    assert api.post(data=FORM, files=clip(padded)).status_code == 200
    error = envelope(api.post(data=FORM, files=clip(padded + b"x")), 400)
    assert (error["param"], error["code"]) == ("prompt_audio", "prompt_audio_too_large")
    assert "1048576" in error["message"]


def test_a_model_that_cannot_clone_refuses_or_says_that_it_does_not(api: Served) -> None:
    error = envelope(api.post(data={**FORM, "model": "choosy"}, files=clip()), 400)
    assert (error["param"], error["code"]) == ("prompt_audio", "cloning_unavailable")
    answer = api.post(data={**FORM, "model": "plain"}, files=clip())
    assert answer.headers["x-tts-ignored"] == "prompt_audio"
    assert api.plain.orders[-1].clip is None


def test_a_voice_is_checked_though_it_is_only_a_hint(api: Served) -> None:
    envelope(api.post(data={**FORM, "voice": "nobody"}, files=clip()), 400)
    assert api.post(data={**FORM, "voice": "ja-news"}, files=clip()).status_code == 200
    assert api.order.voice.language == "ja"


@pytest.mark.parametrize(
    "type_",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 5_000,
        'multipart/form-data; boundary="b',
        "multipart/form-data; boundary=b; charset=utf-7",
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x" * 100,
        b"--b",
        b"--b\r\n\r\n",
        b"--b--\r\n",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data; name=\xff\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data; name=input\r\n\r\n\xff\xfe\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data; name=input\r\n"
        b"Content-Type: text/plain; charset=nonsense\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\n" + b"A: b\r\n" * 5_000,
        b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n" * 200,
    ],
)
def test_a_broken_form_is_refused(api: Served, type_: str, body: bytes) -> None:
    answer = api.post(content=body, headers={"content-type": type_})
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        envelope(answer, 400)


async def test_an_endless_upload_is_not_kept_and_not_read_for_ever(api: Served) -> None:
    """The size is guarded while it uploads: the application stops reading of its own accord."""
    piece = bytes(65_536)
    read = 0
    sent: list[Message] = []

    async def receive() -> Any:
        nonlocal read
        head = b'--b\r\ncontent-disposition: form-data; name="prompt_audio"\r\n\r\n'
        body = piece if read else head + piece
        read += len(body)
        assert read < 64 * 1_048_576, "nobody stopped"
        return {"type": "http.request", "body": body, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": SHARED,
        "raw_path": SHARED.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"multipart/form-data; boundary=b"),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
        "extensions": {},
    }
    application: HTTPScope = scope
    await api.app(application, receive, send)
    assert sent[0]["type"] == "http.response.start"
    assert sent[0]["status"] in (400, 413)
    assert read <= 18 * 1_048_576
