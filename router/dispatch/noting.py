"""What the record of a request learns on its way."""

from __future__ import annotations

import asyncio
import hashlib

from router.contract.errors import SpeechError
from router.contract.record import Outcome, SpeechRecord
from router.contract.speech import SpeechRequest
from router.dispatch.speech import Speech
from router.routing.plan import Plan


def note_plan(record: SpeechRecord, request: SpeechRequest, made: Plan, key: bytes) -> None:
    """`key` is that of the hash that stands for the text."""
    record.model, record.voice, record.language = made.model, made.voice, made.language
    record.characters = len(request.text)
    record.format = request.format.encoding
    record.clone = request.clip is not None
    text = request.text.encode("utf-8", "surrogatepass")
    record.text_key = hashlib.blake2b(text, key=key, digest_size=8).hexdigest()


def since(record: SpeechRecord) -> float:
    return asyncio.get_running_loop().time() - record.opened


def note_speech(record: SpeechRecord, speech: Speech) -> None:
    record.first_audio_s = since(record)
    record.provider, record.upstream_model = speech.provider, speech.upstream_model
    record.fallback, record.upstream_id = speech.fallback, speech.upstream_id
    record.passed_over, record.voice_change = speech.passed_over, speech.voice_change
    record.characters = speech.characters
    record.cache, record.repeat = speech.cache, speech.repeat


def outcome_of(
    error: BaseException, speech: Speech | None, record: SpeechRecord
) -> tuple[Outcome, str]:
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "abandoned", ""
    reason = error.reason if isinstance(error, SpeechError) else type(error).__name__
    if speech is not None:
        return "broken", reason
    return ("failed" if record.attempts else "refused"), reason
