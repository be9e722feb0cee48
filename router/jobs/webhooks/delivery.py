"""One try to deliver a message: a POST, and at most a few redirects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import aiohttp
import msgspec
from yarl import URL

from router.contract.errors import InvalidRequest
from router.jobs.webhooks.dialing import ForbiddenAddress
from router.jobs.webhooks.targets import checked

HOPS = 3
"""Redirects that are followed."""
MOST_WAIT_S = 3_600.0
"""The most of a Retry-After that is believed."""
_TAIL_BYTES, _TAIL_S = 16_384, 1.0
"""What is read of an answer, and how long, so that its sender can finish: nobody looks at it."""
_GONE = 410
_MOVED = {301, 302, 307, 308}
"""Followed by the same POST. 303 says to GET something, which would deliver nothing."""
_HEADERS = {
    "content-type": "application/json",
    "accept-encoding": "identity",
    "user-agent": "tts-router",
}


class Outcome(msgspec.Struct, frozen=True):
    """How a try ended."""

    ok: bool
    word: str
    """Why not, from a closed set: `http_500`, `timed_out`, `unreachable`, `forbidden_address`, …"""
    is_final: bool = False
    """The receiver wants no more of it."""
    wait_s: float = 0.0
    """How long it asks to be left alone."""


class Post(msgspec.Struct, frozen=True):
    """What is sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes


async def delivered(
    session: aiohttp.ClientSession, post: Post, *, timeout_s: float, allow_private: bool
) -> Outcome:
    """Send it once. `timeout_s` is for all of it: names, connections, redirects, the answer's head.

    Whatever goes wrong is told in a word; theirs hold addresses.
    """
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _answer(session, post, allow_private)
    except TimeoutError:
        return Outcome(ok=False, word="timed_out")
    except InvalidRequest:
        return Outcome(ok=False, word="bad_redirect")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Outcome(ok=False, word=_word(error))
    if answer is None:
        return Outcome(ok=False, word="too_many_redirects")
    await _let_finish(answer)
    if 200 <= answer.status < 300:
        return Outcome(ok=True, word="")
    return Outcome(
        ok=False,
        word=f"http_{answer.status}",
        is_final=answer.status == _GONE,
        wait_s=_retry_after(answer.headers.get("retry-after", "")),
    )


async def _answer(
    session: aiohttp.ClientSession, post: Post, allow_private: bool
) -> aiohttp.ClientResponse | None:
    """The head of the last answer; `None`: there was always another redirect."""
    url = checked(post.url, allow_private=allow_private)
    for _ in range(HOPS + 1):
        answer = await session.post(
            url, data=post.body, headers={**_HEADERS, **post.headers}, allow_redirects=False
        )
        location = answer.headers.get("location")
        if answer.status not in _MOVED or location is None:
            return answer
        answer.close()
        url = _next(url, location, allow_private)
    return None


def _next(url: URL, location: str, allow_private: bool) -> URL:
    """Raises InvalidRequest, as for the first address, or where it would be told in the clear."""
    target = checked(str(url.join(URL(location))), allow_private=allow_private)
    if url.scheme == "https" and target.scheme != "https":
        raise InvalidRequest("a redirect leads from https to http")
    return target


async def _let_finish(answer: aiohttp.ClientResponse) -> None:
    """Whatever comes of the body: the status has decided."""
    try:
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(_TAIL_S):
                await answer.content.read(_TAIL_BYTES)
    finally:
        answer.close()


def _word(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ForbiddenAddress):
        return "forbidden_address"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "unknown_name"
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "unreachable"
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return "bad_address"
    return "broken_off"


def _retry_after(words: str) -> float:
    """Seconds; a date, or anything else, is not believed."""
    return min(float(words), MOST_WAIT_S) if words.isascii() and words.isdigit() else 0.0
