"""Finished speech is given again, to whom and for as long as the config says, and never more of it
than there may be."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.contract.audio import AudioFormat, AudioStream
from router.contract.caller import Caller
from router.contract.errors import Broken, Overloaded, SpeechError, Unreachable
from router.contract.record import SpeechRecord
from router.contract.speech import PLAIN_TERMS, SpeechOrder, SpeechRequest, Terms
from router.dispatch.cache import FOLDER, Memory, SpeechCache
from router.dispatch.kept import About, Kept
from router.dispatch.kept_files import Files
from router.dispatch.speech import Speech
from router.settings.cache import Cache
from router.testing.scripted import Raise, Script, Scripted, Tone, Until
from router.testing.watch import becomes
from tests.dispatch.stage import CLIP, PCM, WAV, Stage, able, asking, opened, stage
from tests.support.process import ROOT

ON: dict[str, Any] = {"cache": {"enabled": True}}
ALICE, BOB = Caller("alice"), Caller("bob")
SECRET_TEXT = "Streng geheim: der Rabe fliegt um Mitternacht."
KEY = bytes(32)
AUDIO_BYTES = 48_000


async def hear(
    on: Stage,
    request: SpeechRequest | None = None,
    caller: Caller = ALICE,
    terms: Terms = PLAIN_TERMS,
    record: SpeechRecord | None = None,
) -> tuple[Speech, bytes]:
    record = record or opened()
    async with on.speaker.speak(request or asking(), caller, record, terms) as speech:
        return speech, b"".join([chunk async for chunk in speech.chunks()])


class Hoarse(Scripted):
    """Sounds otherwise each time, so that what is kept can be told from what is new."""

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        async with super().synthesize(order, format) as stream:
            mark = bytes([self.entered]) * 2
            stream.chunks = _marked(stream.chunks, mark)
            yield stream


async def _marked(chunks: AsyncIterator[bytes], mark: bytes) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk[:-2] + mark if len(chunk) > 100 else chunk  # a header stays as it is


def files_in(folder: Path) -> list[Path]:
    """Those that are whole."""
    return sorted((folder / "cache" / FOLDER).glob("[!.]*"))


# ---- what it does


async def test_what_was_said_before_is_given_again_and_nobody_is_asked(tmp_path: Path) -> None:
    one = Hoarse()
    async with stage(tmp_path, ON, one=one) as on:
        first_record, record = opened(), opened()
        first, said = await hear(on, record=first_record)
        again, heard = await hear(on, record=record)
        assert one.entered == 1
        assert heard == said
        assert (first.cache, again.cache) == ("miss", "hit")
        assert (first_record.cache, record.cache) == ("miss", "hit")
        assert (record.attempts, record.outcome, record.provider) == ([], "spoken", "one")
        for name in ("provider", "upstream_model", "voice", "fallback", "format", "seconds"):
            assert getattr(again, name) == getattr(first, name)
        assert again.length == len(said)


async def test_it_is_off_unless_it_is_switched_on(tmp_path: Path) -> None:
    one = Hoarse()
    async with stage(tmp_path, one=one) as on:
        first, _ = await hear(on)
        again, _ = await hear(on)
        assert (one.entered, first.cache, again.cache) == (2, "", "")
    assert not files_in(tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        {"text": "Something else."},
        {"voice": "nova"},
        {"format": WAV},
        {"speed": 1.5},
        {"pitch": 2.0},
        {"language": "fr"},
        {"options": {"seed": 4}},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_who_asks_for_anything_else_is_not_given_it(
    other: dict[str, Any], tmp_path: Path
) -> None:
    one = Hoarse(offers=able(options=frozenset({"seed"})))
    async with stage(tmp_path, ON, one=one) as on:
        await hear(on)
        again, _ = await hear(on, asking(**other))
        assert (one.entered, again.cache) == (2, "miss")


async def test_the_shape_of_the_request_and_the_order_of_its_options_do_not_matter(
    tmp_path: Path,
) -> None:
    one = Hoarse(offers=able(options=frozenset({"seed", "top_p"})))
    async with stage(tmp_path, ON, one=one) as on:
        await hear(on, asking(options={"seed": 4, "top_p": 0.5}))
        again, _ = await hear(on, asking(options={"top_p": 0.5, "seed": 4}))
        assert again.cache == "hit"


async def test_one_caller_is_not_given_what_another_was_told(tmp_path: Path) -> None:
    one = Hoarse()
    async with stage(tmp_path, ON, one=one) as on:
        await hear(on, caller=ALICE)
        theirs, _ = await hear(on, caller=BOB)
        own, _ = await hear(on, caller=ALICE)
        assert (theirs.cache, own.cache, one.entered) == ("miss", "hit", 2)


async def test_all_callers_share_it_where_the_config_says_so(tmp_path: Path) -> None:
    one = Hoarse()
    async with stage(tmp_path, {"cache": {"enabled": True, "scope": "shared"}}, one=one) as on:
        await hear(on, caller=ALICE)
        theirs, _ = await hear(on, caller=BOB)
        assert (theirs.cache, one.entered) == ("hit", 1)


async def test_who_wants_nothing_kept_is_neither_given_nor_kept(tmp_path: Path) -> None:
    one = Hoarse()
    fresh = Terms(fresh=True)
    async with stage(tmp_path, ON, one=one) as on:
        first, _ = await hear(on, terms=fresh)
        second, _ = await hear(on)
        third, _ = await hear(on, terms=fresh)
        assert [speech.cache for speech in (first, second, third)] == ["", "miss", ""]
        assert one.entered == 3


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_cloned_voice_is_kept_only_where_that_is_allowed(
    allowed: bool, tmp_path: Path
) -> None:
    one = Hoarse(offers=able(cloning=True))
    config = {"cache": {"enabled": True, "clones": allowed}}
    async with stage(tmp_path, config, one=one) as on:
        await hear(on, asking(clip=CLIP))
        again, _ = await hear(on, asking(clip=CLIP))
        assert again.cache == ("hit" if allowed else "")
        assert one.entered == (1 if allowed else 2)
    assert bool(files_in(tmp_path)) is allowed


async def test_speech_that_broke_off_is_not_kept(tmp_path: Path) -> None:
    one = Hoarse(Script((Tone(0.5), Raise(Broken("x")))))
    async with stage(tmp_path, ON, one=one) as on:
        for _ in range(2):
            with pytest.raises(SpeechError):
                await hear(on)
        assert one.entered == 2
    assert not files_in(tmp_path)


async def test_speech_that_was_doubted_is_not_kept(tmp_path: Path) -> None:
    judged = {"integrity": {"judges": True, "steady_s": 1, "longest": 1}}
    one = Hoarse(Script((Tone(30.0),)))
    async with stage(tmp_path, {**ON, **judged}, one=one) as on:
        await hear(on)
        await hear(on)
        assert on.ear.doubts
        assert one.entered == 2


async def test_speech_whose_end_nobody_told_is_not_kept(tmp_path: Path) -> None:
    class Unframed(Hoarse):
        @asynccontextmanager
        async def synthesize(
            self, order: SpeechOrder, format: AudioFormat
        ) -> AsyncIterator[AudioStream]:
            async with super().synthesize(order, format) as stream:
                stream.framed = False
                yield stream

    one = Unframed()
    async with stage(tmp_path, ON, one=one) as on:
        await hear(on)
        await hear(on)
        assert one.entered == 2


async def test_a_caller_who_leaves_early_leaves_nothing_behind(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    one = Hoarse(Script((Tone(0.1), Until(go_on), Tone(0.9))))
    async with stage(tmp_path, ON, one=one) as on, asyncio.timeout(5):
        async with on.speaker.speak(asking(), ALICE, opened()) as speech:
            await anext(speech.chunks())
        go_on.set()
        again, _ = await hear(on)
        assert (again.cache, one.entered) == ("miss", 2)


async def test_another_version_of_the_model_begins_anew(tmp_path: Path) -> None:
    for version, cached in (("", "miss"), ("", "hit"), ("2", "miss"), ("2", "hit"), ("", "hit")):
        config = {**ON, "model": {"version": version}}
        async with stage(tmp_path, config, one=Hoarse()) as on:
            speech, _ = await hear(on)
            assert speech.cache == cached


async def test_another_route_begins_anew(tmp_path: Path) -> None:
    async with stage(tmp_path, ON, one=Hoarse()) as on:
        await hear(on)
    async with stage(tmp_path, ON, two=Hoarse(), one=Hoarse()) as on:
        speech, _ = await hear(on)
        assert (speech.cache, speech.provider) == ("miss", "two")


async def test_while_the_first_is_left_alone_what_the_second_said_is_given(tmp_path: Path) -> None:
    one = Hoarse(Script(entering=(Raise(Unreachable("x")),)))
    two = Hoarse()
    config = {**ON, "outlook": {"least": 1, "cool_s": 3600, "cool_most_s": 3600, "probe": "off"}}
    async with stage(tmp_path, config, one=one, two=two) as on:
        first, said = await hear(on)
        again, heard = await hear(on)
        assert (first.cache, again.cache) == ("miss", "hit")
        assert (again.provider, again.fallback) == ("two", "one=resting")
        assert (heard, two.entered) == (said, 1)


async def test_when_the_first_is_back_it_is_asked_again(tmp_path: Path) -> None:
    failing = Hoarse(Script(entering=(Raise(Unreachable("x")),)))
    async with stage(tmp_path, ON, one=failing, two=Hoarse()) as on:
        speech, _ = await hear(on)
        assert speech.provider == "two"
    async with stage(tmp_path, ON, one=Hoarse(), two=Hoarse()) as on:
        speech, _ = await hear(on)
        assert (speech.provider, speech.cache) == ("one", "miss")


async def test_a_hundred_at_once_leave_one_and_all_after_them_hear_it(tmp_path: Path) -> None:
    one = Hoarse(Script((Tone(1.0, 0.02),)))
    config = {**ON, "model": {"share": True}, "server": {"places": 200}}
    async with stage(tmp_path, config, one=one) as on:
        await asyncio.gather(*(hear(on) for _ in range(100)))
        again, _ = await hear(on)
        assert (one.entered, again.cache) == (1, "hit")
    assert len(files_in(tmp_path)) == 1


async def test_what_is_kept_while_somebody_waits_for_a_place_is_heard_by_who_waited(
    tmp_path: Path,
) -> None:
    one = Hoarse(Script((Tone(1.0, 0.02),)))
    config = {**ON, "server": {"places": 1}}
    async with stage(tmp_path, config, one=one) as on:
        spoken = await asyncio.gather(hear(on), hear(on))
    assert one.entered == 1
    assert sorted(speech.cache for speech, _ in spoken) == ["hit", "miss"]
    assert spoken[0][1] == spoken[1][1]


async def test_a_speech_longer_than_an_entry_is_heard_whole_and_not_kept(tmp_path: Path) -> None:
    one = Hoarse(Script((Tone(60.0),)))
    config = {"cache": {"enabled": True, "entry_bytes": 2_000_000}}
    async with stage(tmp_path, config, one=one) as on:
        for _ in range(2):
            _, body = await hear(on)
            assert len(body) == 60 * AUDIO_BYTES
        assert one.entered == 2
    assert not files_in(tmp_path)


async def test_a_speech_longer_than_who_joins_is_kept_from_is_kept_whole(tmp_path: Path) -> None:
    one = Hoarse(Script((Tone(60.0),)))
    async with stage(tmp_path, ON, one=one) as on:
        _, said = await hear(on)
        again, heard = await hear(on)
        assert again.cache == "hit"
        assert heard == said
        assert len(heard) == 60 * AUDIO_BYTES


# ---- in the folder


async def test_a_restart_keeps_what_is_on_disk(tmp_path: Path) -> None:
    async with stage(tmp_path, ON, one=Hoarse()) as on:
        first, said = await hear(on, asking(format=WAV))
    one = Hoarse()
    async with stage(tmp_path, ON, one=one) as on:
        again, heard = await hear(on, asking(format=WAV))
        assert (again.cache, one.entered) == ("hit", 0)
        assert heard == said
        assert (again.voice, again.seconds) == (first.voice, first.seconds)


async def test_two_processes_share_the_folder(tmp_path: Path) -> None:
    one, other = Hoarse(), Hoarse()
    async with stage(tmp_path, ON, one=one) as on, stage(tmp_path, ON, one=other) as beside:
        _, said = await hear(on)
        assert await becomes(lambda: len(files_in(tmp_path)) == 1, 5)
        again, heard = await hear(beside)
        assert (again.cache, heard, other.entered) == ("hit", said, 0)


async def test_neither_text_nor_caller_can_be_read_in_the_folder(tmp_path: Path) -> None:
    async with stage(tmp_path, ON, one=Hoarse()) as on:
        await hear(on, asking(SECRET_TEXT), Caller("sk-of-alice"))
    (file,) = files_in(tmp_path)
    everything = file.read_bytes() + os.fsencode(file)
    for said in (SECRET_TEXT, "Rabe", "Mitternacht", "alice"):
        assert said.encode() not in everything
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_another_secret_finds_nothing(tmp_path: Path) -> None:
    for secret, cached in (("a" * 32, "miss"), ("b" * 32, "miss"), ("a" * 32, "hit")):
        async with stage(tmp_path, {**ON, "server": {"secret": secret}}, one=Hoarse()) as on:
            speech, _ = await hear(on)
            assert speech.cache == cached


@pytest.mark.parametrize("at", ["cut", "empty", "head", "about", "body"])
async def test_a_file_that_is_not_what_was_written_is_never_given(at: str, tmp_path: Path) -> None:
    async with stage(tmp_path, ON, one=Hoarse()) as on:
        await hear(on)
    (file,) = files_in(tmp_path)
    data = bytearray(file.read_bytes())
    if at in ("cut", "empty"):
        del data[0 if at == "empty" else -1 :]
    else:
        data[{"head": 25, "about": 60, "body": -1}[at]] ^= 1
    file.write_bytes(data)
    one = Hoarse()
    async with stage(tmp_path, ON, one=one) as on:
        speech, body = await hear(on)
        assert (speech.cache, len(body), one.entered) == ("miss", AUDIO_BYTES, 1)


async def test_a_folder_that_cannot_be_used_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / FOLDER).write_text("in the way")
    async with stage(tmp_path, ON, one=Hoarse()) as on:
        first, _ = await hear(on)
        again, _ = await hear(on)
        assert (first.cache, again.cache) == ("miss", "hit")


async def test_without_memory_the_disk_is_enough_and_without_disk_the_memory(
    tmp_path: Path,
) -> None:
    for nowhere in ("memory_bytes", "disk_bytes"):
        config = {"cache": {"enabled": True, nowhere: 0}}
        async with stage(tmp_path / nowhere, config, one=Hoarse()) as on:
            await hear(on)
            is_kept = nowhere == "disk_bytes" or len(files_in(tmp_path / nowhere)) == 1
            assert is_kept or await becomes(
                lambda: len(files_in(tmp_path / "memory_bytes")) == 1, 5
            )
            again, _ = await hear(on)
            assert again.cache == "hit"


# ---- the bounds


class Clock:
    """Seconds since 1970, as the test says."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def about(**changed: Any) -> About:
    fields: Mapping[str, Any] = {"fallback": "none", "seconds": 1.0, "tokens": None, **changed}
    return About(provider="p", model="m", voice="v", format=PCM, **fields)


