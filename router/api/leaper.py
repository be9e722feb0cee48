"""LEAPERone's shape: `POST /v1/audio/speech`, JSON, or multipart with a voice sample to clone.

Source: leaper.one/docs/api-reference/audio-speech, as of 2026-11-21.
"""

from __future__ import annotations

from router.api.fields import (
    Asked,
    Common,
    Name,
    Speed,
    Text,
    VoiceId,
    format_name,
    request_of,
    sample_rate,
    voice_name,
    wanted,
)
from router.contract.audio import Clip
from router.settings.structs import Model

MODEL = "moss-tts-nano"
VOICE = "nova"
PCM = (48_000, 2)
"""`wav` and `pcm` are 48 kHz 16-bit stereo."""
FORMATS = ("wav", "pcm", "mp3", "opus", "aac", "flac", "ogg", "pcm16")
CONTENT_TYPES = {
    "wav": "audio/wav",
    "pcm": "application/octet-stream",
    "pcm16": "application/octet-stream",
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
}


class LeaperSpeech(Common, frozen=True, kw_only=True):
    """The fields of the page, and those that other clients send along."""

    input: Text
    model: Name = MODEL
    voice: Name | VoiceId | None = None
    response_format: Name | None = None
    speed: Speed = 1.0
    instructions: Text | None = None

    def normalised(self, model: Model, clip: Clip | None) -> Asked:
        """The request in the router's words. Raises CallerError."""
        name = format_name(self.response_format, model.default_format or "wav", FORMATS)
        request = request_of(
            "leaper",
            self,
            model=self.model.strip() or MODEL,
            text=self.input,
            voice=voice_name(self.voice, model.default_voice or VOICE),
            format=wanted(name, sample_rate(self.sample_rate), PCM),
            speed=self.speed,
            clip=clip,
            instructions=self.instructions,
        )
        return Asked("leaper", request, CONTENT_TYPES[name])
