"""What a provider promises of the sound that it gives."""

from __future__ import annotations

import asyncio

import msgspec

from router.contract.errors import Busy, Refused
from router.testing.hearing import hear, mistake_in
from router.testing.promises.steps import LISTEN_S, entered, listen, speaks
from router.testing.subject import Subject, first_format, opened, patience
from router.testing.watch import lateness

LOOP_BLOCK_S = 0.05
"""Longest time for which the event loop may not turn."""
AT_ONCE = 4
LONG_CHARS = 2000


async def audio_is_in_the_asked_format(subject: Subject) -> None:
    """Every format on offer is delivered, and its bytes agree."""
    async with opened(subject) as provider:
        for format in provider.offers()[subject.order.model].formats:
            heard = await hear(provider, subject.order, format, subject.patience_s)
            mistake = mistake_in(heard, format)
            assert not mistake, mistake


async def no_speech_and_no_chunk_is_empty(subject: Subject) -> None:
    """Chunks are bytes and never empty, and a header alone is not a speech."""
    async with opened(subject) as provider:
        for format in provider.offers()[subject.order.model].formats:
            heard = await hear(provider, subject.order, format, subject.patience_s)
            assert all(type(chunk) is bytes for chunk in heard.chunks), "a chunk is not bytes"
            assert all(heard.chunks), "a chunk is empty"
            assert heard.sound_bytes > 0, f"{format}: the speech ended cleanly without sound"


async def text_with_nothing_speakable_is_refused(subject: Subject) -> None:
    """It is refused before anything is accepted, rather than answered with emptiness."""
    async with opened(subject) as provider:
        for text in subject.unspeakable:
            order = msgspec.structs.replace(subject.order, text=text)
            accepted = False
            try:
                async with (
                    patience(subject.patience_s, "refusing a text"),
                    entered(provider, order),
                ):
                    accepted = True
            except Refused:
                assert not accepted, "it was refused only after it had been accepted"
                continue
            raise AssertionError(f"{text!r} was accepted")


async def several_speak_at_once(subject: Subject) -> None:
    """Speeches side by side are whole, or the provider says that it is busy."""
    async with opened(subject) as provider:
        format = first_format(provider, subject.order)
        speeches = await asyncio.gather(
            *(hear(provider, subject.order, format, subject.patience_s) for _ in range(AT_ONCE)),
            return_exceptions=True,
        )
        spoken = 0
        for speech in speeches:
            if isinstance(speech, BaseException):
                assert isinstance(speech, Busy), f"side by side it fails: {speech!r}"
                continue
            assert speech.sound_bytes > 0, "side by side a speech is empty"
            spoken += 1
        assert spoken, f"of {AT_ONCE} at once nobody is heard"
        await speaks(provider, subject)


async def the_event_loop_is_never_blocked(subject: Subject) -> None:
    """Other requests go on while it speaks: the best of three runs is judged."""
    async with opened(subject) as provider:
        model = provider.offers()[subject.order.model]
        room = min(LONG_CHARS, model.max_chars or LONG_CHARS)
        text = f"{subject.order.text} " * (room // (len(subject.order.text) + 1))
        long = msgspec.structs.replace(subject.order, text=text or subject.order.text)
        best = float("inf")
        for _ in range(3):
            async with lateness() as seen:
                await provider.health()
                await provider.voices()
                await speaks(provider, subject)
                await listen(provider, long, LISTEN_S)
            best = min(best, seen.worst_s)
            if best <= LOOP_BLOCK_S:
                return
        raise AssertionError(f"the event loop stood still for {best * 1000:.0f} ms")
