"""A speech, out of what was made for it, or out of nothing where there is nothing to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from router.audio.pipeline import silence
from router.contract.record import VoiceChange
from router.contract.speech import SpeechRequest
from router.dispatch.made import Made
from router.dispatch.speech import Speech
from router.dispatch.verdicts import trail
from router.routing.plan import Plan

SILENCE_S = 0.3
"""The answer to a text with nothing to say in it: some clients try a server with «.»."""
_ALWAYS = frozenset({"off", "forbidden"})
"""Why somebody is passed over whatever is asked for."""


def spoken(
    request: SpeechRequest, made: Plan, begun: Made, chunks: AsyncIterator[bytes], *, shared: bool
) -> Speech:
    candidate, sound = begun.candidate, begun.sound
    return Speech(
        chunks=chunks,
        format=sound.format,
        length=sound.length,
        model=made.model,
        provider=candidate.provider,
        upstream_model=candidate.model,
        voice=sound.voice or candidate.voice.id or made.voice,
        fallback=trail(begun.passed_over),
        passed_over=begun.passed_over,
        voice_change=_voice_change(request, begun),
        ignored=candidate.ignored,
        warnings=begun.warnings,
        characters=len(request.text),
        sound=sound,
        shared=shared,
        held=candidate.held,
    )


def _voice_change(request: SpeechRequest, begun: Made) -> VoiceChange:
    """Why it is another voice than was wanted; that somebody is switched off or not the caller's
    own is no change: with this config they never hear another."""
    if request.clip is not None:
        return "preset" if "prompt_audio" in begun.candidate.ignored else ""
    if not _ALWAYS.issuperset(begun.passed_over.values()):
        return "fallback"
    return "chosen" if begun.candidate.voice.id is None else ""


async def silent(request: SpeechRequest, made: Plan) -> Speech:
    """Nothing to say: no provider is asked, nothing is charged."""
    format, body = await asyncio.to_thread(silence, request.format, SILENCE_S)

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    return Speech(
        chunks=chunks(),
        format=format,
        length=len(body),
        model=made.model,
        provider="router",
        upstream_model="silence",
        voice=made.voice,
        fallback="none",
        characters=0,
        seconds=SILENCE_S,
    )
