"""NanoGPT's speech models as its documentation has them, limits, prices and voices.

Source: `api-reference/text-to-speech.mdx` and `endpoint/speech.mdx` in github Nano-GPT-com/docs
(2026-08-22). Kokoro's voice ids tell language and gender (`af_bella`: American, female).
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.nanogpt import Model
from router.contract.speech import Cost, Voice

_KOKORO = tuple(
    """
    af_bella af_alloy af_aoede af_jessica af_nova af_sarah am_adam am_echo am_eric am_liam am_onyx
    bf_alice bf_emma bf_isabella bf_lily bm_daniel bm_fable bm_george bm_lewis
    jf_alpha jf_gongitsune jf_nezumi jf_tebukuro jm_kumo
    zf_xiaobei zf_xiaoni zf_xiaoxiao zf_xiaoyi zm_yunxi ff_siwis im_nicola hf_alpha hf_beta
    """.split()  # noqa: SIM905 - a table
)

_ELEVENLABS = tuple(
    """
    Rachel Adam Alice Antoni Aria Arnold Bella Bill Brian Callum Charlie Charlotte Chris Daniel Domi
    Dorothy Drew Elli Emily Eric Ethan Fin Freya George Gigi Giovanni Grace James Jeremy Jessica
    Joseph Josh Laura Liam Lily Matilda Matthew Michael Nicole River Roger Ryan Sam Sarah Thomas
    Will
    """.split()  # noqa: SIM905 - a table
)

_OPENAI = tuple(
    "alloy ash ballad coral echo fable onyx nova sage shimmer verse".split()  # noqa: SIM905
)

_KOKORO_LANGUAGES = {
    "a": "en-US",
    "b": "en-GB",
    "j": "ja",
    "z": "zh",
    "f": "fr",
    "i": "it",
    "h": "hi",
}

MODELS: Mapping[str, Model] = {
    "Kokoro-82m": Model(
        formats=("wav", "mp3"),
        max_chars=10_000,
        languages=("en", "ja", "zh", "fr", "it", "hi"),
        voices=_KOKORO,
        cost=Cost(per_1k_chars=0.001),
    ),
    "tts-1": Model(
        max_chars=4096,
        streaming=True,
        speed=(0.25, 4.0),
        voices=_OPENAI,
        cost=Cost(per_1k_chars=0.015),
    ),
    "tts-1-hd": Model(
        max_chars=4096,
        streaming=True,
        speed=(0.25, 4.0),
        voices=_OPENAI,
        cost=Cost(per_1k_chars=0.030),
    ),
    "gpt-4o-mini-tts": Model(
        max_chars=4096,
        streaming=True,
        speed=None,  # its pages say that speed is not for this model
        options=("instructions",),
        voices=_OPENAI,
        cost=Cost(per_1k_chars=0.0006),
    ),
    "Elevenlabs-Turbo-V2.5": Model(
        formats=("mp3",),  # whatever is asked for
        max_chars=10_000,
        streaming=True,
        options=("stability", "similarity"),
        voices=_ELEVENLABS,
        cost=Cost(per_1k_chars=0.06),
    ),
}


def voice(id: str, models: frozenset[str]) -> Voice:
    """A voice with what its id tells."""
    if id not in _KOKORO:
        return Voice(id=id, models=models)
    return Voice(
        id=id,
        name=id[3:].capitalize(),
        languages=(_KOKORO_LANGUAGES[id[0]],),
        gender="female" if id[1] == "f" else "male",
        models=models,
    )
