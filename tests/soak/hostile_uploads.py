"""The hostile clips through a running server: every answer is speech, or a refusal of the clip."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from tests.audio_clips.hostile import Body
from tests.soak.hostile_clips import FUZZED, GROWTH_BYTES, everything
from tests.soak.outside import Held, held
from tests.support.process import ServerProcess, serving
from tests.support.scripts import SCRIPTED, SPEECH, UNJUDGED, models, scripted
from tests.support.wire import Answer, connected

CALLERS = 3
WARM = 100
"""After so many clips everything is loaded that ever will be."""
_LOOK_EVERY = 25
_PATIENCE_S = 60.0
_BOUNDARY = b"--of-a-clip--"
_CODES = ("invalid_prompt_audio", "prompt_audio_too_large")


class Outcome(msgspec.Struct):
    """What the callers got, and what the server held meanwhile."""

    spoken: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    wrong: list[str] = msgspec.field(default_factory=list)
    held: list[Held] = msgspec.field(default_factory=list)
    ready: bool = False
    """Whether the server still says that it can speak, after all."""

    @property
    def answers(self) -> int:
        return self.spoken + self.refused.total() + len(self.wrong)

    @property
    def growth_bytes(self) -> int:
        """How much larger the server became after it was warm."""
        sizes = [held.resident for held in self.held]
        return max(sizes) - sizes[0] if sizes else 0


def config() -> dict[str, Any]:
    """A provider that clones, so that each clip is decoded, and says very little."""
    return {
        "integrity": UNJUDGED,
        "providers": {"cast": scripted(cloning=True, seconds=0.1)},
        "models": models({"it": ("cast",)}),
    }


def survive(bodies: Iterable[Body], folder: Path, *, warm: int = WARM) -> Outcome:
    """A server that is sent them all; it has ended when this returns."""
    with serving(config(), folder, plugins=[SCRIPTED]) as server:
        return asyncio.run(_sent(server, iter(bodies), warm))


async def _sent(server: ServerProcess, bodies: Iterator[Body], warm: int) -> Outcome:
    outcome = Outcome()
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(_caller(server, bodies, outcome, warm))
    async with connected(server.url) as line:
        await line.ask("/health/ready")
        outcome.ready = (await line.answer()).status == 200
    outcome.wrong += [line for line in server.log.text.splitlines() if '"level":"error"' in line]
    return outcome


async def _caller(
    server: ServerProcess, bodies: Iterator[Body], outcome: Outcome, warm: int
) -> None:
    for body in bodies:
        try:
            async with asyncio.timeout(_PATIENCE_S), connected(server.url) as line:
                await line.ask(SPEECH, _form(body.data), headers=_TYPE)
                _note(body, await line.answer(), outcome)
        except (EOFError, TimeoutError) as error:
            outcome.wrong.append(f"{body.name}: {type(error).__name__}")
        if outcome.answers >= warm and outcome.answers % _LOOK_EVERY < CALLERS:
            outcome.held.append(held(server.pid))


_TYPE = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY.decode()}"}


def _form(clip: bytes) -> bytes:
    fields = {"model": "it", "voice": "alloy", "input": "In this voice.", "response_format": "pcm"}
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode()
        for name, text in fields.items()
    ]
    parts.append(
        b'Content-Disposition: form-data; name="prompt_audio"; filename="me"\r\n\r\n' + clip
    )
    framed = b"".join(b"--" + _BOUNDARY + b"\r\n" + part + b"\r\n" for part in parts)
    return framed + b"--" + _BOUNDARY + b"--\r\n"


def _note(body: Body, answer: Answer, outcome: Outcome) -> None:
    if mistake := _mistake(answer):
        outcome.wrong.append(f"{body.name}: {mistake}")
    elif answer.status == 200:
        outcome.spoken += 1
    else:
        outcome.refused[f"{answer.status} {answer.error['message']}"] += 1


def _mistake(answer: Answer) -> str:
    """Why this is no right answer to a clip; empty if it is."""
    if not answer.whole:
        return f"status {answer.status}, cut off"
    if answer.status == 200:
        return "" if answer.body else "no speech"
    if not 400 <= answer.status < 500:
        return f"status {answer.status}"
    error = answer.error
    if set(error) != {"message", "type", "param", "code"}:
        return f"an envelope of {sorted(error)}"
    right = error["param"] == "prompt_audio" and error["code"] in _CODES
    return "" if right else f"{error['code']} for {error['param']}"


def check(outcome: Outcome) -> None:
    assert not outcome.wrong, "\n".join(outcome.wrong[:10])
    assert outcome.spoken
    assert outcome.refused
    assert outcome.ready
    assert outcome.growth_bytes < GROWTH_BYTES, f"grew by {outcome.growth_bytes >> 20} MiB"


def small(folder: Path) -> Outcome:
    """Two hundred of them: the same code in a few seconds."""
    return survive(islice(everything(fuzzed=100, seed=4), 0, None, 3), folder, warm=60)


def main() -> None:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = survive(everything(FUZZED), Path(folder))
    print(f"{outcome.answers} clips in {time.monotonic() - begun:.0f} s")
    print(f"spoken {outcome.spoken}, refused {outcome.refused.total()}, wrong {len(outcome.wrong)}")
    for message, count in outcome.refused.most_common(12):
        print(f"  {count:6} {message}")
    first, last = outcome.held[0], outcome.held[-1]
    print(f"memory {first.resident >> 20} → {last.resident >> 20} MiB, ", end="")
    print(f"at most +{outcome.growth_bytes / 2**20:.1f} MiB; files {first.files} → {last.files}")
    check(outcome)
