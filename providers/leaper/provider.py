"""LEAPERone's dialect of `POST /audio/speech`: JSON, or a form where a voice is cloned.

Source: its page «Text to Speech» (2026) for fields, formats, voices and limits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from providers.common import upstream
from providers.common.speech import speech
from providers.common.upstream import Answer, Upstream
from providers.leaper import Settings
from providers.leaper.voices import VOICES
from router.contract.audio import AudioFormat, AudioStream, Clip, Container
from router.contract.errors import Refused
from router.contract.provider import Host, Provider
from router.contract.speech import Capabilities, SpeechOrder, Voice

MODEL = "moss-tts-nano"

_LANGUAGES = frozenset(
    "zh en de es fr ja it hu ko ru fa ar pl pt cs da sv el tr".split()  # noqa: SIM905 - a table
)
"""The table of MOSS-TTS-Nano's README (2026); its text counts one more than it names."""

_CLIPS: Mapping[Container, tuple[str, str]] = {
    "mp3": ("prompt.mp3", "audio/mpeg"),
    "wav": ("prompt.wav", "audio/wav"),
    "flac": ("prompt.flac", "audio/flac"),
    "m4a": ("prompt.m4a", "audio/mp4"),
    "ogg": ("prompt.ogg", "audio/ogg"),
}
"""File name and media type of a clip in each container that it takes."""


@asynccontextmanager
async def opened(settings: Settings, host: Host) -> AsyncIterator[Provider]:
    async with upstream.opened(settings, host.name) as api:
        yield Leaper(settings, api)


class Leaper:
    """A server that speaks like LEAPERone's."""

    def __init__(self, settings: Settings, api: Upstream) -> None:
        self._settings = settings
        self._api = api

    def offers(self) -> Mapping[str, Capabilities]:
        formats = (AudioFormat("wav", 48_000, 2), AudioFormat("pcm", 48_000, 2))
        return {
            MODEL: Capabilities(
                formats=formats,
                max_chars=4096,
                cloning=True,
                languages=_LANGUAGES,
                cost=self._settings.cost,
            )
        }

    async def voices(self) -> Sequence[Voice]:
        return VOICES

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        async with (
            self._asked(order, format) as answer,
            speech(self._api.name, answer, format) as stream,
        ):
            yield stream

    async def health(self) -> None:
        async with self._api.get("models"):
            pass

    def _asked(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AbstractAsyncContextManager[Answer]:
        fields = {"model": order.model, "input": order.text, "response_format": format.encoding}
        if order.voice.id is not None:
            fields["voice"] = order.voice.id
        return self._api.post(
            "audio/speech",
            json=fields if order.clip is None else None,
            fields=None if order.clip is None else fields,
            files=None if order.clip is None else {"prompt_audio": self._file(order.clip)},
            trace=order.trace,
            private=(order.text,),
        )

    def _file(self, clip: Clip) -> tuple[str, bytes, str]:
        if clip.container not in _CLIPS:
            raise Refused(f"{self._api.name} takes clips in {', '.join(_CLIPS)} only")
        file_name, media_type = _CLIPS[clip.container]
        return file_name, clip.data, media_type
