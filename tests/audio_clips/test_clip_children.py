"""The children may hang, crash and be left at any moment: nobody is hurt and nothing remains."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from router.audio import clip_process
from router.audio.clip import ClipDecoder
from router.contract.audio import Clip
from router.contract.errors import BadClip, Draining, Overloaded, RouterError
from tests.audio_clips.sounds import encoded, voice

GOOD = Clip(encoded(voice(2), "flac"), "flac")
LONG = Clip(encoded(voice(110, 16_000), "flac", 16_000), "flac")
HANGS = (sys.executable, "-I", "-S", "-c", "import os, signal; os.write(1, b'R'); signal.pause()")
"""A child that starts, takes a clip and never answers, as FFmpeg in an endless loop would."""
CRASHES = (sys.executable, "-I", "-S", "-c", "import os; os.write(1, b'R'); os.read(0, 9); 0/0")
LIES = (
    *(sys.executable, "-I", "-S", "-c"),
    "import os, struct; os.write(1, b'RS' + struct.pack('<I?8f', 4, 0, *[float('nan')] * 8));"
    "os.read(0, 99)",
)


def pids(decoder: ClipDecoder) -> list[int]:
    return [child.pid for child in decoder.children if child.pid is not None]


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_the_router_does_not_load_ffmpeg_or_numpy_for_it() -> None:
    program = "import sys, router.audio.clip; print({'av', 'numpy', 'soxr'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout == b"set()\n"


async def test_children_start_with_the_first_clip_and_stay_warm() -> None:
    async with ClipDecoder() as decoder:
        assert not decoder.children
        await decoder.decode(GOOD)
        (pid,) = pids(decoder)
        begun = time.monotonic()
        for _ in range(5):
            await decoder.decode(GOOD)
        assert time.monotonic() - begun < 2  # 8 ms each on an idle machine
        assert pids(decoder) == [pid]


async def test_nothing_is_left_when_the_decoder_is_closed() -> None:
    files = open_files()
    async with ClipDecoder() as decoder:
        await asyncio.gather(*(decoder.decode(GOOD) for _ in range(4)))
        started = pids(decoder)
        assert len(started) == 2
    assert not any(is_there(pid) for pid in started)
    assert open_files() <= files + 1


async def test_a_clip_that_takes_too_long_costs_a_child_and_no_more() -> None:
    async with ClipDecoder(children=1, wall_s=0.3, command=HANGS) as decoder:
        begun = time.monotonic()
        with pytest.raises(BadClip, match="cannot be decoded within"):
            await decoder.decode(GOOD)
        assert 0.3 < time.monotonic() - begun < 2
        assert not decoder.children
        decoder._command = None
        decoder._wall_s = 15
        assert (await decoder.decode(GOOD)).seconds == 2


async def test_a_child_that_is_stopped_is_killed() -> None:
    async with ClipDecoder(children=1, wall_s=1) as decoder:
        await decoder.decode(GOOD)
        (pid,) = pids(decoder)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(BadClip, match="within 1 s"):
            await decoder.decode(GOOD)
        assert not is_there(pid)


@pytest.mark.parametrize("command", [CRASHES, LIES])
async def test_a_child_that_crashes_or_lies_makes_a_bad_clip(command: tuple[str, ...]) -> None:
    async with ClipDecoder(children=1, command=command) as decoder:
        with pytest.raises(BadClip, match="cannot be decoded"):
            await decoder.decode(GOOD)
        assert not decoder.children


async def test_a_child_killed_at_work_is_replaced() -> None:
    async with ClipDecoder(children=1) as decoder:
        for _ in range(5):
            await decoder.decode(GOOD)
            (pid,) = pids(decoder)
            job = asyncio.ensure_future(decoder.decode(LONG))
            await asyncio.sleep(random.uniform(0, 0.05))
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(BadClip):
                await job
        assert (await decoder.decode(GOOD)).seconds == 2


async def test_a_child_killed_while_idle_costs_nothing() -> None:
    async with ClipDecoder(children=1) as decoder:
        for _ in range(3):
            await decoder.decode(GOOD)
            (pid,) = pids(decoder)
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            assert (await decoder.decode(GOOD)).seconds == 2


async def test_a_child_that_cannot_start_is_the_routers_fault() -> None:
    for command in (["/nonexistent"], [sys.executable, "-c", "0/0"]):
        async with ClipDecoder(children=1, command=command) as decoder:
            with pytest.raises(RouterError, match="does not start"):
                await decoder.decode(GOOD)
            assert not decoder.children


async def test_a_child_is_replaced_after_many_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_process, "_JOBS", 2)
    async with ClipDecoder(children=1) as decoder:
        seen = set()
        for _ in range(6):
            seen.update(pids(decoder))
            await decoder.decode(GOOD)
        assert len(seen) == 3


async def test_who_leaves_frees_the_place_at_once() -> None:
    async with ClipDecoder(children=1) as decoder:
        await decoder.decode(GOOD)
        for _ in range(3):
            job = asyncio.ensure_future(decoder.decode(LONG))
            await asyncio.sleep(0.02)
            begun = time.monotonic()
            job.cancel()
            with pytest.raises(asyncio.CancelledError):
                await job
            assert time.monotonic() - begun < 0.5  # 3 ms on an idle machine
            assert not decoder.children
            assert (await decoder.decode(GOOD)).seconds == 2


async def test_closing_ends_what_is_at_work_and_what_waits() -> None:
    async with ClipDecoder(children=1) as decoder:
        await decoder.decode(GOOD)
        jobs = [asyncio.ensure_future(decoder.decode(LONG)) for _ in range(3)]
        await asyncio.sleep(0.02)
    ended = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(end) for end in ended] == [Draining] * 3
    with pytest.raises(Draining):
        await decoder.decode(GOOD)


async def test_a_full_decoder_sends_clips_away_with_a_time() -> None:
    hangs = ClipDecoder(children=1, waiting=2, patience_s=0.3, wall_s=1, command=HANGS)
    async with hangs as decoder:
        jobs = [asyncio.ensure_future(decoder.decode(GOOD)) for _ in range(6)]
        ended = await asyncio.gather(*jobs, return_exceptions=True)
    assert sorted(type(end).__name__ for end in ended) == ["BadClip"] + ["Overloaded"] * 5
    assert all(end.retry_after == 0.3 for end in ended if isinstance(end, Overloaded))


async def test_a_child_has_only_so_much_processor_time() -> None:
    """The real child, told to compute for ever where it would decode."""
    program = (
        "import runpy, sys, types\n"
        "child = sys.argv.pop(1)\n"
        "scope = runpy.run_path(child, run_name='child')\n"
        "import os; scope['give_up'](); scope['renew_time'](1); os.write(1, b'R')\n"
        "while True: pass\n"
    )
    child = str(Path(clip_process.__file__).with_name("clip_child.py"))
    command = (sys.executable, "-I", "-S", "-c", program, child)
    async with ClipDecoder(children=1, command=command) as decoder:
        with pytest.raises(BadClip, match="Send an mp3"):  # it was killed before the wall clock
            await decoder.decode(GOOD)


def test_children_end_with_a_router_that_is_killed() -> None:
    program = (
        "import asyncio, os, signal, sys\n"
        "from router.audio.clip import ClipDecoder\n"
        "from tests.audio_clips.test_clip_children import GOOD, LONG, pids\n"
        "async def main():\n"
        "    async with ClipDecoder() as decoder:\n"
        "        await asyncio.gather(decoder.decode(GOOD), decoder.decode(GOOD))\n"
        "        job = asyncio.ensure_future(decoder.decode(LONG))\n"
        "        await asyncio.sleep(0.02)\n"
        "        print(*pids(decoder), flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    left = [Path(f"/proc/{pid}/stat") for pid in done.stdout.decode().split()]
    assert len(left) == 2
    until = time.monotonic() + 5
    while any(_lives(stat) for stat in left):
        assert time.monotonic() < until
        time.sleep(0.01)


def _lives(stat: Path) -> bool:
    """A zombie whose new parent does not look is dead, too."""
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
