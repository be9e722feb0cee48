"""The local engine beside the official runtime's loop, in one run: `python -m tests.bench.moss`.
See README.md."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from tests.bench.moss import report
from tests.bench.moss.contender import Contender, Models, Task
from tests.bench.moss.measured import Figure, measured
from tests.bench.moss.ours import prepare
from tests.support.tiny_moss import FULL, TTS_FOLDER, write

OFFICIAL = [
    Contender("official", threads=1),
    Contender("official", threads=2),
    Contender("official", threads=4),
    Contender("official", threads=2, spinning=True),
    Contender("official", threads=4, spinning=True),
    Contender("official", threads=1, processes=2),
    Contender("official", threads=2, processes=2),
]
"""One thread does not spin; its default is four that do."""
_STREAMS = (1, 2, 4, 8, 16)
OURS = [
    *(Contender("reference", streams) for streams in _STREAMS),
    *(Contender("exact", streams) for streams in _STREAMS),
    *(Contender("int8", streams) for streams in _STREAMS),
    *(Contender(kind, at, shipped_codec=True) for kind in ("exact", "int8") for at in (1, 8)),
]
_VOICE, _VOICE_FRAMES = "Soyo", 120
_TEXT_TOKENS = 40
_SHARES = (0.6, 1.4, 1.0, 0.8, 1.2)
"""Speeches are not alike long, so that they do not end together."""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="tts-bench-") as name:
        directory = options.models or write(Path(name) / "models", FULL)
        models = Models(str(directory), str(options.cache or Path(name) / "cache"))
        print(report.machine(), end="\n\n", flush=True)
        contenders = _asked(options.only)
        _prepare(contenders, models)
        rounds = [
            _round(contenders, models, options.frames, options.speeches)
            for _ in range(options.rounds)
        ]
        print(report.table(rounds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.moss", description=__doc__)
    parser.add_argument("--models", type=Path, help="a full-size directory (else one is written)")
    parser.add_argument("--cache", type=Path, help="where built graphs stay (else nowhere)")
    parser.add_argument("--frames", type=int, default=60, help="of a speech (60: 4.8 s)")
    parser.add_argument("--speeches", type=int, default=3, help="of each stream (3)")
    parser.add_argument("--rounds", type=int, default=3, help="times that each is measured (3)")
    parser.add_argument("--only", nargs="*", default=[], help="official, reference, exact, int8")
    return parser.parse_args()


def _asked(kinds: list[str]) -> list[Contender]:
    """The official loop always runs, in its best settings at least: ratios are to it."""
    if not kinds:
        return OFFICIAL + OURS
    official = [one for one in OFFICIAL if one.threads <= 2 and not one.spinning]
    return (OFFICIAL if "official" in kinds else official) + [
        one for one in OURS if one.kind in kinds
    ]


def _prepare(contenders: list[Contender], models: Models) -> None:
    """Built graphs are found, as at any start but the first."""
    for precision in ("exact", "int8"):
        if any(one.kind == precision for one in contenders):
            report.say(f"{precision} graphs are built, and held against the shipped ones")
            for doubt in prepare(models, precision):
                print(f"{precision}, shipped graph instead of {doubt}")


def _round(contenders: list[Contender], models: Models, frames: int, speeches: int) -> list[Figure]:
    """Everybody once, one after the other: figures of one round may be compared."""
    task, figures = _task(Path(models.directory)), []
    for one in contenders:
        shares = (_SHARES[at % len(_SHARES)] for at in range(speeches * one.streams))
        lengths = [round(frames * share) for share in shares]
        figures.append(measured(one, models, task, lengths))
        report.progress(figures[-1])
    return figures


def _task(directory: Path) -> Task:
    """A prompt of 237 rows: a voice of usual length, two lines of text."""
    manifest = json.loads((directory / TTS_FOLDER / "browser_poc_manifest.json").read_text("utf-8"))
    (voice,) = (one for one in manifest["builtin_voices"] if one["voice"] == _VOICE)
    codes = voice["prompt_audio_codes"][:_VOICE_FRAMES]
    return Task(codes, list(range(20, 20 + _TEXT_TOKENS)))


if __name__ == "__main__":
    main()
