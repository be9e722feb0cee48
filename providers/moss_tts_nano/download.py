"""Fetches what a place lacks of a model; imports what only that needs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import filelock

from providers.moss_tts_nano.fetching import client, fetch, reach
from providers.moss_tts_nano.hashes import digests_of
from providers.moss_tts_nano.hub import listed
from providers.moss_tts_nano.hub_cache import HubFile, endpoint_of
from providers.moss_tts_nano.layout import find
from providers.moss_tts_nano.meter import Meter
from providers.moss_tts_nano.places import Place, Source
from router.contract.errors import NotReady

SPARE_BYTES = 100 * 1024 * 1024
"""Left free on the disk."""
_LOCK_WAIT_S = 3600.0
_LOCK_LOOK_S = 0.5


def download(source: Source, place: Place, meter: Meter) -> None:
    meter.begin("listing", 0)
    reach(endpoint_of(source.endpoint))
    files = [
        file
        for repository in (source.tts, source.codec)
        for file in listed(repository, source.endpoint)
    ]
    missing = [file for file in files if not _is_here(place, file, meter)]
    _check_space(place, missing)
    meter.begin("fetching", sum(file.told.size_bytes for file in missing))
    with client() as http:
        for file in missing:
            part, content = place.part(file), place.content(file)
            meter.done(part.stat().st_size if part.exists() else 0)
            fetch(http, file.url, file.told, part, meter.done)
            part.replace(content)
    meter.end()
    place.lay(files)
    find(place.model)  # what a hub has need not be a model


def _is_here(place: Place, file: HubFile, meter: Meter) -> bool:
    content = place.content(file)
    content.parent.mkdir(parents=True, exist_ok=True)
    if not content.is_file():
        return False
    # Its size is not enough: a damaged file has the right one.
    if file.told.digest in digests_of(content, lambda _bytes: meter.done(0)):
        return True
    if not place.owns(content):
        raise NotReady(f"{content} is not the hub's and will not be replaced: name another folder.")
    content.unlink()
    return False


def _check_space(place: Place, missing: Sequence[HubFile]) -> None:
    if not missing:
        return
    parts = [place.part(file) for file in missing]
    have = sum(part.stat().st_size for part in parts if part.exists())
    need = sum(file.told.size_bytes for file in missing) - have + SPARE_BYTES
    folder = parts[0].parent
    free = shutil.disk_usage(folder).free
    if free < need:
        raise NotReady(
            f"the model needs {need / 1e6:,.0f} MB in {folder}, and {free / 1e6:,.0f} MB are free."
        )


@contextmanager
def alone(place: Place, meter: Meter) -> Iterator[None]:
    """Held while fetching, so that two processes do not write one file."""
    place.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(place.lock)
    ends = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            with lock.acquire(timeout=_LOCK_LOOK_S):
                yield
                return
        except filelock.Timeout:
            meter.done(0)
            if time.monotonic() > ends:
                raise NotReady("another process has been fetching the model for an hour.") from None
