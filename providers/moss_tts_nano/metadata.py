"""What a model directory says about itself: the manifest beside two metadata files.

Keys that we do not know are passed over, for later releases may add some; 1 is as good as 1.0.
The figures in the docstrings are those of the published model.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from providers.moss_tts_nano.parts import Shape


class ModelFiles(msgspec.Struct, frozen=True):
    """Where the rest is, relative to the manifest's folder."""

    tts_meta: str
    codec_meta: str
    tokenizer_model: str = "tokenizer.model"


class TtsConfig(msgspec.Struct, frozen=True):
    """Sizes and token ids of the language model."""

    n_vq: int
    audio_pad_token_id: int
    pad_token_id: int
    im_start_token_id: int
    im_end_token_id: int
    audio_start_token_id: int
    audio_end_token_id: int
    audio_user_slot_token_id: int
    audio_assistant_slot_token_id: int
    audio_codebook_sizes: tuple[int, ...]
    vocab_size: int


class PromptTemplates(msgspec.Struct, frozen=True):
    """The fixed token ids around the reference and the text: 12, 56 and 6 of them."""

    user_prompt_prefix_token_ids: tuple[int, ...]
    user_prompt_after_reference_token_ids: tuple[int, ...]
    assistant_prompt_prefix_token_ids: tuple[int, ...]


class GenerationDefaults(msgspec.Struct, frozen=True):
    """How frames are sampled unless an order says otherwise; the `fixed` graph has its own."""

    max_new_frames: int = 375
    do_sample: bool = True
    text_temperature: float = 1.0
    text_top_p: float = 1.0
    text_top_k: int = 50
    audio_temperature: float = 0.8
    audio_top_p: float = 0.95
    audio_top_k: int = 25
    audio_repetition_penalty: float = 1.2
    sample_mode: str = "fixed"


class BuiltinVoice(msgspec.Struct, frozen=True):
    """A voice with published codes; `group` is such as `English Female`."""

    voice: str
    prompt_audio_codes: list[list[int]]
    """[frames][codebooks]"""
    display_name: str = ""
    group: str = ""
    audio_file: str = ""

    def __repr__(self) -> str:
        return f"BuiltinVoice({self.voice!r}, {len(self.prompt_audio_codes)} frames)"


