"""The shipped graphs, run as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tests.support.tiny_moss import CODEC_FOLDER, TTS_FOLDER

Arrays = dict[str, NDArray[Any]]


class Shipped:
    """Every graph by the key that the metadata has for it; each is loaded when first asked for."""

    def __init__(self, directory: Path) -> None:
        tts, codec = directory / TTS_FOLDER, directory / CODEC_FOLDER
        self.manifest = json.loads((tts / "browser_poc_manifest.json").read_text("utf-8"))
        self.tts_meta = json.loads((tts / "tts_browser_onnx_meta.json").read_text("utf-8"))
        self.codec_meta = json.loads((codec / "codec_browser_onnx_meta.json").read_text("utf-8"))
        self.paths = {key: tts / file for key, file in self.tts_meta["files"].items()}
        self.codec_paths = {key: codec / file for key, file in self.codec_meta["files"].items()}
        self._sessions: dict[Path, onnxruntime.InferenceSession] = {}

    def run(self, key: str, **inputs: NDArray[Any]) -> Arrays:
        return self._run(self.paths[key], inputs)

    def run_codec(self, key: str, **inputs: NDArray[Any]) -> Arrays:
        return self._run(self.codec_paths[key], inputs)

    def codec_start(self) -> Arrays:
        """The state in which a stream begins, by the names of the inputs."""
        streaming = self.codec_meta["streaming_decode"]
        state: Arrays = {
            offset["input_name"]: np.zeros(offset["shape"], offset["dtype"])
            for offset in streaming["transformer_offsets"]
        }
        for cache in streaming["attention_caches"]:
            kept = np.zeros(cache["cache_shape"], cache["cache_dtype"])
            places = np.full(cache["positions_shape"], -1, cache["positions_dtype"])
            state[cache["offset_input_name"]] = np.zeros(cache["offset_shape"], np.int32)
            state[cache["cached_keys_input_name"]] = kept
            state[cache["cached_values_input_name"]] = kept
            state[cache["cached_positions_input_name"]] = places
        return state

    def decode_step(self, codes: NDArray[np.int32], state: Arrays) -> tuple[NDArray[Any], Arrays]:
        """`codes` [frames, codebooks]; gives samples [channels, samples] and the next state."""
        count = np.array([len(codes)], np.int32)
        out = self.run_codec(
            "decode_step", audio_codes=codes[None], audio_code_lengths=count, **state
        )
        names = self.codec_meta["onnx"]
        inputs, outputs = names["decode_step_input_names"], names["decode_step_output_names"]
        moved = dict(zip(inputs[2:], (out[name] for name in outputs[2:]), strict=True))
        return out["audio"][0], moved

    def _run(self, path: Path, inputs: Arrays) -> Arrays:
        if path not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._sessions[path] = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        session = self._sessions[path]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))
