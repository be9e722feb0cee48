"""What of a new config can hold while the server runs, and what needs a restart."""

from __future__ import annotations

from typing import Any

import msgspec

from router.settings.jobs import Jobs
from router.settings.structs import Settings
from router.settings.tracing import Tracing

_FIXED = {
    "server": ("host", "port", "data_dir", "cache_dir", "secret", "open", "origins"),
    "accounts": ("required", "store", "redis", "on_loss"),
    "jobs": tuple(Jobs.__struct_fields__),
    "metrics": ("enabled", "port", "host"),
    "tracing": tuple(Tracing.__struct_fields__),
}
"""What the sockets, the folders, the store, the workers and the doors on the way in were made
with."""


def carried(running: Settings, written: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """The new settings as they can hold now, and the keys that need a restart.

    `written` is what was read at the start, `running` what became of it: the command line may have
    given another address, and keys that were found have closed the door.
    """
    restart: list[str] = []
    tables: dict[str, Any] = {}
    for table, fixed in _FIXED.items():
        ours, before, after = (getattr(one, table) for one in (running, written, new))
        if before is None or after is None:
            if before != after:
                restart.append(table)
            tables[table] = ours
            continue
        changed = [key for key in fixed if getattr(before, key) != getattr(after, key)]
        restart += [f"{table}.{key}" for key in changed]
        kept = {key: getattr(ours, key) for key in fixed}
        tables[table] = msgspec.structs.replace(after, **kept)
    return msgspec.structs.replace(new, **tables), restart
