"""What is handed in as jobs: any shape, a job's own fields, and batches that name what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from router.api.body import Body
from router.api.job_body import Reading, once_of
from router.contract.audio import AudioFormat, Clip
from router.contract.errors import CallerError, InvalidRequest
from router.jobs.job import Submission
from router.routing.catalogue import Catalogue
from router.settings.load import parse
from router.testing.script import Script
from router.testing.scripted import Scripted, kind_of

MODELS = {
    "nano": {"family": "leaper", "routes": [{"provider": "voice"}]},
    "tts-1": {"same_as": "nano", "family": "openai"},
    "spoken": {"same_as": "nano", "family": "openai", "default_voice": "echo"},
}
CLIP = Clip(b"RIFF....WAVE", "wav")


def reading(**server: Any) -> Reading:
    kinds = {"voice": kind_of("voice", Scripted(Script(speaking=())))}
    config = {"server": server, "providers": {"voice": {"kind": "voice"}}, "models": MODELS}
    settings = parse(json.dumps(config), kinds)
    return Reading(settings, Catalogue(settings))


def read(fields: Mapping[str, Any], clip: Clip | None = None, **server: Any) -> list[Submission]:
    body = Body(dict(fields), clip, is_multipart=clip is not None)
    return reading(**server).submissions(body)


def one(fields: Mapping[str, Any], clip: Clip | None = None) -> Submission:
    [found] = read(fields, clip)
    return found


@pytest.mark.parametrize(
    ("body", "shape", "format"),
    [
        ({"input": "Hello."}, "leaper", AudioFormat("wav", 48_000, 2)),
        ({"model": "tts-1", "input": "Hello.", "voice": "alloy"}, "openai", AudioFormat("mp3")),
        (
            {"model": "tts-1", "input": "Hello.", "voice": "alloy", "format": "flac"},
            "nanogpt",
            AudioFormat("flac"),
        ),
        ({"text": "Hello.", "output_format": "opus"}, "nanogpt", AudioFormat("opus")),
    ],
)
def test_every_shape_is_taken(body: dict[str, Any], shape: str, format: AudioFormat) -> None:
    request = one(body).request

    assert (request.shape, request.text, request.format) == (shape, "Hello.", format)


def test_a_sample_comes_along_in_a_form() -> None:
    found = one({"input": "Hello.", "metadata": '{"a": "b"}', "expires_in": "3600"}, CLIP)

    assert found.request.clip is CLIP
    assert (found.metadata, found.expires_in_s) == ({"a": "b"}, 3_600)


def test_what_a_job_says_of_itself_is_no_part_of_the_request() -> None:
    own = {"webhook_url": "https://example.com/x", "metadata": {"a": "b"}, "expires_in": 90}

    found = read({"model": " TTS-1", "input": "Hello.", "voice": "x", **own}, strict=["openai"])

    assert [(j.webhook_url, j.metadata, j.expires_in_s) for j in found] == [
        ("https://example.com/x", {"a": "b"}, 90)
    ]
    assert found[0].asked_model == " TTS-1"


def test_how_a_body_would_be_sent_means_nothing_to_a_job() -> None:
    body = {"model": "tts-1", "input": "Hello.", "voice": "x", "stream_format": "sse"}

    assert one(body).request.stream is None


def test_what_stands_beside_the_items_holds_for_each_that_says_nothing_else() -> None:
    shared = {"model": "tts-1", "voice": "alloy", "metadata": {"book": "1"}, "expires_in": 60}
    items = [{"input": "A."}, {"input": "B.", "voice": "echo", "expires_in": 61}, {"text": "C."}]

    found = read({**shared, "items": items})

    assert [(j.request.text, j.request.voice, j.expires_in_s) for j in found] == [
        ("A.", "alloy", 60),
        ("B.", "echo", 61),
        ("C.", "alloy", 60),
    ]
    assert {j.metadata["book"] for j in found} == {"1"}


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"input": 5}, "items[1].input"),
        ({}, "items[1].input"),
        ({"input": "B.", "speed": 50}, "items[1].speed"),
        ({"input": "B.", "response_format": "au"}, "items[1].response_format"),
        ({"input": "B.", "prompt_audio": "UklGRg=="}, "items[1].prompt_audio"),
        ({"input": "B.", "webhook_url": 5}, "items[1].webhook_url"),
        ({"input": "B.", "metadata": {"a": 5}}, "items[1].metadata"),
        ("B.", "items[1]"),
    ],
)
def test_of_a_batch_the_item_is_named_that_is_wrong(item: Any, param: str) -> None:
    with pytest.raises(CallerError) as refused:
        read({"model": "tts-1", "voice": "alloy", "items": [{"input": "A."}, item]})

    assert refused.value.param == param
    assert refused.value.message.startswith("Item 1: ")


@pytest.mark.parametrize("items", [[], {}, "x", 5, [{"input": "A."}] * 1_001])
def test_a_batch_has_from_one_to_a_thousand_items(items: Any) -> None:
    with pytest.raises(InvalidRequest, match="items must be a list of 1 to 1000 jobs"):
        read({"items": items})


@pytest.mark.parametrize(
    "own",
    [
        {"expires_in": 59},
        {"expires_in": 604_801},
        {"expires_in": "soon"},
        {"metadata": {str(n): "" for n in range(17)}},
        {"metadata": {"a": "b" * 513}},
        {"metadata": "{"},
        {"metadata": "[]"},
        {"webhook_url": "h" * 2_049},
    ],
)
def test_a_jobs_own_fields_are_bounded_and_named(own: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read({"input": "Hello.", **own})

    assert refused.value.param == next(iter(own))


# ---- NanoGPT's


def test_the_format_has_three_names_and_text_has_two() -> None:
    names = ("response_format", "output_format", "format")
    found = [one({"text": "Hi.", name: "aac"}).request.format.encoding for name in names]

    assert found == ["aac"] * 3
    assert reading().asked_by_tts({"input": "Hi."}).request.text == "Hi."
    assert reading().asked_by_tts({"text": "Hi.", "input": "Ho."}).request.text == "Hi."


def test_what_nanogpts_models_know_is_passed_on_and_the_rest_is_read_over() -> None:
    request = one(
        {
            "text": "Hi.",
            "speed": 0.1,
            "stability": 0.9,
            "similarity_boost": 0.8,
            "style": 0,
            "prompt": "calm",
            "language": "Auto",
            "reference_text": "x",
            "speaker_voice_embedding_file_url": "https://example.com/e",
            "isApiRequest": True,
        }
    ).request

    assert request.speed == 0.1
    assert request.language is None
    assert request.options == {
        "stability": 0.9,
        "similarity": 0.8,
        "style": 0.0,
        "instructions": "calm",
    }


def test_without_a_model_the_documented_one_speaks_else_the_first() -> None:
    assert reading().asked_by_tts({"text": "Hi."}).request.model == "nano"
    assert reading().asked_by_tts({"text": "Hi.", "model": "spoken"}).request.voice == "echo"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": ["x"]}, "text"),
        ({"text": "Hi.", "speed": 0.09}, "speed"),
        ({"text": "Hi.", "speed": 5.1}, "speed"),
        ({"text": "Hi.", "style": 2}, "style"),
        ({"text": "Hi.", "format": "au"}, "response_format"),
    ],
)
def test_a_wrong_field_of_nanogpts_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as refused:
        reading().asked_by_tts(body)

    assert refused.value.param == param


# ---- Idempotency-Key


def test_the_same_again_has_the_same_hash_and_anything_else_has_not() -> None:
    base = {"model": "tts-1", "input": "Hello.", "voice": "alloy"}
    first = once_of("key", [one(base)])

    assert first == once_of("key", [one(base)])
    others = [
        once_of("other", [one(base)]),
        once_of("key", [one({**base, "input": "Hello!"})]),
        once_of("key", [one({**base, "expires_in": 60})]),
        once_of("key", [one(base), one(base)]),
        once_of("key", [one({"input": "Hello."}, CLIP)]),
    ]
    assert len({first, *others}) == 6
    assert once_of(None, [one(base)]) is None
