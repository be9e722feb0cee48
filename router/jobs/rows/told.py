"""A job's row as its owner may see it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from router.accounts.price import credits_of
from router.contract.audio import AudioFormat, Encoding
from router.jobs.job import ENDED, Job, JobAudio, JobError
from router.store.dialects import now_ms
from router.store.schema import jobs

MEDIA_TYPES: Mapping[Encoding, str] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "pcm": "audio/pcm",
}
COLUMNS = (
    *(column for column in jobs.c if column.name not in ("order", "held")),
    now_ms().label("seen_ms"),
)
"""All but what is large, and the moment."""
_METADATA = msgspec.json.Decoder(dict[str, str])


def job_of(row: sa.RowMapping) -> Job:
    """Everything but its place in the queue."""
    charged = row["charged_nano"]
    return Job(
        id=row["id"],
        owner=row["owner"],
        batch=row["batch"],
        item=row["item"],
        state=row["state"],
        shape=row["shape"],
        model=row["model"],
        asked_model=row["asked_model"],
        voice=row["voice"],
        format=AudioFormat(row["encoding"], row["sample_rate"], row["channels"]),
        characters=row["characters"],
        characters_done=row["characters_done"],
        pieces=row["pieces"],
        pieces_done=row["pieces_done"],
        audio_s=row["audio_ms"] / 1000,
        estimate_s=_estimate_s(row),
        audio=_audio(row),
        error=_error(row),
        metadata=_METADATA.decode(row["metadata"]),
        provider=row["provider"],
        cost=None if charged is None else credits_of(charged),
        created_ms=row["created_ms"],
        started_ms=row["started_ms"],
        ended_ms=row["ended_ms"],
        until_ms=row["until_ms"],
    )


def find(connection: sa.Connection, id: str) -> sa.RowMapping | None:
    """The row of a job."""
    return connection.execute(sa.select(*COLUMNS).where(jobs.c.id == id)).mappings().first()


def _audio(row: sa.RowMapping) -> JobAudio | None:
    if row["token"] is None:
        return None
    encoding: Encoding = row["encoding"]
    media_type = MEDIA_TYPES[encoding]
    if encoding == "pcm":
        media_type = f"audio/pcm; rate={row['sample_rate']}; channels={row['channels']}"
    return JobAudio(
        token=row["token"],
        name=f"{row['id']}.{encoding}",
        bytes=row["audio_bytes"],
        media_type=media_type,
        seconds=row["audio_ms"] / 1000,
        until_ms=row["until_ms"],
    )


def _error(row: sa.RowMapping) -> JobError | None:
    if row["error_reason"] is None:
        return None
    return JobError(row["error_reason"], row["error_message"], row["error_status"])


def _estimate_s(row: sa.RowMapping) -> float | None:
    """By how long it took so far."""
    done, started_ms = row["characters_done"], row["started_ms"]
    if row["state"] in ENDED or not done or started_ms is None:
        return None
    took_s = max(0, row["seen_ms"] - started_ms) / 1000
    estimate_s: float = took_s / done * (row["characters"] - done)
    return estimate_s
