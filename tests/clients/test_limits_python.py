"""The OpenAI SDK for Python at every limit: how often it asks, and how long it sleeps."""

from __future__ import annotations

import time
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from tests.clients.limited import CASES, TEXT, config, key_of, published, text_of
from tests.support.process import ServerProcess, serving
from tests.support.scripts import SCRIPTED


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(config(), tmp_path_factory.mktemp("limited"), plugins=[SCRIPTED]) as server:
        yield server


@pytest.mark.parametrize("name", CASES)
def test_the_sdk_sends_and_sleeps_as_it_is_told(name: str, limited: ServerProcess) -> None:
    case = CASES[name]
    with OpenAI(base_url=f"{limited.url}/v1", api_key=key_of(name), max_retries=2) as client:
        speech = client.audio.speech.create
        first = speech(model=case.model, input=TEXT, voice="alloy", response_format="pcm")
        assert len(first.content) > 0
        limited.log.record(first.response.headers["x-request-id"])
        before = len(limited.log.records)

        began = time.monotonic()
        try:
            speech(model=case.model, input=text_of(name), voice="alloy", response_format="pcm")
            status, code = 200, None
        except openai.APIStatusError as error:
            status, code = error.status_code, error.code
        took_s = time.monotonic() - began

    assert (status, code) == (case.status, case.code)
    assert published(limited, before + case.requests) - before == case.requests
    assert case.slept_s[0] <= took_s <= case.slept_s[1]


def test_a_key_that_is_not_known_is_tried_once(limited: ServerProcess) -> None:
    before = len(limited.log.records)
    with (
        OpenAI(base_url=f"{limited.url}/v1", api_key="sk-of-nobody") as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.audio.speech.create(model="it", input=TEXT, voice="alloy")
    assert refused.value.code == "invalid_api_key"
    assert published(limited, before + 1) == before + 1
