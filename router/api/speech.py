"""The paths on which speech is asked for, in every spelling that clients use."""

from __future__ import annotations

from litestar import Controller, post
from litestar.types import ASGIApp

from router.api.body import BODY_BYTES, ApiRequest
from router.api.door import door_of

SHARED = ("/v1/audio/speech", "/audio/speech", "/v1/v1/audio/speech")
NEWER = ("/api/v1/audio/speech",)
NANOGPT = ("/v1/speech", "/speech", "/v1/v1/speech", "/api/v1/speech")


class SpeechController(Controller):
    """Text in, speech out."""

    tags = ("Speech",)
    request_max_body_size = BODY_BYTES

    @post(list(SHARED), status_code=200, summary="Speak (OpenAI's and LEAPERone's shape)")
    async def shared(self, request: ApiRequest) -> ASGIApp:
        return await door_of(request).speak(request, "shared")

    @post(list(NEWER), status_code=200, summary="Speak (NanoGPT's newer spelling)")
    async def newer(self, request: ApiRequest) -> ASGIApp:
        return await door_of(request).speak(request, "nanogpt-newer")

    @post(list(NANOGPT), status_code=200, summary="Speak (NanoGPT's shape)")
    async def nanogpt(self, request: ApiRequest) -> ASGIApp:
        return await door_of(request).speak(request, "nanogpt")
