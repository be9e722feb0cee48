"""The real OpenAI SDK, against a real server on a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai._legacy_response import HttpxBinaryResponseContent

from tests.clients.limited import published
from tests.support import sound
from tests.support.process import ServerProcess

TEXT = "Hello, welcome to the router."
KEY = "sk-anything"
BASES = ("/v1", "", "/v1/", "/", "/v1/v1")


@pytest.fixture
def client(server: ServerProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def _is_spoken(body: bytes, rate: int = 24_000, channels: int = 1) -> bool:
    heard = sound.of_wav(body)
    is_right = (heard.sample_rate, heard.channels) == (rate, channels)
    return is_right and heard.is_audible and heard.could_say(TEXT)


# ---- speech


def test_create_gives_speech(client: OpenAI) -> None:
    response = client.audio.speech.create(
        model="tts-1", input=TEXT, voice="alloy", response_format="wav"
    )

    assert response.response.headers["content-type"] == "audio/wav"
    assert _is_spoken(response.content)


def test_create_without_a_format_gives_mp3(client: OpenAI, tmp_path: Path) -> None:
    response = client.audio.speech.create(model="gpt-4o-mini-tts", input=TEXT, voice="alloy")
    file = tmp_path / "speech.mp3"
    file.write_bytes(response.content)

    assert response.response.headers["content-type"] == "audio/mpeg"
    assert sound.probed(file).codec == "mp3"


def test_pcm_is_what_the_sdks_own_player_plays(client: OpenAI) -> None:
    """Its `LocalAudioPlayer` takes 24 kHz, 16 bit, mono for granted."""
    response = client.audio.speech.create(
        model="tts-1", input=TEXT, voice="alloy", response_format="pcm"
    )

    heard = sound.of_pcm(response.content, 24_000, 1)
    assert heard.is_audible
    assert heard.could_say(TEXT)


def test_speed_is_heard(client: OpenAI) -> None:
    def seconds(speed: float) -> float:
        response = client.audio.speech.create(
            model="tts-1", input=TEXT, voice="alloy", response_format="wav", speed=speed
        )
        return sound.of_wav(response.content).seconds

    assert seconds(2.0) < 0.7 * seconds(1.0)


def test_a_streaming_response_comes_in_pieces(client: OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", input=TEXT * 10, voice="alloy", response_format="pcm"
    ) as response:
        pieces = list(response.iter_bytes(4096))

    assert "content-length" not in response.headers
    assert len(pieces) > 2
    assert sound.of_pcm(b"".join(pieces), 24_000, 1).could_say(TEXT * 10)


def test_a_streaming_response_goes_to_a_file(client: OpenAI, tmp_path: Path) -> None:
    file = tmp_path / "speech.wav"
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", input=TEXT, voice="alloy", response_format="wav"
    ) as response:
        response.stream_to_file(file)

    assert _is_spoken(file.read_bytes())


def test_a_voice_may_be_an_object(client: OpenAI) -> None:
    response = client.audio.speech.create(
        model="tts-1", input=TEXT, voice={"id": "Shimmer"}, response_format="wav"
    )

    assert _is_spoken(response.content)


def test_what_the_speaker_cannot_honour_is_named(client: OpenAI) -> None:
    response = client.audio.speech.create(
        model="tts-1",
        input=TEXT,
        voice="alloy",
        response_format="wav",
        instructions="Speak like a sailor.",
        extra_body={"stream": False, "nobody_knows_this": 1, "seed": None},
    )

    assert response.response.headers["x-tts-ignored"] == "instructions"


def test_a_form_without_a_file_is_read_too(client: OpenAI) -> None:
    response = client.audio.speech.create(
        model="tts-1",
        input=TEXT,
        voice={"id": "alloy"},
        response_format="wav",
        speed=1.5,
        extra_headers={"Content-Type": "multipart/form-data; boundary=there-is-one"},
    )

    assert response.response.status_code == 200
    assert sound.of_wav(response.content).is_audible


def test_a_file_goes_by_multipart(client: OpenAI, speech_sample: bytes) -> None:
    """What LEAPERone's page says the SDK cannot do. Nobody who is on can clone, and that is
    told."""
    response = client.post(
        "/audio/speech",
        body={"model": "moss-tts-nano", "input": TEXT, "voice": "alloy"},
        files={"prompt_audio": ("reference.wav", speech_sample, "audio/wav")},
        options={"headers": {"Content-Type": "multipart/form-data"}},
        cast_to=HttpxBinaryResponseContent,
    )

    assert "prompt_audio" in response.response.headers["x-tts-ignored"]
    assert _is_spoken(response.content, 48_000, 2)


@pytest.fixture(scope="module")
def speech_sample(server: ServerProcess) -> bytes:
    """A voice sample of some seconds, spoken by the server itself."""
    with OpenAI(base_url=server.url, api_key=KEY) as client:
        return client.audio.speech.create(
            model="tts-1", input=TEXT * 2, voice="onyx", response_format="wav"
        ).content


@pytest.mark.parametrize("base", BASES)
def test_every_way_to_write_the_base_url_works(server: ServerProcess, base: str) -> None:
    with OpenAI(base_url=server.url + base, api_key=KEY, max_retries=0) as client:
        response = client.audio.speech.create(
            model="tts-1", input=TEXT, voice="alloy", response_format="wav"
        )
        listed = client.models.list()

    assert not response.response.history
    assert _is_spoken(response.content)
    assert "tts-1" in {model.id for model in listed}


async def test_the_async_client_does_the_same(server: ServerProcess, tmp_path: Path) -> None:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as client:
        whole = await client.audio.speech.create(
            model="tts-1", input=TEXT, voice="alloy", response_format="wav"
        )
        async with client.audio.speech.with_streaming_response.create(
            model="tts-1", input=TEXT, voice="alloy", response_format="pcm"
        ) as response:
            pieces = [piece async for piece in response.iter_bytes()]
        listed = [model.id async for model in client.models.list()]

    assert _is_spoken(whole.content)
    assert sound.of_pcm(b"".join(pieces), 24_000, 1).could_say(TEXT)
    assert "moss-tts-nano" in listed


# ---- the catalogue


def test_models_are_listed_and_described(client: OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}

    assert {"moss-tts-nano", "nano-tts-1", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"} <= set(listed)
    for name, model in listed.items():
        assert model.object == "model"
        assert client.models.retrieve(name) == model


# ---- errors


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no model 'tts-9'") as raised:
        client.audio.speech.create(model="tts-9", input=TEXT, voice="alloy")

    error = raised.value
    assert (error.code, error.param, error.type) == (
        *("model_not_found", "model", "invalid_request_error"),
    )
    assert "tts-1" in error.message
    assert error.request_id == error.response.headers["x-request-id"]


def test_an_unknown_model_cannot_be_retrieved(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("some/unknown-model")

    assert raised.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("fields", "param", "code", "said"),
    [
        ({"voice": "aloy"}, "voice", "invalid_voice", "Did you mean alloy"),
        ({"response_format": "midi"}, "response_format", "unsupported_format", "wav"),
        ({"speed": 9}, "speed", "invalid_parameter_value", "4"),
        ({"speed": "fast"}, "speed", "invalid_parameter_value", "speed"),
        ({"input": ""}, "input", "invalid_parameter_value", "empty"),
        ({"input": " \n"}, "input", "invalid_parameter_value", "empty"),
        ({"input": None}, "input", "missing_required_parameter", "required"),
        ({"input": "x" * 4097}, "input", "string_above_max_length", "4097"),
        ({"voice": None}, "voice", "missing_required_parameter", "required"),
        ({"sample_rate": 1}, "sample_rate", "invalid_sample_rate", "8000"),
        ({"prompt_audio": "UklGRg=="}, "prompt_audio", "invalid_prompt_audio", "multipart"),
    ],
)
def test_a_bad_request_names_the_field(
    client: OpenAI, fields: dict[str, object], param: str, code: str, said: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.audio.speech.create(model="tts-1", input=TEXT, voice="alloy", extra_body=fields)

    error = raised.value
    assert (error.param, error.code) == (param, code)
    assert error.type == "invalid_request_error"
    assert said in error.message


def test_a_failed_provider_is_a_server_error(client: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match="No provider could speak") as raised:
        client.audio.speech.create(model="broken", input=TEXT, voice="alloy")

    assert (raised.value.status_code, raised.value.code) == (502, "upstream_error")


def test_busy_providers_are_tried_again_by_the_sdk(server: ServerProcess) -> None:
    with OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=1) as client:
        before = len(server.log.records)
        with pytest.raises(openai.InternalServerError) as raised:
            client.audio.speech.create(model="busy", input=TEXT, voice="alloy")

    assert (raised.value.status_code, raised.value.code) == (503, "overloaded")
    assert raised.value.response.headers["retry-after"] == "1"
    assert published(server, before + 2) == before + 2


def test_speech_that_breaks_off_is_an_error_and_never_a_file(client: OpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        client.audio.speech.create(model="cut", input=TEXT, voice="alloy", response_format="pcm")
    with (
        client.audio.speech.with_streaming_response.create(
            model="cut", input=TEXT, voice="alloy", response_format="pcm"
        ) as response,
        pytest.raises(Exception, match=r"incomplete chunked read"),
    ):
        b"".join(response.iter_bytes())


def test_no_path_of_the_api_is_an_error_that_the_sdk_can_read(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.images.generate(prompt="a house")

    assert raised.value.code == "not_found"
    assert raised.value.message
