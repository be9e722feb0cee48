"""Pieces that are spoken: each is written down once its file is there, and then never again."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from router.accounts.entry import Spent
from router.contract.speech import Held
from router.jobs.rows.claiming import held_by
from router.store.dialects import insert_missing
from router.store.schema import NAME, jobs, pieces


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece in the folder."""

    number: int
    provider: str
    """Who spoke it; `router`: there was nothing to say."""
    model: str
    """The upstream's."""
    characters: int
    audio_ms: int
    tokens: int | None
    bytes: int


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """A piece has come to its end."""

    id: str
    holder: str
    piece: Piece
    held: Held | None


def speak(connection: sa.Connection, spoken: Sequence[Spoken]) -> list[bool]:
    """Write pieces down; false: the job is somebody else's meanwhile."""
    return [_speak(connection, one) for one in spoken]


def pieces_of(connection: sa.Connection, id: str) -> list[Piece]:
    """What is spoken of a job, in its order."""
    names = Piece.__struct_fields__
    query = sa.select(*(pieces.c[n] for n in names)).where(pieces.c.job == id)
    rows = connection.execute(query.order_by(pieces.c.number)).mappings()
    return [Piece(**row) for row in rows]


def lost(connection: sa.Connection, asked: Sequence[tuple[str, str, int]]) -> list[None]:
    """A piece whose file is gone was not spoken after all: (job, holder, number)."""
    for id, holder, number in asked:
        if connection.scalar(sa.select(jobs.c.id).where(*held_by(id, holder)).with_for_update()):
            gone = sa.delete(pieces).where(pieces.c.job == id, pieces.c.number == number)
            connection.execute(gone)
            _sum_up(connection, id)
    return [None] * len(asked)


def spent(spoken: Sequence[Piece]) -> list[Spent]:
    """What each provider has spoken of a job; tokens only where it told them of every piece."""
    sums: dict[tuple[str, str], list[Piece]] = {}
    for piece in spoken:
        if piece.provider != "router":
            sums.setdefault((piece.provider, piece.model), []).append(piece)
    return [
        Spent(
            provider=provider,
            model=model,
            characters=sum(one.characters for one in some),
            audio_ms=sum(one.audio_ms for one in some),
            tokens=_sum([one.tokens for one in some]),
        )
        for (provider, model), some in sums.items()
    ]


def _sum(tokens: Sequence[int | None]) -> int | None:
    told = [one for one in tokens if one is not None]
    return sum(told) if len(told) == len(tokens) else None


def _speak(connection: sa.Connection, one: Spoken) -> bool:
    is_ours = sa.select(jobs.c.id).where(*held_by(one.id, one.holder)).with_for_update()
    if connection.scalar(is_ours) is None:
        return False
    piece = one.piece
    row = {"job": one.id, **msgspec.structs.asdict(piece)}
    row |= {"provider": piece.provider[:NAME], "model": piece.model[:NAME]}
    connection.execute(insert_missing(pieces, connection.dialect.name), row)
    held = None if one.held is None else msgspec.msgpack.encode(one.held)
    _sum_up(
        connection,
        one.id,
        attempts=0,
        is_orphan=False,
        provider=piece.provider[:NAME],
        **({} if held is None else {"held": held}),
    )
    return True


def _sum_up(connection: sa.Connection, id: str, **more: object) -> None:
    """Write to the job what its pieces are together."""
    sums = connection.execute(_TOTAL.where(pieces.c.job == id)).one()
    count, characters, audio_ms, size = map(int, sums)  # PostgreSQL gives Decimals
    values = {
        "pieces_done": count,
        "characters_done": characters,
        "audio_ms": audio_ms,
        "disk_bytes": sa.case((jobs.c.disk_bytes < size, size), else_=jobs.c.disk_bytes),
    }
    connection.execute(sa.update(jobs).where(jobs.c.id == id).values(values | more))


_TOTAL = sa.select(
    sa.func.count(),
    *(
        sa.func.coalesce(sa.func.sum(pieces.c[name]), 0)
        for name in ("characters", "audio_ms", "bytes")
    ),
)
