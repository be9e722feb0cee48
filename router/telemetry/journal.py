"""One log line for each request, with everything but the text."""

from __future__ import annotations

import structlog

from router.contract.record import (
    Event,
    ProviderFailed,
    SpeechDoubted,
    SpeechRecord,
    SpeechResumed,
)

_log = structlog.get_logger("router.journal")


class Journal:
    """An observer that writes: INFO for what went well or was refused, WARNING for what broke."""

    def recorded(self, record: SpeechRecord) -> None:
        went_wrong = record.outcome in ("failed", "broken")
        tell = _log.warning if went_wrong else _log.info
        tell(
            "speech",
            request_id=record.request_id,
            outcome=record.outcome,
            reason=record.reason or None,
            status=record.status,
            shape=record.shape,
            model=record.model or None,
            provider=record.provider or None,
            upstream_model=record.upstream_model or None,
            upstream_id=record.upstream_id,
            voice=record.voice or None,
            voice_change=record.voice_change or None,
            clone=record.clone or None,
            language=record.language or None,
            format=record.format or None,
            fallback=record.fallback,
            characters=record.characters,
            text_key=record.text_key or None,
            trace_id=record.trace.trace_id if record.trace is not None else None,
            place_s=_rounded(record.place_s),
            first_audio_s=_rounded(record.first_audio_s),
            total_s=_rounded(record.total_s),
            audio_s=_rounded(record.audio_s),
            audio_bytes=record.audio_bytes,
            attempts=len(record.attempts),
            caller=record.caller or None,
            credits=record.credits or None,
            pieces=record.pieces or None,
            resumed=record.resumed or None,
            shared=record.shared or None,
            hedged=record.hedged or None,
            cache=record.cache or None,
            repeat=record.repeat or None,
            doubts=record.doubts or None,
        )

    def noticed(self, event: Event) -> None:
        if isinstance(event, ProviderFailed):
            _log.info(
                "provider failed", provider=event.provider, model=event.model, reason=event.reason
            )
        elif isinstance(event, SpeechResumed):
            _log.warning(
                "speech goes on",
                provider=event.provider,
                model=event.model,
                instead_of=event.instead_of,
            )
        elif isinstance(event, SpeechDoubted):
            _log.warning(
                "speech doubted",
                provider=event.provider,
                model=event.model,
                finding=event.finding,
                certain=event.certain,
            )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
