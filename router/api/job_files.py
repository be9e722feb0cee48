"""Sends the finished audio of a job: whole or a part, from the disk, in bounded memory.

Its address is all that is needed: no key, from pages of any origin. Source: RFC 9110, sections 8.8
(ETag), 13 (conditional requests), 14 (ranges).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from litestar import Controller, get
from litestar.params import FromPath
from litestar.types import ASGIApp

from router.api import job_ranges
from router.api.body import ApiRequest
from router.api.door import door_of, request_id
from router.api.errors import BadRange, answer
from router.api.guard import HEAD
from router.api.job_desk import DIALECT, no_such_job, office_of
from router.api.job_links import FILES
from router.api.job_ranges import Part
from router.api.response import JourneyResponse, bare
from router.jobs.job import JobAudio

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_CHUNK = 262_144
"""Bytes that are read at once."""


class JobFilesController(Controller):
    """Audio of jobs, for whoever has its address."""

    tags = ("Jobs",)

    @get(FILES + "{token:str}/{name:str}", summary="Fetch the audio of a job by its address")
    async def fetch(
        self, request: ApiRequest, token: FromPath[str], name: FromPath[str]
    ) -> ASGIApp:
        office = office_of(request)
        if not _TOKEN.fullmatch(token):
            raise no_such_job()
        path, audio = await office.audio(token)
        if name != audio.name:
            raise no_such_job()
        return sending(request, path, audio)


def sending(request: ApiRequest, path: Path, audio: JobAudio) -> ASGIApp:
    """The answer to a request for this file."""
    own_id, tag = request_id(request), _tag(audio)
    headers = _headers(audio, tag, own_id)
    if _is_known(tag, request.headers.get("if-none-match", "")):
        return bare(304, headers)
    asked = request.headers.get("range")
    if request.headers.get("if-range", tag).strip() != tag:
        asked = None  # what the caller has a part of is another file
    part = job_ranges.wanted(asked, audio.bytes)
    refuse = partial(answer, shape=DIALECT, request_id=own_id)
    if part is None:
        size = (b"content-range", b"bytes */%d" % audio.bytes)
        error = BadRange(f"The file has {audio.bytes} bytes; this range begins behind them.")
        return refuse(error, extra=[size])
    if part.is_range:
        headers.append((b"content-range", part.header(audio.bytes)))
    headers.append((b"content-length", str(part.length).encode()))
    is_head = request.scope["state"].get(HEAD, False)
    return JourneyResponse(
        _opened(path),
        lambda _: headers,
        partial(_read, part=Part(part.first, 0) if is_head else part),
        refuse,
        door_of(request).settings.timeouts.slow_reader_s,
        status=lambda _: 206 if part.is_range else 200,
    )


@asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[BinaryIO]:
    """Raises NoSuchJob when it is gone."""
    opening = asyncio.create_task(asyncio.to_thread(path.open, "rb"))
    try:
        file = await asyncio.shield(opening)
    except FileNotFoundError:
        raise no_such_job() from None
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise
    try:
        yield file
    finally:
        await asyncio.to_thread(file.close)  # a read that was cancelled may still be under way


def _close(opening: asyncio.Task[BinaryIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _read(file: BinaryIO, part: Part) -> AsyncGenerator[bytes, None]:
    left = part.length
    if left:
        await asyncio.to_thread(file.seek, part.first)
    while left:
        chunk = await asyncio.to_thread(file.read, min(_CHUNK, left))
        if not chunk:
            raise EOFError("A finished file is shorter than it was.")
        left -= len(chunk)
        yield chunk


def _headers(audio: JobAudio, tag: str, own_id: str) -> list[tuple[bytes, bytes]]:
    left_s = max(0, audio.until_ms // 1000 - int(time.time()))
    return [
        (b"content-type", audio.media_type.encode()),
        (b"content-disposition", f'inline; filename="{audio.name}"'.encode()),
        (b"accept-ranges", b"bytes"),
        (b"etag", tag.encode()),
        (b"cache-control", b"private, max-age=%d" % left_s),
        (b"access-control-allow-origin", b"*"),
        (b"cross-origin-resource-policy", b"cross-origin"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", own_id.encode()),
    ]


def _tag(audio: JobAudio) -> str:
    """Nothing of the token can be read from it."""
    return f'"{hashlib.sha256(audio.token.encode()).hexdigest()[:32]}"'


def _is_known(tag: str, known: str) -> bool:
    """Whether an `If-None-Match` names it; a weak tag is as good here."""
    named = [one.strip().removeprefix("W/") for one in known.split(",")]
    return tag in named or "*" in named
