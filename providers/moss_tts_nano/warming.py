"""A first word before anybody asks: it loads what is loaded when it is first used."""

from __future__ import annotations

import threading

import msgspec

from providers.moss_tts_nano.engine.engine import Engine
from providers.moss_tts_nano.engine.utterance import Mute
from providers.moss_tts_nano.guards import Finding
from providers.moss_tts_nano.orders import Scripts
from providers.moss_tts_nano.voices import BuiltinVoices
from router.contract.errors import Broken, NotReady, ProviderError
from router.contract.speech import SpeechOrder, VoiceChoice

_WORD = "Yes."
_WITHIN_S = 120.0


class _Silence:
    """A listener who waits for the first sound alone."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.error: Exception | None = None

    def hear(self, sound: bytes) -> None:
        self.over.set()

    def doubt(self, finding: Finding, *, made_again: bool) -> None:
        """A model with random weights may well make nothing of a word."""

    def end(self) -> None:
        self.over.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.over.set()


def warm(engine: Engine, scripts: Scripts, voices: BuiltinVoices, model: str) -> None:
    """Blocking, for a second at most on a usual machine.

    Raises:
        Broken: the model does not run on this machine.
        NotReady: it takes too long.
    """
    choice = VoiceChoice(None)
    order = SpeechOrder(model=model, text=_WORD, voice=choice, language="en")
    script = scripts.script(order, voices.voice(choice, "en"))
    heard = _Silence()
    utterance = engine.open(msgspec.structs.replace(script, tries=1), heard)
    in_time = heard.over.wait(_WITHIN_S)
    engine.cancel(utterance)
    if not in_time:
        raise NotReady("the model is too slow on this machine.")
    error = heard.error
    if isinstance(error, ProviderError):
        raise error
    if error is not None and not isinstance(error, Mute):
        raise Broken(f"the model does not run here ({type(error).__name__}).") from error
