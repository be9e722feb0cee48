"""What the metadata files tell of the graphs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.tiny_moss import frame
from tests.support.tiny_moss.codec import contexts
from tests.support.tiny_moss.files import CODEC_FILES, tts_files
from tests.support.tiny_moss.spec import Codec, Spec

TOKENS = {
    "pad_token_id": 3,
    "im_start_token_id": 4,
    "im_end_token_id": 5,
    "audio_start_token_id": 6,
    "audio_end_token_id": 7,
    "audio_user_slot_token_id": 8,
    "audio_assistant_slot_token_id": 9,
}


def tts_meta(spec: Spec) -> dict[str, object]:
    files = tts_files(spec)
    caches = [f"{what}_{at}" for at in range(spec.layers) for what in ("key", "value")]
    outputs = ["global_hidden", *(f"present_{cache}" for cache in caches)]
    return {
        "format_version": 1,
        "checkpoint_path": "MOSS-TTS-Nano",
        "files": {what: graph for what, (graph, _) in files.items()},
        "external_data_files": {graph: [data] for graph, data in files.values()},
        "model_config": {
            "n_vq": spec.codebooks,
            "row_width": spec.codebooks + 1,
            "hidden_size": spec.hidden,
            "global_layers": spec.layers,
            "global_heads": spec.heads,
            "head_dim": spec.head_width,
            "local_layers": 1,
            "local_heads": spec.heads,
            "local_head_dim": spec.head_width,
            "vocab_size": spec.vocabulary,
            "audio_codebook_sizes": [spec.codebook_size] * spec.codebooks,
            "audio_pad_token_id": spec.codebook_size,
            **TOKENS,
        },
        "onnx": {
            "opset": 17,
            "prefill_output_names": outputs,
            "decode_input_names": [
                "input_ids",
                "past_valid_lengths",
                *(f"past_{cache}" for cache in caches),
            ],
            "decode_output_names": outputs,
            "local_cached_input_names": [
                "global_hidden",
                "text_token_id",
                "audio_token_id",
                "channel_index",
                "step_type",
                "past_valid_lengths",
                "local_past_key_0",
                "local_past_value_0",
            ],
            "local_cached_output_names": [
                "text_logits",
                "audio_logits",
                "local_present_key_0",
                "local_present_value_0",
            ],
            "local_fixed_sampled_frame_input_names": [
                "global_hidden",
                "repetition_seen_mask",
                "assistant_random_u",
                "audio_random_u",
            ],
            "local_fixed_sampled_frame_output_names": ["should_continue", "frame_token_ids"],
            "fixed_sampled_frame_constants": {
                "text_temperature": 1.0,
                "text_top_p": 1.0,
                "text_top_k": 50,
                "audio_temperature": frame.TEMPERATURE,
                "audio_top_p": frame.TOP_P,
                "audio_top_k": frame.TOP_K,
                "audio_repetition_penalty": frame.REPETITION,
            },
        },
    }


def codec_meta(spec: Spec) -> dict[str, object]:
    codec = spec.codec
    offsets = [_offset(at) for at in range(len(codec.stages))]
    caches = [_cache(codec, at) for at in range(len(contexts(codec)))]
    names = ("offset", "cached_keys", "cached_values", "cached_positions")
    step_inputs = [offset["input_name"] for offset in offsets]
    step_inputs += [cache[f"{name}_input_name"] for cache in caches for name in names]
    step_outputs = [offset["output_name"] for offset in offsets]
    step_outputs += [cache[f"{name}_output_name"] for cache in caches for name in names]
    return {
        "format_version": 2,
        "checkpoint_path": "MOSS-Audio-Tokenizer-Nano",
        "files": {what: graph for what, (graph, _) in CODEC_FILES.items()},
        "external_data_files": {graph: [data] for graph, data in CODEC_FILES.values()},
        "codec_config": {
            "sample_rate": codec.sample_rate,
            "channels": codec.channels,
            "downsample_rate": codec.frame_samples,
            "num_quantizers": spec.codebooks,
        },
        "onnx": {
            "opset": 17,
            "encode_input_names": ["waveform", "input_lengths"],
            "encode_output_names": ["audio_codes", "audio_code_lengths"],
            "decode_input_names": ["audio_codes", "audio_code_lengths"],
            "decode_output_names": ["audio", "audio_lengths"],
            "decode_step_input_names": ["audio_codes", "audio_code_lengths", *step_inputs],
            "decode_step_output_names": ["audio", "audio_lengths", *step_outputs],
        },
        "streaming_decode": {
            "batch_size": 1,
            "transformer_offsets": offsets,
            "attention_caches": caches,
        },
    }


def write_json(path: Path, content: dict[str, object]) -> None:
    """Spelt as the real files are: lines end with CR LF, the last one with nothing."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8", newline="\r\n")


def _offset(at: int) -> dict[str, object]:
    return {
        "index": at,
        "decoder_index": 2 * at + 1,
        "input_name": f"transformer_offset_{at}",
        "output_name": f"transformer_offset_out_{at}",
        "shape": [1],
        "dtype": "int32",
    }


def _cache(codec: Codec, at: int) -> dict[str, object]:
    homes = [
        (2 * index + 1, layer, stage.context)
        for index, stage in enumerate(codec.stages)
        for layer in range(stage.layers)
    ]
    decoder_index, layer_index, context = homes[at]
    names = {
        f"{what}_{way}put_name": f"attn_{what}_{'' if way == 'in' else 'out_'}{at}"
        for what in ("offset", "cached_keys", "cached_values", "cached_positions")
        for way in ("in", "out")
    }
    return {
        "index": at,
        "decoder_index": decoder_index,
        "layer_index": layer_index,
        "context": context,
        "num_heads": codec.heads,
        "head_dim": codec.head_width,
        **names,
        "offset_shape": [1],
        "cache_shape": [1, codec.heads, context, codec.head_width],
        "positions_shape": [1, context],
        "cache_dtype": "float32",
        "positions_dtype": "int32",
    }
