"""A small SentencePiece tokenizer with the real one's first fifteen ids."""

from __future__ import annotations

import io
from collections.abc import Iterator

import sentencepiece

SPECIAL = (
    "<|im_start|>",
    "<|im_end|>",
    "<|audio_start|>",
    "<|audio_end|>",
    "<|vision_pad|>",
    "<|video_pad|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|audio_pad|>",
    "<user_inst>",
    "</user_inst>",
)
"""Ids 4 to 14. The slots of the model's own speech and of the reference are 9 and 8, whatever
their names say."""
_CORPUS = (
    "The quick brown fox jumps over the lazy dog. It was the best of times, it was the worst of",
    "times: an age of wisdom, and an age of foolishness! Who would have thought that it ends here?",
    "user assistant - Reference(s): - Instruction: None - Tokens: None - Quality: None - Sound",
    "Event: None - Ambient Sound: None - Language: None - Text:",
    "你好，世界。今天的天气很好，我们一起去公园吧！明天会下雨吗？",
    "こんにちは、世界。今日はいい天気ですね。",
    "0 1 2 3 4 5 6 7 8 9 10 12 25 100 2026 3.14",
)


def made(pieces: int) -> bytes:
    """A trained model with at most so many pieces: BPE, with a piece for each byte."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_sentences(),
        model_writer=model,
        model_type="bpe",
        vocab_size=pieces,
        hard_vocab_limit=False,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="nmt_nfkc",
        user_defined_symbols=list(SPECIAL),
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def _sentences() -> Iterator[str]:
    yield from _CORPUS
