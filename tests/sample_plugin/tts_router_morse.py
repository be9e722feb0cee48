"""A voice that spells: Morse code, 16-bit PCM at 8 kHz."""

import math
from array import array
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from router.contract.audio import AudioFormat, AudioStream
from router.contract.errors import Refused
from router.contract.hookspecs import hookimpl
from router.contract.provider import Host, Kind
from router.contract.speech import Capabilities, SpeechOrder, Voice

PCM = AudioFormat("pcm", sample_rate=8000, channels=1)
SIGNS = (
    "a.- b-... c-.-. d-.. e. f..-. g--. h.... i.. j.--- k-.- l.-.. m-- n-. o--- p.--. q--.- r.-. "
    "s... t- u..- v...- w.-- x-..- y-.-- z--.. 0----- 1.---- 2..--- 3...-- 4....- 5..... "
    "6-.... 7--... 8---.. 9----."
)
CODE = {sign[0]: sign[1:] for sign in SIGNS.split()}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dot_ms: int = 60
    hertz: int = 600


class Morse:
    def __init__(self, settings: Settings) -> None:
        dot, wave = 8 * settings.dot_ms, settings.hertz * 2 * math.pi / 8000
        tone = array("h", [round(9000 * math.sin(wave * n)) for n in range(3 * dot)]).tobytes()
        rest = bytes(2 * dot)
        self.sounds = {".": tone[: 2 * dot] + rest, "-": tone + rest, " ": 2 * rest}

    def offers(self) -> Mapping[str, Capabilities]:
        return {"morse": Capabilities(formats=(PCM,), chooses_voice=True)}

    async def voices(self) -> Sequence[Voice]:
        return [Voice(id="key", name="Telegraph key")]

    async def health(self) -> None:
        return

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        letters = [CODE[letter] for letter in order.text.lower() if letter in CODE]
        if not letters:
            raise Refused("Morse code has the letters a to z and the digits.")
        yield AudioStream(PCM, self.spell(letters))

    async def spell(self, letters: Sequence[str]) -> AsyncIterator[bytes]:
        for letter in letters:
            yield b"".join(self.sounds[sign] for sign in letter + " ")


@asynccontextmanager
async def open_morse(settings: Settings, host: Host) -> AsyncIterator[Morse]:
    yield Morse(settings)


@hookimpl
def tts_provider_kinds() -> list[Kind]:
    return [Kind(name="morse", settings=Settings, open=open_morse, summary="Morse code")]
