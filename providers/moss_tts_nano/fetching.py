"""Fetches one file over HTTP, goes on where it stopped, proves what came."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from providers.moss_tts_nano.hashes import Told, digests_of
from providers.moss_tts_nano.hub_cache import shown
from router.contract.errors import Broken, Unreachable

TRIES = 6
"""In a row without a single new byte; the pauses between them are 0.5, 1, 2, 4 and 8 s."""
_FIRST_PAUSE_S = 0.5
_WAIT_S = httpx.Timeout(30.0, connect=10.0)
_WORTH_A_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})

Fetched = Callable[[int], None]
"""Hears how many bytes came just now (fewer than none where some had to be thrown away); what it
raises ends the fetch, and what has come stays."""


def client() -> httpx.Client:
    """For any number of fetches, one after the other. `with` closes it."""
    # `identity`: of a compressed body nobody can ask for the rest.
    return httpx.Client(
        timeout=_WAIT_S, follow_redirects=True, headers={"Accept-Encoding": "identity"}
    )


def reach(url: str) -> None:
    """Ask whether anybody answers, whatever it be: huggingface_hub (2.4) would try for 23 s.

    Raises:
        Unreachable: nobody does.
    """
    try:
        with client() as http:
            http.head(url, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        remedy = "name a mirror by `endpoint` or $HF_ENDPOINT, or a whole model directory"
        said = f"{shown(url)} cannot be reached ({type(error).__name__}): {remedy}."
        raise Unreachable(said) from error


def fetch(http: httpx.Client, url: str, told: Told, part: Path, fetched: Fetched) -> None:
    """Fill `part` with the whole of a file; what it already holds is kept. Blocking.

    Raises:
        Unreachable: the far side gives up, or gives something else. `part` stays for the next time.
        Broken: what came, twice, is not what the hub told.
        OSError: it cannot be written.
    """
    for _ in range(2):
        _fill(http, url, told, part, fetched)
        if told.digest in digests_of(part, lambda _bytes: fetched(0)):
            return
        fetched(-part.stat().st_size)
        part.unlink()  # damaged on the way, or before the cut
    raise Broken(f"{part.name.partition('.')[0][:12]}… came damaged, twice: the hub is at fault.")


def _fill(http: httpx.Client, url: str, told: Told, part: Path, fetched: Fetched) -> None:
    tries = 0
    while (have := _have(part, told, fetched)) < told.size_bytes:
        try:
            _append(http, url, told, part, fetched)
            failed: Exception = Unreachable("the body ended early")
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in _WORTH_A_TRY:
                status = error.response.status_code
                raise Unreachable(f"{shown(url)} answered {status} to a fetch.") from error
            failed = error
        except (httpx.TransportError, httpx.TooManyRedirects) as error:
            failed = error
        if _have(part, told, fetched) >= told.size_bytes:
            return
        tries = 1 if part.stat().st_size > have else tries + 1
        if tries >= TRIES:
            said = f"{shown(url)} breaks off ({type(failed).__name__})"
            raise Unreachable(f"{said}: what came is kept, try again later.") from failed
        _pause(_FIRST_PAUSE_S * 2 ** (tries - 1), fetched)


def _have(part: Path, told: Told, fetched: Fetched) -> int:
    part.touch()
    have = part.stat().st_size
    if have > told.size_bytes:
        fetched(-have)
        part.unlink()
        part.touch()
        return 0
    return have


def _append(http: httpx.Client, url: str, told: Told, part: Path, fetched: Fetched) -> None:
    have = part.stat().st_size
    asked = {"Range": f"bytes={have}-"} if have else {}
    with http.stream("GET", url, headers=asked) as answer:
        answer.raise_for_status()
        if have and answer.status_code != 206:
            fetched(-have)
            have = 0
        with part.open("r+b") as file:
            file.truncate(have)
            file.seek(have)
            for piece in answer.iter_raw():
                # More than was told fills no disk.
                kept = piece[: told.size_bytes - have]
                file.write(kept)
                have += len(kept)
                fetched(len(kept))
                if len(kept) < len(piece):
                    raise Broken(f"{shown(url)} sends more than the hub told.")


def _pause(seconds: float, fetched: Fetched) -> None:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        fetched(0)
        time.sleep(min(left, 0.1))
