"""Which parameters a model has: their names, shapes and sizes."""

from __future__ import annotations

from typing import NamedTuple

from tests.support.tiny_moss.spec import Codec, Spec, Stage

TEXT_TABLE = "transformer.wte.weight"
TEXT_HEAD = "text_lm_head.weight"
_LOGIT_SPREAD = 1.5
"""Standard deviation of a random token's logit: enough that sampled codes differ, and that none
always wins."""
_LAYER_SCALE = 0.4
_LOUDNESS = 0.06
"""Gain of what gives samples: their peaks stay within -1..1."""
_FINER = 0.85
"""How much smaller a codebook's entries are than those of the one before."""


class Random(NamedTuple):
    """A normal distribution in a shape."""

    shape: tuple[int, ...]
    spread: float
    around: float = 0.0


Parameters = dict[str, Random]


def parameters(spec: Spec) -> Parameters:
    """All but the heads, which are transposed tables."""
    table = _LOGIT_SPREAD / spec.hidden**0.5
    found = {TEXT_TABLE: Random((spec.vocabulary, spec.hidden), table)}
    for channel in range(spec.codebooks):
        found[audio_table(channel)] = Random((spec.codebook_size, spec.hidden), table)
    found |= _language_model("transformer", spec, spec.layers)
    found |= _language_model("local_transformer", spec, 1)
    found |= _quantiser(spec)
    for at in range(len(spec.codec.stages)):
        found |= _decoder_stage(spec.codec, at) | _encoder_stage(spec.codec, at)
    return found


def audio_table(channel: int) -> str:
    return f"audio_embeddings.{channel}.weight"


def audio_head(channel: int) -> str:
    return f"audio_lm_heads.{channel}.weight"


def decoder(stage: int) -> str:
    """Its transformers stand at odd places; between them are patches, without parameters."""
    return f"decoder.{2 * stage + 1}"


def encoder(codec: Codec, stage: int) -> str:
    """The transformer that mirrors that stage of the decoder."""
    return f"encoder.{2 * (len(codec.stages) - stage) - 1}"


def _language_model(prefix: str, spec: Spec, layers: int) -> Parameters:
    width, wide = spec.hidden, spec.feed_forward
    found = _norm(f"{prefix}.ln_f", width, bias_spread=0)
    for at in range(layers):
        layer = f"{prefix}.h.{at}"
        found |= _norm(f"{layer}.ln_1", width, bias_spread=0)
        found |= _norm(f"{layer}.ln_2", width, bias_spread=0)
        found |= _linear(f"{layer}.attn.c_attn", width, 3 * width)
        found |= _linear(f"{layer}.attn.c_proj", width, width)
        found |= _linear(f"{layer}.mlp.fc_in", width, wide)
        found |= _linear(f"{layer}.mlp.fc_out", wide, width)
    return found


def _quantiser(spec: Spec) -> Parameters:
    codec = spec.codec
    found = _linear("quantizer.input_proj", codec.latent, codec.quantiser)
    found |= _linear("quantizer.output_proj", codec.quantiser, codec.latent)
    for at in range(spec.codebooks):
        name = f"quantizer.quantizers.{at}"
        found[f"{name}.codebook.weight"] = Random((spec.codebook_size, codec.code_width), 1)
        found |= _linear(f"{name}.in_proj", codec.quantiser, codec.code_width)
        found |= _linear(f"{name}.out_proj", codec.code_width, codec.quantiser, _FINER**at)
    return found


def _decoder_stage(codec: Codec, at: int) -> Parameters:
    name, stage = decoder(at), codec.stages[at]
    last = at == len(codec.stages) - 1
    found = _stage_layers(name, codec, stage)
    found |= _projection(f"{name}.input_proj", codec.latent // stage.patch, codec.width)
    if last:
        return found | _projection(f"{name}.output_proj", codec.width, codec.last_patch, _LOUDNESS)
    return found | _projection(f"{name}.output_proj", codec.width, codec.latent)


def _encoder_stage(codec: Codec, at: int) -> Parameters:
    name, stage = encoder(codec, at), codec.stages[at]
    first = at == len(codec.stages) - 1
    width = codec.last_patch if first else codec.latent
    found = _stage_layers(name, codec, stage)
    found |= _projection(f"{name}.input_proj", width, codec.width)
    return found | _projection(f"{name}.output_proj", codec.width, codec.latent // stage.patch)


def _stage_layers(name: str, codec: Codec, stage: Stage) -> Parameters:
    found: Parameters = {}
    for at in range(stage.layers):
        layer = f"{name}.layers.{at}"
        found |= _norm(f"{layer}.norm1", codec.width) | _norm(f"{layer}.norm2", codec.width)
        found |= _projection(f"{layer}.self_attn.in_proj", codec.width, 3 * codec.width)
        found |= _projection(f"{layer}.self_attn.out_proj", codec.width, codec.width)
        found |= _projection(f"{layer}.linear1", codec.width, codec.feed_forward)
        found |= _projection(f"{layer}.linear2", codec.feed_forward, codec.width)
        for scale in ("layer_scale_1", "layer_scale_2"):
            found[f"{layer}.{scale}.scale"] = Random((codec.width,), 0.04, _LAYER_SCALE)
    return found


def _norm(name: str, width: int, bias_spread: float = 0.05) -> Parameters:
    """The language model's norms have zeros for biases, as those of the real export."""
    return {
        f"{name}.weight": Random((width,), 0.1, around=1),
        f"{name}.bias": Random((width,), bias_spread),
    }


def _linear(name: str, width: int, out: int, gain: float = 1) -> Parameters:
    return _projection(name, width, out, gain) | {f"{name}.bias": Random((out,), 0.05)}


def _projection(name: str, width: int, out: int, gain: float = 1) -> Parameters:
    """Without a bias."""
    return {f"{name}.weight": Random((width, out), gain / width**0.5)}
