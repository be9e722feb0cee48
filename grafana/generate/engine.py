"""The voice on this machine: a dashboard of the local engine."""

from __future__ import annotations

from grafana.generate.board import BY_ENGINE, Board, Row
from grafana.generate.panels import GREEN, RED, YELLOW, About, Line, Panel, graph, number, rows
from grafana.generate.queries import HERE, PROVIDER, rate

_FRAMES_PER_S = 12.5
"""Frames in a second of audio."""


def engine() -> Board:
    return Board(
        "tts-engine",
        "Speech: local engine",
        "Is the engine ready, does it keep up, where does its time go, and which graphs serve?",
        [BY_ENGINE],
        [
            Row("Is it there?", [_ready(), _load(), _paths()]),
            Row("Does it keep up?", [_pace(), _rows(), _audio(), _stages()]),
            Row("What does it take?", [_again(), _memory()]),
        ],
    )


def _ready() -> Panel:
    about = About(
        1,
        "How far is its start?",
        "100 %: it speaks. Below: how much of the running stage of its start is done (fetching, "
        "checking, building, proving).",
        "percentunit",
    )
    line = Line(f"min(tts_engine_start_ratio{{{PROVIDER}}})")
    return number(about, line, steps=[(1, GREEN)], below=YELLOW, width=6)


def _load() -> Panel:
    about = About(
        2,
        "How long did its start take?",
        "From the start of the router until the engine could speak. 0: not yet.",
        "s",
    )
    return number(about, Line(f"max(tts_engine_load_seconds{{{PROVIDER}}})"), width=6)


def _paths() -> Panel:
    about = About(
        3,
        "Which graphs serve, and why?",
        "For each part of the model: the faster graph (exact or int8), or the shipped one "
        "(reference) with the reason.",
        "none",
    )
    by = "instance, provider, part, path, why"
    line = Line(f"max by ({by}) (tts_engine_path_info{{{PROVIDER}}})")
    return rows(about, line)


def _pace() -> Panel:
    about = About(
        4,
        "Is it faster than it is heard?",
        "The real-time factor: seconds of work for a second of audio, as each listener has it. "
        "Above 1 (dashed) they hear gaps. The more speak at once, the slower each is.",
        "none",
    )
    work = rate("tts_provider_work_seconds_total", PROVIDER, "provider")
    audio = rate("tts_provider_audio_seconds_total", PROVIDER, "provider")
    engines = f"group by (provider) (tts_engine_ready{{{PROVIDER}}})"
    ours = f"{work} / ({audio} > 0) and on (provider) {engines}"
    return graph(about, Line(ours, "{{provider}}"), steps=[(1, RED)])


def _rows() -> Panel:
    about = About(
        5,
        "How many speak at once?",
        "Rows of the batch that are in use, and how many there are; and the speeches of which "
        "nothing has begun.",
        "none",
    )
    shown = (
        ("tts_engine_rows", "rows in use"),
        ("tts_engine_rows_limit", "rows"),
        ("tts_engine_speeches_waiting", "speeches that wait"),
    )
    lines = [
        Line(f"sum by (provider) ({metric}{{{PROVIDER}}})", f"{{{{provider}}}}: {told}")
        for metric, told in shown
    ]
    return graph(about, *lines)


def _audio() -> Panel:
    about = About(
        6,
        "How much audio does it make?",
        "Seconds of audio a second, for all listeners together (12.5 frames each). Compare it with "
        "how many speak at once: each needs 1.",
        "none",
    )
    frames = rate("tts_engine_frames_total", PROVIDER, "provider")
    return graph(about, Line(f"{frames} / {_FRAMES_PER_S}", "{{provider}}"))


def _stages() -> Panel:
    about = About(
        7,
        "Where does its time go?",
        "Seconds a second that its threads spend: reading the text (prefill), the language model "
        "(decode), the codebooks of a frame (local), and making sound of them (codec).",
        "none",
    )
    line = Line(rate("tts_engine_stage_seconds_total", PROVIDER, "stage"), "{{stage}}")
    return graph(about, line, stacked=True)


def _again() -> Panel:
    about = About(
        8,
        "What had to be made again?",
        "Chunks a minute that had gone wrong and were made again before anybody heard of it, by "
        "what was found. Many: the model or its graphs are at fault.",
        "none",
    )
    again = rate("tts_engine_chunks_regenerated_total", PROVIDER, "finding")
    return graph(about, Line(f"60 * {again}", "{{finding}}"), stacked=True)


def _memory() -> Panel:
    about = About(
        9,
        "How much memory does it take?",
        "The model, the voices that are kept ready, and the whole router process to compare with.",
        "bytes",
    )
    shown = (
        ("tts_engine_model_resident_bytes", PROVIDER, "model"),
        ("tts_engine_voices_bytes", PROVIDER, "voices"),
        ("process_resident_memory_bytes", HERE, "router process"),
    )
    return graph(about, *[Line(f"sum({metric}{{{where}}})", told) for metric, where, told in shown])
