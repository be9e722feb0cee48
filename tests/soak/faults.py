"""Every fault of `tests.live.scenarios` once, as a table: what the caller got of it, and what the
providers saw."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.live.played import Row, check, play, stage
from tests.live.scenarios import ALL, Scenario

_HEAD = ("what goes wrong", "the caller got", "after", "provider", "X-TTS-Fallback", "saw requests")


async def _played(folder: Path) -> list[tuple[Scenario, Row]]:
    async with stage(folder) as there:
        return [(scenario, await play(scenario, there)) for scenario in ALL]


def _told(scenario: Scenario, row: Row) -> tuple[str, ...]:
    headers = row.answer.headers
    return (
        scenario.name,
        row.got,
        f"{row.took_s:.2f} s",
        headers.get("x-tts-provider", "-"),
        headers.get("x-tts-fallback", "-"),
        row.saw,
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        played = asyncio.run(_played(Path(folder)))
    print(f"| {' | '.join(_HEAD)} |")
    print("|---" * len(_HEAD) + "|")
    for scenario, row in played:
        print(f"| {' | '.join(_told(scenario, row))} |")
    for scenario, row in played:
        check(scenario, row)
