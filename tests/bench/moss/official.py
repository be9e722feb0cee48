"""A loop in the official runtime's manner.

Eight sessions made at the start, the whole cache handed in and out as numpy arrays at every frame,
samples decoded by the cadence of its streaming: after OpenMOSS/MOSS-TTS-Nano, onnx_tts_runtime.py
with ort_cpu_runtime.py, commit 42b4645 (2026).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tests.bench.moss.contender import Spoken, Task
from tests.support.tiny_moss import CODEC_FOLDER, TTS_FOLDER

Arrays = dict[str, NDArray[Any]]
_MOST = 0.99999994
_CADENCE = ((0.20, 1), (0.55, 2), (1.10, 4))
"""Seconds that the stream is ahead of its listener, with the frames then decoded at once."""
_AT_EASE = 8


class Official:
    """One stream; a `Runtime`."""

    def __init__(self, models: Path, threads: int, *, spinning: bool) -> None:
        tts, codec = _folders(models)
        self._manifest = json.loads((tts / "browser_poc_manifest.json").read_text("utf-8"))
        meta = json.loads((tts / "tts_browser_onnx_meta.json").read_text("utf-8"))
        self._codec_meta = json.loads((codec / "codec_browser_onnx_meta.json").read_text("utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if not spinning:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        files = {key: tts / file for key, file in meta["files"].items()}
        files |= {f"codec_{key}": codec / file for key, file in self._codec_meta["files"].items()}
        self._sessions = {
            key: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            for key, path in files.items()
        }
        self._chance = np.random.default_rng(1234)

    def speak(self, task: Task, lengths: list[int], streams: int) -> Spoken:
        if streams != 1:
            raise ValueError("the official loop has one stream")
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        waited_s, paces, audio_s = list[float](), list[float](), 0.0
        for frames in lengths:
            at_s = time.perf_counter()
            stream = self._spoken(task, frames)
            waited_s.append(stream.first_s - at_s)
            paces.append(stream.emitted_s / (time.perf_counter() - at_s))
            audio_s += stream.emitted_s
        return Spoken(
            audio_s=audio_s,
            wall_s=time.perf_counter() - began_s,
            cpu_s=time.process_time() - began_cpu_s,
            first_audio_s=waited_s,
            paces=paces,
        )

    def _spoken(self, task: Task, frames: int) -> _Stream:
        stream = _Stream(self._sessions["codec_decode_step"], self._codec_meta)
        hidden, past, length = self._prefill(_prompt(self._manifest, task))
        seen: list[set[int]] = [set() for _ in range(self._codebooks)]
        pending: list[list[int]] = []
        for _ in range(frames):
            goes_on, codes = self._frame(hidden, seen)
            if not goes_on:
                raise RuntimeError("a stream ended: write the model with a larger stop margin")
            for channel, code in enumerate(codes):
                seen[channel].add(code)
            hidden, past = self._step(codes, past, length)
            length += 1
            pending.append(codes)
            budget = stream.budget()
            if len(pending) >= budget:
                stream.decode(pending[:budget])
                pending = pending[budget:]
        if pending:
            stream.decode(pending)
        return stream

    @property
    def _codebooks(self) -> int:
        return int(self._manifest["tts_config"]["n_vq"])

    def _prefill(self, rows: NDArray[np.int32]) -> tuple[NDArray[Any], Arrays, int]:
        mask = np.ones((1, len(rows)), np.int32)
        out = self._run("prefill", {"input_ids": rows[None], "attention_mask": mask})
        return out["global_hidden"][:, -1], _past(out), len(rows)

    def _frame(self, hidden: NDArray[Any], seen: list[set[int]]) -> tuple[bool, list[int]]:
        size = self._manifest["tts_config"]["audio_codebook_sizes"][0]
        mask = np.zeros((1, self._codebooks, size), np.int32)
        for channel, heard in enumerate(seen):
            for code in heard:
                mask[0, channel, code] = 1
        text = min(_MOST, float(self._chance.random()))
        audio = [min(_MOST, float(self._chance.random())) for _ in range(self._codebooks)]
        inputs = {
            "global_hidden": hidden,
            "repetition_seen_mask": mask,
            "assistant_random_u": np.array([text], np.float32),
            "audio_random_u": np.array([audio], np.float32),
        }
        out = self._run("local_fixed_sampled_frame", inputs)
        codes = [int(code) for code in out["frame_token_ids"].reshape(-1)]
        return bool(out["should_continue"].reshape(-1)[0]), codes

    def _step(self, codes: list[int], past: Arrays, length: int) -> tuple[NDArray[Any], Arrays]:
        slot = self._manifest["tts_config"]["audio_assistant_slot_token_id"]
        row = np.array([[[slot, *codes]]], np.int32)
        valid = np.array([length], np.int32)
        out = self._run("decode_step", {"input_ids": row, "past_valid_lengths": valid, **past})
        return out["global_hidden"][:, -1], _past(out)

    def _run(self, key: str, inputs: Arrays) -> Arrays:
        session = self._sessions[key]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, inputs), strict=True))


class _Stream:
    """Frames to samples, in the pieces of the official cadence."""

    def __init__(self, session: onnxruntime.InferenceSession, meta: dict[str, Any]) -> None:
        self._session = session
        self._rate = meta["codec_config"]["sample_rate"]
        self._inputs = meta["onnx"]["decode_step_input_names"][2:]
        self._outputs = meta["onnx"]["decode_step_output_names"]
        self._state = _codec_start(meta)
        self.emitted_s = 0.0
        self.first_s = 0.0
        """By the clock; 0 before the first samples."""

    def budget(self) -> int:
        """Frames that are to be decoded at once now."""
        ahead_s = self.emitted_s - (time.perf_counter() - self.first_s) if self.first_s else 0.0
        return next((frames for below_s, frames in _CADENCE if ahead_s < below_s), _AT_EASE)

    def decode(self, frames: list[list[int]]) -> None:
        codes = np.array([frames], np.int32)
        inputs = {"audio_codes": codes, "audio_code_lengths": np.array([len(frames)], np.int32)}
        out = self._session.run(self._outputs, inputs | self._state)
        self._state = dict(zip(self._inputs, out[2:], strict=True))
        self.first_s = self.first_s or time.perf_counter()
        self.emitted_s += int(out[1][0]) / self._rate


def _folders(models: Path) -> tuple[Path, Path]:
    return models / TTS_FOLDER, models / CODEC_FOLDER


def _past(out: Arrays) -> Arrays:
    return {
        name.replace("present_", "past_"): value
        for name, value in out.items()
        if name.startswith("present_")
    }


def _codec_start(meta: dict[str, Any]) -> Arrays:
    streaming = meta["streaming_decode"]
    state: Arrays = {
        offset["input_name"]: np.zeros(offset["shape"], np.int32)
        for offset in streaming["transformer_offsets"]
    }
    for cache in streaming["attention_caches"]:
        state[cache["offset_input_name"]] = np.zeros(cache["offset_shape"], np.int32)
        for what in ("keys", "values"):
            name = cache[f"cached_{what}_input_name"]
            state[name] = np.zeros(cache["cache_shape"], np.float32)
        places = np.full(cache["positions_shape"], -1, np.int32)
        state[cache["cached_positions_input_name"]] = places
    return state


def _prompt(manifest: dict[str, Any], task: Task) -> NDArray[np.int32]:
    """The voice's reference, the text, and what stands around them."""
    config, template = manifest["tts_config"], manifest["prompt_templates"]
    padding = [config["audio_pad_token_id"]] * config["n_vq"]
    before = [*template["user_prompt_prefix_token_ids"], config["audio_start_token_id"]]
    after = [
        config["audio_end_token_id"],
        *template["user_prompt_after_reference_token_ids"],
        *task.text,
        *template["assistant_prompt_prefix_token_ids"],
        config["audio_start_token_id"],
    ]
    rows = [[token, *padding] for token in before]
    rows += [[config["audio_user_slot_token_id"], *codes] for codes in task.voice]
    rows += [[token, *padding] for token in after]
    return np.array(rows, np.int32)
