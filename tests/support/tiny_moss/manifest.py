"""The manifest of a model directory: prompt templates, voices, defaults."""

from __future__ import annotations

import numpy as np
import sentencepiece

from tests.support.tiny_moss import frame
from tests.support.tiny_moss.files import CODEC_FOLDER
from tests.support.tiny_moss.metadata import TOKENS
from tests.support.tiny_moss.spec import Spec

_AFTER_REFERENCE = "".join(
    f"\n- {what}:\n" + ("" if what == "Text" else "None")
    for what in (
        "Instruction",
        "Tokens",
        "Quality",
        "Sound Event",
        "Ambient Sound",
        "Language",
        "Text",
    )
)
_REAL_PREFIX = "600 289 10356 13 10356 10425 1860 4546 12907 10363 13325 11492"
_REAL_AFTER_REFERENCE = (
    "10356 10425 3965 7738 11492 505 587 10356 10425 352 500 856 11492 505 587 10356 10425 2128 "
    "1247 594 11492 505 587 10356 10425 348 909 561 3648 11492 505 587 10356 10425 2818 1305 355 "
    "348 909 11492 505 587 10356 10425 484 339 10367 783 11492 505 587 10356 10425 2427 980 11492"
)
_REAL_ASSISTANT = "10356 14 5 4 8165 430"
_SAMPLES = {
    "zh_browser_poc": "你好，世界。今天的天气很好。",
    "en_browser_poc": "It was the best of times, it was the worst of times.",
}


def manifest(spec: Spec, tokenizer: bytes, seed: int) -> dict[str, object]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    return {
        "format_version": 1,
        "model_files": {
            "tts_meta": "tts_browser_onnx_meta.json",
            "codec_meta": f"../{CODEC_FOLDER}/codec_browser_onnx_meta.json",
            "tokenizer_model": "tokenizer.model",
        },
        "tts_config": {
            "n_vq": spec.codebooks,
            "audio_pad_token_id": spec.codebook_size,
            **TOKENS,
            "audio_codebook_sizes": [spec.codebook_size] * spec.codebooks,
            "vocab_size": spec.vocabulary,
        },
        "prompt_templates": _templates(spec, processor),
        "generation_defaults": {
            "max_new_frames": spec.max_frames,
            "do_sample": True,
            "text_temperature": 1,
            "text_top_p": 1,
            "text_top_k": 50,
            "audio_temperature": frame.TEMPERATURE,
            "audio_top_p": frame.TOP_P,
            "audio_top_k": frame.TOP_K,
            "audio_repetition_penalty": frame.REPETITION,
            "sample_mode": "fixed",
        },
        "builtin_voices": _voices(spec, seed),
        "text_samples": [
            {"id": id, "text": text, "text_token_ids": processor.encode(text)}
            for id, text in _SAMPLES.items()
        ],
    }


def _templates(spec: Spec, processor: sentencepiece.SentencePieceProcessor) -> dict[str, list[int]]:
    def encoded(text: str) -> list[int]:
        ids: list[int] = processor.encode(text)
        return ids

    def known(ids: str) -> list[int]:
        return [int(id) for id in ids.split()]

    if spec.real_template:
        parts = [known(ids) for ids in (_REAL_PREFIX, _REAL_AFTER_REFERENCE, _REAL_ASSISTANT)]
    else:
        assistant = [*encoded("\n</user_inst>"), 5, *encoded("\n"), 4, *encoded("assistant\n")]
        prefix = encoded("user\n") + encoded("<user_inst>\n- Reference(s):\n")
        parts = [prefix, encoded(_AFTER_REFERENCE), assistant]
    names = ("user_prompt_prefix", "user_prompt_after_reference", "assistant_prompt_prefix")
    return {f"{name}_token_ids": ids for name, ids in zip(names, parts, strict=True)}


def _voices(spec: Spec, seed: int) -> list[dict[str, object]]:
    chance = np.random.default_rng([seed, len(spec.voices)])
    return [
        {
            "voice": voice.name,
            "display_name": voice.title,
            "group": voice.group,
            "audio_file": voice.clip,
            "prompt_audio_codes": chance.integers(
                spec.codebook_size, size=(voice.frames, spec.codebooks)
            ).tolist(),
        }
        for voice in spec.voices
    ]
