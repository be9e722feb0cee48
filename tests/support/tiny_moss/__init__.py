"""Model directories of the local engine's contract, with random weights, of any size."""

from __future__ import annotations

from tests.support.tiny_moss.directory import write
from tests.support.tiny_moss.files import CODEC_FOLDER, TTS_FOLDER
from tests.support.tiny_moss.spec import FULL, TINY, VOICES, Spec, shortened
from tests.support.tiny_moss.style import PLAIN, STYLES, Style
from tests.support.tiny_moss.weights import Weights

__all__ = [
    "CODEC_FOLDER",
    "FULL",
    "PLAIN",
    "STYLES",
    "TINY",
    "TTS_FOLDER",
    "VOICES",
    "Spec",
    "Style",
    "Weights",
    "shortened",
    "write",
]
