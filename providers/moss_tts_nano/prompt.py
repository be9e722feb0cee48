"""Builds the rows that the language model reads before it speaks.

A row is [1 + codebooks] int32: a text token, then one code per codebook, padding where it has
none. Its first part depends on the voice alone, so that its keys and values can be kept; the rest
on the text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from providers.moss_tts_nano.metadata import Manifest
from providers.moss_tts_nano.parts import Ints


class Prompt:
    """The templates of one manifest, ready to be filled."""

    def __init__(self, manifest: Manifest) -> None:
        config, templates = manifest.tts_config, manifest.prompt_templates
        self._codebooks = config.n_vq
        self._padding = config.audio_pad_token_id
        self._user_slot = config.audio_user_slot_token_id
        self._assistant_slot = config.audio_assistant_slot_token_id
        before = (*templates.user_prompt_prefix_token_ids, config.audio_start_token_id)
        after = (config.audio_end_token_id, *templates.user_prompt_after_reference_token_ids)
        ends = (*templates.assistant_prompt_prefix_token_ids, config.audio_start_token_id)
        self._before, self._after = self._text_rows(before), self._text_rows(after)
        self._end = self._text_rows(ends)

    def prefix(self, codes: Ints) -> Ints:
        """What depends on the voice: `codes` int32 [frames, codebooks]; gives [70 + frames, 1 +
        codebooks] with the published templates."""
        return np.concatenate([self._before, self._rows(self._user_slot, codes), self._after])

    def suffix(self, tokens: Sequence[int]) -> Ints:
        """What depends on the text: [7 + tokens, 1 + codebooks] with the published templates."""
        return np.concatenate([self._text_rows(tokens), self._end])

    def whole(self, codes: Ints, tokens: Sequence[int]) -> Ints:
        """Both parts: 77 + frames + tokens rows."""
        return np.concatenate([self.prefix(codes), self.suffix(tokens)])

    def spoken(self, codes: Ints) -> Ints:
        """The rows by which frames just made are fed back: `codes` int32 [rows, codebooks]."""
        return self._rows(self._assistant_slot, codes)

    def _text_rows(self, tokens: Sequence[int]) -> Ints:
        rows = np.full((len(tokens), 1 + self._codebooks), self._padding, dtype=np.int32)
        rows[:, 0] = tokens
        return rows

    def _rows(self, slot: int, codes: Ints) -> Ints:
        rows = np.empty((len(codes), 1 + self._codebooks), dtype=np.int32)
        rows[:, 0] = slot
        rows[:, 1:] = codes
        return rows
