"""A whole book through espeak, end to end: the memory that it takes is that of a short text.

Each job has a server of its own, so that the most that it ever held is that job's. The finished
file is fetched to the disk and decoded there: it must be as long as so much text is.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import msgspec

from tests.support.process import serving

LONG, SHORT = 500_000, 5_000
"""Code points."""
FORMATS = ("opus", "mp3")
GROWTH_BYTES = 48 << 20
"""How much more the long one may take. The text itself is half a megabyte, and its parts."""
APART = 0.1
"""How far the seconds of a code point may lie apart: both are read at the same pace."""
PATIENCE_S = 3_600.0
_OPENS_S = 60.0
_PATH = "/v1/audio/speech/jobs"
_SENTENCES = (
    "It was a bright cold day in the hills, and the clocks were late.",
    "Nobody had seen the ship since the morning.",
    "She counted the windows twice, and then once more!",
    "What would they say when the letter came?",
    "The road went on through fields of barley, past the mill, and down to the river.",
    "He had never liked the sound of rain on tin.",
    "In the end, they took the lamp and left the rest behind.",
    "Some of it was true.",
)
_CONFIG: dict[str, Any] = {
    "providers": {"espeak": {"kind": "espeak"}},
    "models": {"book": {"routes": [{"provider": "espeak"}]}},
}


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A text that was spoken as a job."""

    characters: int
    format: str
    seconds: float
    """From its submission to its end."""
    audio_s: float
    """As the file decodes."""
    told_s: float
    """As the job says."""
    bytes: int
    peak_bytes: int
    """The most that the server ever held in memory."""


def survive(folder: Path, characters: int, format: str) -> Read:
    """One text as a job of a server that has nothing else to do."""
    home = folder / f"{format}-{characters}"
    home.mkdir()
    with serving(_CONFIG, home) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        began = time.monotonic()
        body = {"input": text_of(characters), "voice": "alloy", "response_format": format}
        job = _ended(client, _handed_in(client, {"model": "book", **body}))
        took_s = time.monotonic() - began
        assert job["status"] == "completed", job["error"]
        file = home / f"book.{format}"
        _fetch(client, f"{_PATH}/{job['id']}/audio", file)
        peak = _peak_bytes(server.pid)
    assert job["progress"]["characters"] == characters
    assert file.stat().st_size == job["audio"]["bytes"]
    return Read(
        characters=characters,
        format=format,
        seconds=took_s,
        audio_s=_decoded_s(file),
        told_s=job["audio"]["duration_s"],
        bytes=file.stat().st_size,
        peak_bytes=peak,
    )


def text_of(characters: int) -> str:
    """Paragraphs of sentences in a random order, which is the same each time."""
    return "".join(_sentences(characters))[:characters]


def _sentences(characters: int) -> Iterator[str]:
    dice, count = random.Random(1), 0
    while count < characters:
        sentence = dice.choice(_SENTENCES) + dice.choice((" ", " ", " ", " ", "\n\n"))
        count += len(sentence)
        yield sentence


def _handed_in(client: httpx.Client, body: dict[str, Any]) -> str:
    """Its id; on a machine with much to do the store may not be open yet."""
    end = time.monotonic() + _OPENS_S
    while True:
        answer = client.post(_PATH, json=body)
        if answer.status_code == 202:
            id: str = answer.json()["id"]
            return id
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < end, answer.text
        time.sleep(1)


def _ended(client: httpx.Client, id: str) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_S
    while True:
        job: dict[str, Any] = client.get(f"{_PATH}/{id}").json()
        if job["status"] not in {"queued", "running"}:
            return job
        assert time.monotonic() < end, job["progress"]
        time.sleep(0.1)


def _fetch(client: httpx.Client, path: str, file: Path) -> None:
    with client.stream("GET", path) as answer, file.open("wb") as out:
        assert answer.status_code == 200
        for chunk in answer.iter_bytes():
            out.write(chunk)


def _decoded_s(file: Path) -> float:
    """Seconds, by counting every sample."""
    samples = rate = 0
    with av.open(str(file)) as container:
        for frame in container.decode(audio=0):
            samples, rate = samples + frame.samples, frame.sample_rate
    return samples / rate


def _peak_bytes(process: int) -> int:
    """The high-water mark of its resident memory (proc_pid_status: VmHWM, in kB)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("this kernel does not tell")


def check(short: Read, long: Read) -> None:
    for one in (short, long):
        assert abs(one.audio_s - one.told_s) < 0.5 + one.told_s / 1_000, one
    pace = (long.audio_s / long.characters) / (short.audio_s / short.characters)
    assert abs(pace - 1) < APART, f"so much text lasts {pace:.2f} times what it should"
    grown = long.peak_bytes - short.peak_bytes
    assert grown < GROWTH_BYTES, f"{grown / 2**20:.0f} MiB more for the long one"


def main(size: int = LONG) -> None:
    """`size`: code points of the long text."""
    with tempfile.TemporaryDirectory() as folder:
        for format in FORMATS:
            short, long = (
                survive(Path(folder), characters, format) for characters in (SHORT, size)
            )
            for one in (short, long):
                print(
                    f"{one.format}: {one.characters} characters, {one.audio_s / 60:.1f} minutes of "
                    f"audio, {one.bytes / 2**20:.1f} MiB in {one.seconds:.0f} s "
                    f"({one.audio_s / one.seconds:.0f} times real time), most memory "
                    f"{one.peak_bytes / 2**20:.0f} MiB",
                    flush=True,
                )
            check(short, long)
