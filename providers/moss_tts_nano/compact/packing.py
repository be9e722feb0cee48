"""Writes a graph's weights down as this machine multiplies by them.

onnxruntime lays a matrix out for the processor that it runs on, and each session has a copy of its
own. Where that layout is in the file, sessions map it: several share one, and a start has nothing
to lay out.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from providers.moss_tts_nano.compact.emit import SMALL_BYTES
from providers.moss_tts_nano.sessions import open_session, options

Probe = Callable[[Mapping[str, Sequence[int | str]]], dict[str, NDArray[Any]]]
"""Something to run a graph with, by the shapes of its inputs."""

_CPU = ["CPUExecutionProvider"]
_CPUINFO = Path("/proc/cpuinfo")
_TELLING = ("flags", "Features", "CPU implementer", "CPU part")
"""Lines that tell one processor from another, of x86 and of ARM."""


def pack(plain: Path, packed: Path, probe: Probe) -> bool:
    """From one graph make the other, with its weights beside it. The first is gone then.

    Says whether it is packed: where the packed one gives other numbers (onnxruntime 1.31 packs
    8-bit blocks so that they are none), it is the plain one under its name, and keeps its weights
    where they are.
    """
    data = packed.with_suffix(".data")
    wanted = options(threads=1)
    wanted.optimized_model_filepath = str(packed)
    for key, value in {
        "optimized_model_external_initializers_file_name": data.name,
        "optimized_model_external_initializers_min_size_in_bytes": str(SMALL_BYTES),
        "save_external_prepacked_constant_initializers": "1",
    }.items():
        wanted.add_session_config_entry(f"session.{key}", value)
    before = _answer(onnxruntime.InferenceSession(str(plain), wanted, providers=_CPU), probe)
    after = _answer(open_session(packed, 1), probe)
    is_right = all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    if is_right:
        plain.unlink()
        plain.with_suffix(".data").unlink()
    else:
        plain.replace(packed)
        data.unlink()
    return is_right


def _answer(session: onnxruntime.InferenceSession, probe: Probe) -> list[NDArray[Any]]:
    shapes = {each.name: each.shape for each in session.get_inputs()}
    answer: list[NDArray[Any]] = session.run(None, probe(shapes))
    return answer


def processor() -> str:
    """A mark of the processor's kind: what was packed for one is nothing to another."""
    try:
        lines = set(_CPUINFO.read_text("utf-8", "replace").splitlines())
        told = sorted(line for line in lines if line.startswith(_TELLING))
    except OSError:  # not Linux
        told = [platform.processor()]
    marks = "\n".join((platform.machine(), *told))
    return hashlib.sha256(marks.encode()).hexdigest()[:8]
