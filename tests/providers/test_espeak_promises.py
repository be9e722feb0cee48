"""The promises of every provider, kept by espeak-ng."""

from __future__ import annotations

import pytest

from providers.espeak import KIND
from router.testing.promises import PROMISES, Failure, Promise, Subject
from tests.providers.espeak_at_work import SENTENCE, order

SUBJECT = Subject(
    plugin="providers.espeak",
    kind=KIND,
    order=order(SENTENCE * 3),
    unspeakable=("", " ", "…", "?!", "\0", "👍"),
    failures=(
        Failure(
            name="a language it cannot read",
            reason="refused",
            order=order(SENTENCE, "th"),
            when="entering",
        ),
        Failure(
            name="a voice it has not",
            reason="refused",
            order=order(SENTENCE, voice="nobody"),
            when="entering",
        ),
    ),
)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_espeak_keeps_the_promise(promise: Promise) -> None:
    await promise(SUBJECT)
