"""A Speaker after the other: what both want is open once, and known and held by both."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.audio.clip import ClipDecoder
from router.contract.caller import OpenGate
from router.contract.errors import Unreachable
from router.contract.provider import Host, Kind, Secret
from router.contract.record import OffersChanged
from router.dispatch.ensemble import Ensemble
from router.dispatch.observers import Observers
from router.dispatch.reloading import WouldLose
from router.registry import Kinds
from router.settings.load import parse
from router.settings.structs import Settings
from router.testing.scripted import Scripted
from tests.dispatch.stage import able

KEY = "one", "tone-1"


class Own(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a counted one."""

    key: str = "a"
    fails: bool = False


class Counted:
    """A kind that counts how often it is opened and closed, and by which task."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.made: list[Scripted] = []
        self._tasks: set[tuple[object, object]] = set()

    @property
    def kind(self) -> Kind:
        return Kind(name="counted", settings=Own, open=self._open)

    @property
    def is_left_where_it_was_entered(self) -> bool:
        return all(entered is left for entered, left in self._tasks)

    @asynccontextmanager
    async def _open(self, settings: Own, host: Host) -> AsyncIterator[Scripted]:
        if settings.fails:
            raise Unreachable("it is not there")
        what = f"{host.name}:{settings.key}"
        self.opened.append(what)
        self.made.append(Scripted())
        task = asyncio.current_task()
        try:
            yield self.made[-1]
        finally:
            self._tasks.add((task, asyncio.current_task()))
            self.closed.append(what)


class Troupe:
    """An ensemble, and settings for it."""

    def __init__(self, ensemble: Ensemble, counted: Counted, folder: Path) -> None:
        self.ensemble = ensemble
        self.counted = counted
        self._folder = folder

    def settings(self, more: Mapping[str, Any] | None = None, **own: dict[str, Any]) -> Settings:
        config = {
            "server": {
                "data_dir": str(self._folder / "data"),
                "cache_dir": str(self._folder / "cache"),
            },
            "providers": {name: {"kind": "counted", **table} for name, table in own.items()},
            "models": {name: {"routes": [{"provider": name}]} for name in own},
            **(more or {}),
        }
        return parse(json.dumps(config), {"counted": self.counted.kind})


@pytest.fixture
async def troupe(tmp_path: Path) -> AsyncIterator[Troupe]:
    counted = Counted()
    kinds = Kinds({"counted": counted.kind}, {}, {})
    async with ClipDecoder() as clips:
        made = Ensemble(kinds, Observers(), clips=clips, secret=Secret("s"), latin=None)
        yield Troupe(made, counted, tmp_path)
    assert sorted(counted.opened) == sorted(counted.closed)
    assert counted.is_left_where_it_was_entered


async def test_a_provider_that_both_want_is_opened_once(troupe: Troupe) -> None:
    speaker = troupe.ensemble.speaker
    settings = troupe.settings(one={}, other={"key": "a"})
    async with speaker(settings, OpenGate()) as before:
        changed = troupe.settings(one={"slots": 3, "gain_db": 6.0}, other={"key": "b"}, third={})
        async with speaker(changed, OpenGate(), before) as after:
            assert troupe.counted.opened == ["one:a", "other:a", "other:b", "third:a"]
            assert after.roster.providers["one"] is before.roster.providers["one"]
            assert after.roster.shared_with(before.roster) == {"one"}
            assert after.roster.offers["one"].gain_db == 6.0


async def test_what_is_only_in_the_next_config_outlives_the_one_before(troupe: Troupe) -> None:
    speaker = troupe.ensemble.speaker
    first = speaker(troupe.settings(one={}, gone={}), OpenGate())
    before = await first.__aenter__()
    async with speaker(troupe.settings(one={}), OpenGate(), before):
        await first.__aexit__(None, None, None)

        assert troupe.counted.closed == ["gone:a"]


async def test_a_slot_in_use_is_in_use_for_both(troupe: Troupe) -> None:
    speaker = troupe.ensemble.speaker
    settings = troupe.settings(one={"slots": 1}, other={"slots": 1})
    async with speaker(settings, OpenGate()) as before:
        hold = await before.asker.slots["one"].take(0)
        changed = troupe.settings(one={"slots": 1}, other={"slots": 1, "key": "b"})
        async with speaker(changed, OpenGate(), before) as after:
            assert (after.asker.slots["one"].free, after.asker.slots["other"].free) == (0, 1)
            hold.release()
            assert after.asker.slots["one"].free == 1


async def test_what_is_thought_of_a_provider_is_thought_on(troupe: Troupe) -> None:
    """Of the same provider alone; with other figures only that it is left alone."""
    speaker = troupe.ensemble.speaker
    settings = troupe.settings(one={}, other={})
    async with speaker(settings, OpenGate()) as before:
        outlook = before.asker.outlook
        now = asyncio.get_running_loop().time()
        outlook.pace(KEY).sounded(0.7)
        for name in ("one", "other"):
            outlook.breaker((name, "tone-1")).rests(now, 60.0, "busy")
        changed = troupe.settings(one={}, other={"key": "b"})
        judged = troupe.settings({"outlook": {"window_s": 7}}, one={})
        async with (
            speaker(changed, OpenGate(), before) as after,
            speaker(judged, OpenGate(), after) as last,
        ):
            believed = after.asker.outlook.beliefs()
            assert set(believed) == {KEY}
            assert (believed[KEY].state, believed[KEY].first_audio_s) == ("open", 0.7)
            assert after.asker.outlook.breaker(KEY) is outlook.breaker(KEY)
            belief = last.asker.outlook.beliefs()[KEY]
            assert (belief.state, belief.reason, belief.first_audio_s) == ("open", "busy", 0.7)
            assert 50 < belief.wait_s <= 60


async def test_voices_that_were_known_are_known_on(troupe: Troupe) -> None:
    speaker = troupe.ensemble.speaker
    async with speaker(troupe.settings(one={}), OpenGate()) as before:
        troupe.counted.made[0].failure = Unreachable("not now")
        async with speaker(troupe.settings(one={}, other={}), OpenGate(), before) as after:
            assert set(after.roster.offers["one"].voices) == {"tone"}


async def test_both_hear_that_an_offer_has_changed(troupe: Troupe) -> None:
    speaker = troupe.ensemble.speaker
    settings = troupe.settings(one={})
    async with (
        speaker(settings, OpenGate()) as before,
        speaker(settings, OpenGate(), before) as after,
    ):
        troupe.counted.made[0].offering = {"tone-9": able()["tone-1"]}
        troupe.ensemble.observers.noticed(OffersChanged("one"))

        for one in (before, after):
            assert set(one.roster.offers["one"].capabilities) == {"tone-9"}


async def test_who_speaks_is_not_lost_and_who_never_did_is_no_hindrance(troupe: Troupe) -> None:
    speaker = troupe.ensemble.speaker
    async with speaker(troupe.settings(one={}, ill={"fails": True}), OpenGate()) as before:
        with pytest.raises(WouldLose, match="one"):
            async with speaker(troupe.settings(one={"fails": True}), OpenGate(), before):
                pytest.fail("it was opened")

        assert troupe.counted.closed == []
        settings = troupe.settings(one={}, ill={"fails": True}, other={})
        async with speaker(settings, OpenGate(), before) as after:
            assert set(after.roster.providers) == {"one", "other"}


async def test_what_is_over_is_not_kept_in_memory_by_what_follows(troupe: Troupe) -> None:
    first = troupe.ensemble.speaker(troupe.settings(one={}), OpenGate())
    before = await first.__aenter__()
    async with troupe.ensemble.speaker(troupe.settings(one={"key": "b"}), OpenGate(), before):
        await first.__aexit__(None, None, None)
        seen = weakref.ref(before)
        del before, first
        gc.collect()

        assert seen() is None