def speech_of(size: int) -> Kept:
    return Kept(about(), (b"x" * (size // 2), b"y" * (size - size // 2)))


def named(number: int) -> str:
    return f"{number:040x}"


def on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*"))


def kept_files(folder: Path, clock: Clock, most_bytes: int = 200_000) -> Files:
    return Files(folder, KEY, most_bytes=most_bytes, entry_bytes=most_bytes, age_s=100.0, now=clock)


STEPS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 90_000), st.booleans(), st.integers(0, 60)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_memory_never_holds_more_than_it_may_nor_longer(
    steps: list[tuple[int, int, bool, int]],
) -> None:
    clock = Clock()
    memory = Memory(200_000, 100.0, clock)
    made: dict[str, float] = {}
    for number, size, is_asked, later_s in steps:
        name = named(number)
        clock.now += later_s
        if is_asked:
            found = memory.find(name)
            assert found is None or clock.now < made[name] + 100.0
        else:
            memory.put(name, speech_of(size), clock.now)
            made[name] = clock.now
            assert memory.find(name) is not None
        held = [one.kept.held_bytes for one in memory._held.values()]
        assert sum(held) == memory.bytes <= 200_000


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_the_folder_never_holds_more_than_it_may_nor_longer(
    steps: list[tuple[int, int, bool, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    clock, folder = Clock(), tmp_path_factory.mktemp("speech")
    files = kept_files(folder, clock)
    made: dict[str, float] = {}
    for number, size, is_asked, later_s in steps:
        name = named(number)
        clock.now += later_s
        if is_asked:
            found = files.read(name)
            assert found is None or clock.now < made[name] + 100.0
        else:
            files.write(name, speech_of(size))
            made[name] = clock.now
            found = files.read(name)
            assert found is not None
            assert found[0].audio_bytes == size
        assert on_disk(folder) <= 200_000


def test_what_was_not_asked_for_the_longest_is_forgotten_first(tmp_path: Path) -> None:
    clock = Clock()
    files = kept_files(tmp_path, clock)
    for number in range(4):
        clock.now += 1
        files.write(named(number), speech_of(40_000))
    clock.now += 1
    assert files.read(named(0)) is not None
    clock.now += 1
    files.write(named(4), speech_of(40_000))
    assert files.read(named(1)) is None
    assert files.read(named(0)) is not None
    assert files.read(named(4)) is not None


def test_a_process_that_was_killed_while_it_wrote_leaves_nothing_for_long(tmp_path: Path) -> None:
    clock = Clock()
    part = tmp_path / f".{named(1)}.{'ab' * 8}.part"
    part.write_bytes(b"half of it")
    os.utime(part, (clock.now, clock.now))
    kept_files(tmp_path, clock).write(named(2), speech_of(10))
    assert part.exists()
    clock.now += 3601
    kept_files(tmp_path, clock).write(named(3), speech_of(10))
    assert not part.exists()


WRITES_FOR_EVER = """
import itertools, pathlib, sys, time
from tests.dispatch.test_kept import KEY, Files, named, speech_of

files = Files(pathlib.Path(sys.argv[1]), KEY, most_bytes=4_000_000, entry_bytes=2**24, age_s=1e6)
for number in itertools.count():
    files.write(named(number % 50), speech_of(100_000 + number % 7))
    print(number, flush=True)
"""


def test_after_a_kill_every_file_is_whole_or_not_there(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path)]
    for rounds in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout is not None
            for _ in range(20 + 13 * rounds):
                process.stdout.readline()
            process.kill()
        files = Files(tmp_path, KEY, most_bytes=4_000_000, entry_bytes=2**24, age_s=1e6)
        found = [files.read(named(number)) for number in range(50)]
        assert any(found)
        assert all(100_000 <= one[0].audio_bytes < 100_007 for one in found if one is not None)


def test_what_somebody_else_has_put_into_the_folder_stays(tmp_path: Path) -> None:
    clock = Clock()
    theirs = tmp_path / "README.txt"
    theirs.write_bytes(bytes(300_000))
    files = kept_files(tmp_path, clock)
    for number in range(10):
        files.write(named(number), speech_of(40_000))
    assert theirs.exists()


def test_two_processes_keep_the_folder_within_the_bound_and_their_margins(tmp_path: Path) -> None:
    clock = Clock()
    both = [kept_files(tmp_path, clock, 4_000_000) for _ in range(2)]
    for number in range(400):
        clock.now += 0.1
        both[number % 2].write(named(number), speech_of(20_000))
        assert on_disk(tmp_path) <= 4_000_000 + 4_000_000 // 32 + 24_576


def test_a_speech_under_another_name_is_not_it(tmp_path: Path) -> None:
    files = kept_files(tmp_path, Clock())
    files.write(named(1), speech_of(100))
    (tmp_path / named(1)).rename(tmp_path / named(2))
    assert files.read(named(2)) is None


async def test_a_disk_that_hangs_is_waited_for_once(tmp_path: Path) -> None:
    goes_on = threading.Event()

    class Hanging(Files):
        reads = 0

        def read(self, name: str) -> tuple[Kept, float] | None:
            self.reads += 1
            assert goes_on.wait(10)
            return super().read(name)

    rules = Cache(enabled=True)
    files = Hanging(tmp_path, KEY, most_bytes=10**6, entry_bytes=10**6, age_s=100.0)
    async with asyncio.timeout(10), SpeechCache(rules, files, time.time).open() as cache:
        found = [await cache.find(named(number)) for number in range(50)]
        assert (found, files.reads) == ([None] * 50, 1)
        goes_on.set()


async def test_a_hit_does_not_wait_for_those_who_are_spoken_to(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    one = Hoarse()
    async with stage(tmp_path, {**ON, "server": {"places": 1}}, one=one) as on, asyncio.timeout(5):
        await hear(on)
        one.play = Script((Until(go_on), Tone(1.0)))
        other = asyncio.create_task(hear(on, asking("Something else.")))
        await one.until(lambda player: player.entered == 2)
        again, _ = await hear(on)
        assert again.cache == "hit"
        go_on.set()
        await other


async def test_hits_have_an_end_of_places_too(tmp_path: Path) -> None:
    config = {**ON, "server": {"places": 1}, "timeouts": {"place_s": 0.05}}
    async with stage(tmp_path, config, one=Hoarse()) as on, asyncio.timeout(5):
        await hear(on)
        async with on.speaker.speak(asking(), ALICE, opened()) as slow:
            assert slow.cache == "hit"
            record = opened()
            with pytest.raises(Overloaded):
                await hear(on, record=record)
            assert record.outcome == "refused"
        again, _ = await hear(on)
        assert again.cache == "hit"
