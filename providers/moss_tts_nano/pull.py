"""Gets the model: from the disk if it is whole there, else from the hub."""

from __future__ import annotations

from pathlib import Path

import msgspec

from providers.moss_tts_nano.hashes import Verdict, check
from providers.moss_tts_nano.hub_cache import offline
from providers.moss_tts_nano.layout import BadAssets, Layout, find
from providers.moss_tts_nano.meter import Meter, Progress, Stopped
from providers.moss_tts_nano.places import Place, Source
from providers.moss_tts_nano.releases import CODEC, TTS
from router.contract.errors import Broken, NotReady


class Pulled(msgspec.Struct, frozen=True):
    """A whole model, each file proven."""

    directory: Path
    """For `layout.find`."""
    unknown: tuple[str, ...]
    """Files that are not those of the release we know: worth a warning."""
    fingerprint: str
    """One word for the content of all files."""


def pull(
    source: Source | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
    stopped: Stopped = lambda: False,
    stamps: Path | None = None,
) -> Pulled:
    """A whole model directory, fetched where it is not there. Blocking: it belongs into a thread.

    Where everything is there, no request is made. `stamps` names a file that remembers what was
    hashed before: with it an unchanged model is not read again.

    Raises:
        NotReady: it is not there, and cannot be had: offline, no such thing, no space.
        Unreachable: the hub does not answer.
        Broken: the hub gives what it did not tell, or the disk fails.
        Interrupted: `stopped()` said so. What has come is kept, and the next pull goes on there.
    """
    source = source or Source(TTS, CODEC)
    place = source.place()
    meter = Meter(progress, stopped)
    try:
        ready = _present(place, meter, stamps)
        if ready is not None:
            return ready
        if source.offline or offline():
            raise NotReady(_not_here(place))
        from providers.moss_tts_nano.download import alone, download  # noqa: PLC0415  # half a second

        with alone(place, meter):
            download(source, place, meter)
            fetched = _present(place, meter, stamps)
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise Broken(f"the model cannot be kept in {place.model}: {what}.") from error
    if fetched is None:
        raise Broken(f"the model in {place.model} is damaged again: look at the disk.")
    return fetched


def present(source: Source) -> Layout | None:
    """The model if it is on this disk, without proving its content. Makes no request."""
    try:
        return find(source.place().model)
    except BadAssets:
        return None


def _present(place: Place, meter: Meter, stamps: Path | None) -> Pulled | None:
    """What is there, proven; damaged files are thrown away."""
    try:
        layout = find(place.model)
    except BadAssets:
        return None
    meter.begin("checking", sum(path.stat().st_size for path in layout.files))
    verdict: Verdict = check(layout.files, stamps, meter.done)
    meter.end()
    for path in verdict.damaged:
        place.remove(path)
    if verdict.damaged:
        return None
    return Pulled(place.model, verdict.unknown, verdict.fingerprint)


def _not_here(place: Place) -> str:
    try:
        find(place.model)
    except BadAssets as error:
        remedy = "run `tts-router models pull` where there is a network"
        return f"{error.message} It may not be fetched (offline): {remedy}."
    return f"the model in {place.model} was damaged, and may not be fetched again (offline)."
