"""From an upstream's success to speech: what came must be what was asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from providers.common.upstream import Answer
from router.contract.audio import AudioFormat, AudioStream, Container, Encoding, container_of
from router.contract.errors import NotSpeech

_CONTAINERS: dict[Encoding, Container] = {
    "wav": "wav",
    "mp3": "mp3",
    "opus": "ogg",
    "ogg": "ogg",
    "aac": "aac",
    "flac": "flac",
}

_HEAD_BYTES = 36
"""Enough for any magic bytes, and for `OpusHead` after the header of the first Ogg page (RFC 7845,
5.1; RFC 3533, 6)."""

_WAV_HEADER_BYTES = 44
"""A WAV of this length or less has no sample in it."""

_LOOKALIKE = ("mp3", "aac")
"""What quiet raw samples can look like by chance: there the declared type must agree."""

_LONGEST_ID = 128


@asynccontextmanager
async def speech(
    name: str,
    answer: Answer,
    format: AudioFormat,
    *,
    chunks: AsyncIterator[bytes] | None = None,
    framed: bool | None = None,
    upstream_id: str | None = None,
) -> AsyncIterator[AudioStream]:
    """The stream of an accepted request. `chunks`, `framed` and `upstream_id` stand in for the
    answer's own where a dialect wraps its audio.

    Raises:
        NotSpeech: on entering for an answer that is no audio by its headers; out of the chunks for
            one by its first bytes, or for one that ends without any.
    """
    if chunks is None:
        _check_headers(name, answer)
        chunks = answer
    async with aclosing(_checked(name, chunks, format, answer.media_type)) as checked:
        yield AudioStream(
            format,
            checked,
            framed=answer.framed if framed is None else framed,
            upstream_id=_id(upstream_id or answer.headers.get("x-request-id", "")),
        )


def _check_headers(name: str, answer: Answer) -> None:
    kind, _, detail = answer.media_type.partition("/")
    if kind in ("text", "image", "font", "multipart") or detail.endswith(("json", "xml")):
        raise NotSpeech(f"{name} answered with {kind}/{detail[:40]} instead of audio")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise NotSpeech(f"{name} compressed its answer, which it was asked not to")
    if answer.status in (204, 205) or answer.headers.get("content-length") == "0":
        raise NotSpeech(f"{name} answered without a body")


async def _checked(
    name: str, chunks: AsyncIterator[bytes], format: AudioFormat, media_type: str
) -> AsyncGenerator[bytes, None]:
    """Hold the first bytes back until they are known to be the format's and more than its header;
    then let all through."""
    needed = {"pcm": 12, "wav": _WAV_HEADER_BYTES + 1}.get(format.encoding, _HEAD_BYTES)
    head = b""
    async for chunk in chunks:
        if len(head) >= needed:
            yield chunk
            continue
        head += chunk
        if len(head) >= needed:
            _check_head(name, head, format.encoding, media_type)
            yield head
    if len(head) >= needed:
        return
    if not head or format.encoding == "wav":
        raise NotSpeech(f"{name} answered without sound")
    _check_head(name, head, format.encoding, media_type)
    yield head


def _check_head(name: str, head: bytes, encoding: Encoding, media_type: str) -> None:
    found = container_of(head)
    if encoding == "pcm":
        declared = media_type.startswith("audio/") and "pcm" not in media_type
        wrong = found is not None and (found not in _LOOKALIKE or declared)
    else:
        wrong = found != _CONTAINERS[encoding]
    if encoding == "opus" and head[28:36] != b"OpusHead":
        wrong = True
    if wrong:
        raise NotSpeech(f"{name} was asked for {encoding}, sent {found or 'something unknown'}")


def _id(said: str) -> str | None:
    return said[:_LONGEST_ID] if said and said.isascii() and said.isprintable() else None
