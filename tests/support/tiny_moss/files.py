"""Which files a model directory has, with their names."""

from __future__ import annotations

from typing import NamedTuple

from tests.support.tiny_moss.spec import Spec

TTS_FOLDER = "MOSS-TTS-Nano-100M-ONNX"
CODEC_FOLDER = "MOSS-Audio-Tokenizer-Nano-ONNX"


class GraphFile(NamedTuple):
    """A graph and the file with its tensors, which others may share."""

    graph: str
    data: str


Files = dict[str, GraphFile]

_GLOBAL, _LOCAL = "moss_tts_global_shared.data", "moss_tts_local_shared.data"
_ENCODE = "moss_audio_tokenizer_encode.data"
_DECODE = "moss_audio_tokenizer_decode_shared.data"
TTS_FILES: Files = {
    "prefill": GraphFile("moss_tts_prefill.onnx", _GLOBAL),
    "decode_step": GraphFile("moss_tts_decode_step.onnx", _GLOBAL),
    "local_decoder": GraphFile("moss_tts_local_decoder.onnx", _LOCAL),
    "local_cached_step": GraphFile("moss_tts_local_cached_step.onnx", _LOCAL),
    "local_fixed_sampled_frame": GraphFile("moss_tts_local_fixed_sampled_frame.onnx", _LOCAL),
}
CODEC_FILES: Files = {
    "encode": GraphFile("moss_audio_tokenizer_encode.onnx", _ENCODE),
    "decode_full": GraphFile("moss_audio_tokenizer_decode_full.onnx", _DECODE),
    "decode_step": GraphFile("moss_audio_tokenizer_decode_step.onnx", _DECODE),
}


def tts_files(spec: Spec) -> Files:
    if not spec.greedy_frame:
        return TTS_FILES
    return TTS_FILES | {"local_greedy_frame": GraphFile("moss_tts_local_greedy_frame.onnx", _LOCAL)}
