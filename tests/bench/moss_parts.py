"""The engine's parts, shipped and compact, side by side: `python -m tests.bench.moss_parts`.

All do the same work by turns, so that what else the machine does falls on all; of each the quickest
turn counts. With one thread it is the processor's time that is told, which other processes disturb
less. Without a model directory one of full size is written, with random weights.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from providers.moss_tts_nano.compact import store
from providers.moss_tts_nano.compact.build import Precision
from providers.moss_tts_nano.compact.compact import Compact
from providers.moss_tts_nano.layout import Layout, find
from providers.moss_tts_nano.parts import Draws, Ints
from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.proof.trace import Parts
from providers.moss_tts_nano.reference import Reference
from tests.support.tiny_moss import FULL, write

ROWS = (1, 2, 4, 8, 16)
PRECISIONS: tuple[Precision, ...] = ("exact", "int8", "int8-blocks")
_TURNS = 8
_TEXT_TOKENS = 30

Work = Callable[[], object]


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        directory = asked.directory or write(Path(folder) / "model", FULL)
        layout = find(directory)
        cache = asked.cache or Path(folder) / "cache"
        if asked.load:
            _report_load(layout, cache, asked.load)
            return
        built = {each: _built(layout, cache, each) for each in PRECISIONS}
        sets: dict[str, Parts] = {"shipped": Reference(layout, asked.threads)}
        for precision in PRECISIONS:
            sets[precision] = Compact(layout, built[precision], asked.threads)
        print(f"{asked.threads} thread(s); ms, and how often the shipped parts' speed")
        print(f"{'':38}" + "".join(f"{name:>18}" for name in sets))
        clock = time.thread_time if asked.threads == 1 else time.perf_counter
        for title, works in _measures(layout, sets):
            _print_row(title, _quickest(works, clock), list(sets))
        for precision in PRECISIONS:
            _in_a_process(directory, cache, precision)


def _measures(layout: Layout, sets: dict[str, Parts]) -> Iterator[tuple[str, dict[str, Work]]]:
    prompt, codes = _prompt(layout), _codes(layout, 8)
    yield f"prompt of {len(prompt)} rows", _each(sets, partial(_read, prompt=prompt))
    compact = {name: parts for name, parts in sets.items() if name != "shipped"}
    rows = _TEXT_TOKENS + 7
    yield f"{rows} rows behind a voice", _each(compact, partial(_read, prompt=prompt, last=rows))
    for count in ROWS:
        step = partial(_step, layout=layout, prompt=prompt, count=count)
        yield f"language model, step of {count} rows", _each(sets, step)
        yield f"frame of {count} rows", _each(sets, partial(_sample, layout=layout, count=count))
    for frames in (1, 2, 8):
        for before in (0, 60):
            title = f"codec, call of {frames} frames after {before}"
            work = partial(_decode, codes=codes[:frames], before=before)
            yield title, _each(sets, work)
    for seconds in (3, 10):
        work = partial(_encode, layout=layout, seconds=seconds)
        yield f"clip of {seconds} s", _each(sets, work)


def _each(sets: dict[str, Parts], make: Callable[[Parts], Work]) -> dict[str, Work]:
    return {name: make(parts) for name, parts in sets.items()}


def _quickest(works: dict[str, Work], clock: Callable[[], float]) -> dict[str, float]:
    """Seconds by this clock."""
    best = dict.fromkeys(works, float("inf"))
    for work in works.values():
        work()
    for _ in range(_TURNS):
        for name, work in works.items():
            begin = clock()
            work()
            best[name] = min(best[name], clock() - begin)
    return best


def _prompt(layout: Layout) -> Ints:
    voice = max(layout.manifest.builtin_voices, key=lambda each: len(each.prompt_audio_codes))
    codes = np.array(voice.prompt_audio_codes, np.int32)[:130]
    return Prompt(layout.manifest).whole(codes, range(20, 20 + _TEXT_TOKENS))


def _read(parts: Parts, prompt: Ints, last: int = 0) -> Work:
    """A whole prompt, or so many of its last rows behind the kept rest."""
    model = parts.language_model(1, len(prompt))
    prefix = None
    if last:
        seat, _ = model.join(prompt[:-last])
        prefix = model.keep(seat, len(prompt) - last)
        model.leave(seat)
    return lambda: model.leave(model.join(prompt[-last:], prefix)[0])


def _step(parts: Parts, layout: Layout, prompt: Ints, count: int) -> Work:
    model = parts.language_model(count, len(prompt) + _TURNS + 2)
    seats = [model.join(prompt)[0] for _ in range(count)]
    rows = Prompt(layout.manifest).spoken(_codes(layout, count))
    return lambda: model.step(seats, rows)


def _sample(parts: Parts, layout: Layout, count: int) -> Work:
    chance, shape = np.random.default_rng(0), layout.shape
    hidden = chance.standard_normal((count, shape.hidden), np.float32)
    seen = np.zeros((count, shape.codebooks, shape.codebook_size), np.int32)
    draws = Draws(
        chance.random(count, np.float32), chance.random((count, shape.codebooks), np.float32)
    )
    sampler = parts.sampler("fixed")
    return lambda: sampler.sample(hidden, seen, draws)


def _decode(parts: Parts, codes: Ints, before: int) -> Work:
    """After so many frames; after none, each turn begins a stream."""
    decoder = parts.decoder()
    if not before:
        return lambda: decoder.decode(decoder.start(), codes)
    state = decoder.start()
    for _ in range(before // len(codes)):
        decoder.decode(state, codes)
    return lambda: decoder.decode(state, codes)


def _encode(parts: Parts, layout: Layout, seconds: int) -> Work:
    size = layout.shape.channels, seconds * layout.shape.sample_rate
    clip = np.random.default_rng(0).standard_normal(size, np.float32) * np.float32(0.1)
    encoder = parts.encoder()
    return lambda: encoder.encode(clip)


def _codes(layout: Layout, frames: int) -> Ints:
    size = frames, layout.shape.codebooks
    return np.random.default_rng(0).integers(0, layout.shape.codebook_size, size, dtype=np.int32)


def _print_row(title: str, best: dict[str, float], names: Sequence[str]) -> None:
    cells = []
    for name in names:
        if name not in best:
            cells.append(f"{'-':>18}")
            continue
        ratio = f"({best['shipped'] / best[name]:.2f})" if "shipped" in best else ""
        cells.append(f"{1e3 * best[name]:>9.2f} {ratio:>8}")
    print(f"{title:38}" + "".join(cells), flush=True)


def _built(layout: Layout, cache: Path, precision: Precision) -> store.Built:
    built = store.find(layout, cache, precision) or store.make(layout, cache, precision)
    for part, reason in built.refused.items():
        print(f"{precision}: {part} is not built: {reason}")
    return built


def _in_a_process(directory: Path, cache: Path, precision: Precision) -> None:
    command = [sys.executable, "-m", "tests.bench.moss_parts", "--load", precision]
    subprocess.run([*command, "--directory", directory, "--cache", cache], check=True)


def _report_load(layout: Layout, cache: Path, precision: Precision) -> None:
    """Load, one short speech, and what the process then holds."""
    before_mb = _resident_mb()
    begin = time.perf_counter()
    parts = Compact(layout, _built(layout, cache, precision), threads=1)
    prompt = _prompt(layout)
    parts.load()
    model, sampler, decoder = parts.language_model(1, 400), parts.sampler("fixed"), parts.decoder()
    load_s = time.perf_counter() - begin
    seat, _ = model.join(prompt)
    work, state = _sample(parts, layout, 1), decoder.start()
    for _ in range(25):
        work()
        model.step([seat], prompt[-1:])
        decoder.decode(state, _codes(layout, 1))
    del sampler
    print(
        f"{precision}: loaded in {load_s:.2f} s; {_resident_mb():.0f} MB are resident after two "
        f"seconds of speech, {before_mb:.0f} MB were before"
    )


def _resident_mb() -> float:
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, help="a model directory")
    parser.add_argument("--cache", type=Path, help="where built graphs are kept")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--load", choices=PRECISIONS, help="only this: load it and tell the memory")
    return parser.parse_args()


if __name__ == "__main__":
    main()
