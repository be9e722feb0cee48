"""The numbers of a model directory."""

from __future__ import annotations

import msgspec


class Stage(msgspec.Struct, frozen=True):
    """One transformer of the codec, in the order in which the decoder goes through them."""

    patch: int
    """How many steps one step of the stage before becomes."""
    layers: int
    context: int
    """Steps that a query sees, itself included."""


class Codec(msgspec.Struct, frozen=True):
    stages: tuple[Stage, ...]
    last_patch: int
    """Samples of the interleaved channels that one step of the last stage becomes."""
    latent: int
    """Width at the frame rate, and between the stages before they are patched."""
    width: int
    heads: int
    feed_forward: int
    quantiser: int
    """Width in which the codebooks' entries are summed."""
    code_width: int
    sample_rate: int = 48000
    channels: int = 2

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def frame_samples(self) -> int:
        """Samples of one frame, for each channel."""
        samples = self.last_patch
        for stage in self.stages:
            samples *= stage.patch
        return samples // self.channels


class BuiltinVoice(msgspec.Struct, frozen=True):
    name: str
    title: str
    group: str
    clip: str
    frames: int


class Spec(msgspec.Struct, frozen=True):
    """Everything that a directory's files depend on, but for the seed of its weights."""

    codebooks: int
    codebook_size: int
    hidden: int
    heads: int
    feed_forward: int
    layers: int
    vocabulary: int
    max_frames: int
    stop_margin: float
    """What the logit of going on has over that of stopping: about -log of the chance that a frame
    is the last. At 20 nothing ever ends, at 3 one frame in twenty does."""
    codec: Codec
    voices: tuple[BuiltinVoice, ...]
    real_template: bool = False
    """Whether the prompt template has the real token ids, rather than those of the tokenizer."""
    greedy_frame: bool = False
    """Whether the graph for greedy frames is there: the runtime takes it, the real export lacks
    it."""

    @property
    def head_width(self) -> int:
        return self.hidden // self.heads


VOICES = (
    BuiltinVoice("Junhao", "CN 欢迎关注模思智能", "Chinese Male", "zh_1.wav", 98),
    BuiltinVoice("Zhiming", "CN 京味胡同闲聊", "Chinese Male", "zh_3.wav", 98),
    BuiltinVoice("Weiguo", "CN 说书", "Chinese Male", "zh_10.wav", 140),
    BuiltinVoice("Xiaoyu", "CN 明星", "Chinese Female", "zh_11.wav", 180),
    BuiltinVoice("Yuewen", "CN 机车", "Chinese Female", "zh_4.wav", 102),
    BuiltinVoice("Lingyu", "CN 深夜电台", "Chinese Female", "zh_6.wav", 218),
    BuiltinVoice("Trump", "EN Trump", "English Male", "en_1.wav", 97),
    BuiltinVoice("Ava", "EN The Bitter Lesson", "English Female", "en_2.wav", 98),
    BuiltinVoice("Bella", "EN A Gentle Reminder", "English Female", "en_3.wav", 59),
    BuiltinVoice("Adam", "EN English News", "English Male", "en_4.wav", 59),
    BuiltinVoice("Nathan", "EN The Quiet Motion of the World", "English Male", "en_8.wav", 168),
    BuiltinVoice("Soyo", "JP Soyo", "Japanese Female", "jp_1.wav", 125),
    BuiltinVoice("Saki", "JP Saki", "Japanese Female", "jp_2.wav", 32),
    BuiltinVoice("Mortis", "JP Mortis", "Japanese Female", "jp_3.wav", 60),
    BuiltinVoice("Umiri", "JP Umiri", "Japanese Female", "jp_4.wav", 77),
    BuiltinVoice("Mei", "JP Togawa", "Japanese Female", "jp_5.wav", 49),
    BuiltinVoice("Anon", "JP Anon", "Japanese Female", "jp_6.wav", 47),
    BuiltinVoice("Arisa", "JP Arisa", "Japanese Female", "jp_7.wav", 85),
)
"""The real ones, in their order, with the lengths of their real codes."""


def shortened(frames: dict[str, int]) -> tuple[BuiltinVoice, ...]:
    """Real voices under their names, with so many frames each."""
    by_name = {voice.name: voice for voice in VOICES}
    return tuple(
        msgspec.structs.replace(by_name[name], frames=count) for name, count in frames.items()
    )


TINY = Spec(
    codebooks=4,
    codebook_size=32,  # the graph of fixed frames looks at the best 25
    hidden=32,
    heads=2,
    feed_forward=64,
    layers=2,
    vocabulary=512,
    max_frames=40,
    stop_margin=4.0,
    codec=Codec(
        stages=(Stage(4, 1, 20), Stage(2, 1, 32), Stage(2, 1, 48), Stage(2, 1, 64)),
        last_patch=240,
        latent=32,
        width=16,
        heads=2,
        feed_forward=32,
        quantiser=16,
        code_width=4,
    ),
    voices=shortened({"Junhao": 7, "Ava": 5, "Lingyu": 3}),
)

FULL = Spec(
    codebooks=16,
    codebook_size=1024,
    hidden=768,
    heads=12,
    feed_forward=3072,
    layers=12,
    vocabulary=16384,
    max_frames=375,
    stop_margin=20.0,
    codec=Codec(
        stages=(Stage(4, 4, 500), Stage(2, 2, 800), Stage(2, 2, 1200), Stage(2, 4, 1600)),
        last_patch=240,
        latent=768,
        width=256,
        heads=4,
        feed_forward=1024,
        quantiser=512,
        code_width=8,
    ),
    voices=VOICES,
    real_template=True,
)
"""The real model's numbers."""
