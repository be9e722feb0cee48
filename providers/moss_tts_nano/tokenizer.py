"""Text to token ids, by the model's own SentencePiece file."""

from __future__ import annotations

import re
from pathlib import Path

import sentencepiece

from providers.moss_tts_nano.layout import BadAssets

_LOOKS_SPECIAL = re.compile(r"</?[|\w]+>")
_PASSES = 8
"""Each pass breaks every literal that is there; a second is needed only by texts made for it."""


class Tokenizer:
    """Thread-safe: encoding changes nothing."""

    def __init__(self, path: Path) -> None:
        """Raises: BadAssets: the file is no SentencePiece model."""
        try:
            self._model = sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
        except OSError as error:
            raise BadAssets(f"{path} cannot be read: {error.strerror}.") from error
        except RuntimeError as error:
            raise BadAssets(f"{path} is not a SentencePiece model.") from error
        self.specials = self._special_ids()
        """Ids of the pieces that steer the model, such as `<|audio_end|>`."""

    @property
    def size(self) -> int:
        """How many pieces there are."""
        return int(self._model.get_piece_size())

    def encode_exactly(self, text: str) -> list[int]:
        """As the official runtime: the literal of a special piece becomes that piece."""
        return [int(token) for token in self._model.encode(text)]

    def encode(self, text: str) -> list[int]:
        """Ids of a text that somebody wrote: no special piece can come of it."""
        tokens = self.encode_exactly(text)
        for _ in range(_PASSES):
            if self.specials.isdisjoint(tokens):
                return tokens
            text = self.broken(text)
            tokens = self.encode_exactly(text)
        return [token for token in tokens if token not in self.specials]

    def count(self, text: str) -> int:
        """How many tokens `encode` makes of a text."""
        return len(self.encode(text))

    def broken(self, text: str) -> str:
        """The text with the literals of special pieces (also in full-width letters, which the
        tokenizer takes for the same) turned into the words that are in them."""
        parts: list[str] = []
        end = 0
        found = self._model.encode(text, out_type="offset_mapping")
        for token, piece, (begin, ends) in zip(
            found["ids"], found["pieces"], found["offsets"], strict=True
        ):
            if token in self.specials:
                words = re.sub(r"\W|_", " ", piece).strip()
                parts += [text[end:begin], f" {words} "]
                end = ends
        return "".join((*parts, text[end:])) if parts else text

    def _special_ids(self) -> frozenset[int]:
        # SentencePiece does not tell which pieces are user-defined; those that look like one and
        # are neither control, unknown nor byte pieces are.
        model = self._model
        return frozenset(
            piece
            for piece in range(self.size)
            if _LOOKS_SPECIAL.fullmatch(model.id_to_piece(piece))
            and not (model.is_control(piece) or model.is_unknown(piece) or model.is_byte(piece))
        )
