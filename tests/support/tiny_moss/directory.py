"""A whole model directory, written file by file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.support.tiny_moss import codec, frame, language_model, local, tokenizer
from tests.support.tiny_moss.external import DataFile
from tests.support.tiny_moss.files import CODEC_FILES, CODEC_FOLDER, TTS_FOLDER, Files, tts_files
from tests.support.tiny_moss.graph import Graph
from tests.support.tiny_moss.manifest import manifest
from tests.support.tiny_moss.metadata import codec_meta, tts_meta, write_json
from tests.support.tiny_moss.spec import TINY, Spec
from tests.support.tiny_moss.style import PLAIN, Style
from tests.support.tiny_moss.weights import Weights

Write = Callable[[Graph], None]

_TOKENIZER_PIECES = 512


_TTS_GRAPHS: dict[str, Write] = {
    "prefill": language_model.prefill,
    "decode_step": language_model.decode_step,
    "local_decoder": local.decoder,
    "local_cached_step": local.cached_step,
    "local_fixed_sampled_frame": frame.fixed,
    "local_greedy_frame": frame.greedy,
}
_CODEC_GRAPHS: dict[str, Write] = {
    "encode": codec.encode,
    "decode_full": codec.decode_full,
    "decode_step": codec.decode_step,
}


def write(directory: Path, spec: Spec = TINY, *, seed: int = 0, style: Style = PLAIN) -> Path:
    """Write both folders into a directory, which is made; gives it back.

    No more than one tensor of the weights is in memory at a time.
    """
    weights = Weights(spec, seed)
    tts, codec_folder = directory / TTS_FOLDER, directory / CODEC_FOLDER
    _write_graphs(tts, tts_files(spec), _TTS_GRAPHS, weights, style)
    _write_graphs(codec_folder, CODEC_FILES, _CODEC_GRAPHS, weights, style)
    model = tokenizer.made(min(_TOKENIZER_PIECES, spec.vocabulary))
    (tts / "tokenizer.model").write_bytes(model)
    write_json(tts / "tts_browser_onnx_meta.json", tts_meta(spec))
    write_json(tts / "browser_poc_manifest.json", manifest(spec, model, seed))
    write_json(codec_folder / "codec_browser_onnx_meta.json", codec_meta(spec))
    return directory


def _write_graphs(
    folder: Path, files: Files, graphs: dict[str, Write], weights: Weights, style: Style
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        data = {
            name: stack.enter_context(DataFile(folder / name))
            for name in {file.data for file in files.values()}
        }
        for what, file in files.items():
            graph = Graph(file.graph.removesuffix(".onnx"), weights, data[file.data], style)
            graphs[what](graph)
            graph.save(folder / file.graph)