class TextSample(msgspec.Struct, frozen=True):
    """A sentence for warming up."""

    id: str = ""
    text: str = ""
    text_token_ids: tuple[int, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """`browser_poc_manifest.json`."""

    model_files: ModelFiles
    tts_config: TtsConfig
    prompt_templates: PromptTemplates
    generation_defaults: GenerationDefaults = GenerationDefaults()
    builtin_voices: tuple[BuiltinVoice, ...] = ()
    text_samples: tuple[TextSample, ...] = ()
    format_version: int = 1


class ModelConfig(msgspec.Struct, frozen=True):
    """The shape of both transformers."""

    n_vq: int
    row_width: int
    hidden_size: int
    global_layers: int
    global_heads: int
    head_dim: int
    local_layers: int
    local_heads: int
    local_head_dim: int
    vocab_size: int
    audio_codebook_sizes: tuple[int, ...]


class TtsOnnx(msgspec.Struct, frozen=True):
    """Names of the graphs' inputs and outputs, in order."""

    prefill_output_names: tuple[str, ...]
    decode_input_names: tuple[str, ...]
    decode_output_names: tuple[str, ...]
    local_cached_input_names: tuple[str, ...] = ()
    local_cached_output_names: tuple[str, ...] = ()
    local_fixed_sampled_frame_input_names: tuple[str, ...] = ()
    local_fixed_sampled_frame_output_names: tuple[str, ...] = ()
    fixed_sampled_frame_constants: Mapping[str, float] = {}


class TtsMeta(msgspec.Struct, frozen=True):
    """`tts_browser_onnx_meta.json`. `files` is by role: `prefill`, `decode_step`, …"""

    files: Mapping[str, str | None]
    model_config: ModelConfig
    onnx: TtsOnnx
    external_data_files: Mapping[str, tuple[str, ...]] = {}
    format_version: int = 1


class CodecConfig(msgspec.Struct, frozen=True):
    """The sound that the codec gives."""

    sample_rate: int
    channels: int
    downsample_rate: int
    num_quantizers: int


class CodecOnnx(msgspec.Struct, frozen=True):
    """Names of the codec graphs' inputs and outputs, in order."""

    encode_input_names: tuple[str, ...]
    encode_output_names: tuple[str, ...]
    decode_input_names: tuple[str, ...]
    decode_output_names: tuple[str, ...]
    decode_step_input_names: tuple[str, ...] = ()
    decode_step_output_names: tuple[str, ...] = ()


class OffsetSpec(msgspec.Struct, frozen=True):
    """A counter of the streaming state; it starts at 0."""

    input_name: str
    output_name: str
    shape: tuple[int, ...]
    index: int = 0
    decoder_index: int = 0
    dtype: str = "int32"


class CacheSpec(msgspec.Struct, frozen=True):
    """One attention layer's streaming state; positions start at -1, the rest at 0."""

    context: int
    num_heads: int
    head_dim: int
    offset_input_name: str
    offset_output_name: str
    cached_keys_input_name: str
    cached_keys_output_name: str
    cached_values_input_name: str
    cached_values_output_name: str
    cached_positions_input_name: str
    cached_positions_output_name: str
    offset_shape: tuple[int, ...]
    cache_shape: tuple[int, ...]
    positions_shape: tuple[int, ...]
    index: int = 0
    decoder_index: int = 0
    layer_index: int = 0
    cache_dtype: str = "float32"
    positions_dtype: str = "int32"


class StreamingDecode(msgspec.Struct, frozen=True):
    """The state that `decode_step` takes and gives back."""

    batch_size: int = 1
    transformer_offsets: tuple[OffsetSpec, ...] = ()
    attention_caches: tuple[CacheSpec, ...] = ()


class CodecMeta(msgspec.Struct, frozen=True):
    """`codec_browser_onnx_meta.json`. `files` is by role: `encode`, `decode_full`, …"""

    files: Mapping[str, str | None]
    codec_config: CodecConfig
    onnx: CodecOnnx
    streaming_decode: StreamingDecode = StreamingDecode()
    external_data_files: Mapping[str, tuple[str, ...]] = {}
    format_version: int = 2


def shape_of(manifest: Manifest, tts: TtsMeta, codec: CodecMeta) -> Shape:
    """The model's own numbers."""
    return Shape(
        codebooks=manifest.tts_config.n_vq,
        codebook_size=manifest.tts_config.audio_codebook_sizes[0],
        vocabulary=manifest.tts_config.vocab_size,
        hidden=tts.model_config.hidden_size,
        sample_rate=codec.codec_config.sample_rate,
        channels=codec.codec_config.channels,
        frame_samples=codec.codec_config.downsample_rate,
    )


def disagreement(manifest: Manifest, tts: TtsMeta, codec: CodecMeta) -> str | None:
    """Where the three files contradict each other; `None`: nowhere."""
    said = manifest.tts_config
    width = said.n_vq
    if len(set(said.audio_codebook_sizes)) != 1 or len(said.audio_codebook_sizes) != width:
        return f"tts_config.audio_codebook_sizes does not hold {width} equal sizes"
    if tts.model_config.n_vq != width or tts.model_config.row_width != width + 1:
        return "the manifest and the model's metadata give different numbers of codebooks"
    if codec.codec_config.num_quantizers != width:
        return "the manifest and the codec's metadata give different numbers of codebooks"
    if tts.model_config.vocab_size != said.vocab_size:
        return "the manifest and the model's metadata give different vocabularies"
    most = said.audio_codebook_sizes[0]
    for voice in manifest.builtin_voices:
        for frame in voice.prompt_audio_codes:
            if len(frame) != width or not 0 <= min(frame) <= max(frame) < most:
                return f"the codes of the builtin voice {voice.voice!r} are not {width} to a frame"
    return None
