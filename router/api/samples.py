"""`GET /v1/voices/{id}/sample`: a sentence of ours in a voice, spoken once and kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from router.api.body import ApiRequest
from router.api.door import Door, head
from router.api.errors import answer
from router.api.fields import Asked
from router.api.response import Headers, plain
from router.contract.audio import AudioFormat
from router.contract.caller import HOUSE, Caller
from router.contract.errors import NobodySpoke, Overloaded, SpeechError, UnknownModel
from router.contract.record import SpeechRecord
from router.contract.speech import SpeechRequest
from router.routing.language import primary

KEPT_BYTES = 33_554_432
FORMAT = AudioFormat("wav", 24_000, 1)

SENTENCES = {
    "ar": "مرحبًا، هكذا يبدو صوتي.",
    "cs": "Dobrý den, takhle zní můj hlas.",
    "da": "Hej, sådan lyder min stemme.",
    "de": "Guten Tag, so klingt meine Stimme.",
    "el": "Γεια σας, έτσι ακούγεται η φωνή μου.",
    "en": "Hello, this is what my voice sounds like.",
    "es": "Hola, así suena mi voz.",
    "fa": "سلام، صدای من این‌گونه است.",
    "fr": "Bonjour, voici le son de ma voix.",
    "hu": "Jó napot, így szól a hangom.",
    "it": "Buongiorno, questa è la mia voce.",
    "ja": "こんにちは、これがわたしのこえです。",
    "ko": "안녕하세요, 제 목소리는 이렇습니다.",
    "pl": "Dzień dobry, tak brzmi mój głos.",
    "pt": "Olá, é assim que soa a minha voz.",
    "ru": "Здравствуйте, так звучит мой голос.",
    "sv": "Hej, så här låter min röst.",
    "tr": "Merhaba, sesim böyle duyuluyor.",
    "zh": "你好，这就是我的声音。",
}
"""Written for this page, each in a voice's own language; another language hears the English one."""


class Samples:
    """The samples that were spoken so far, at most 32 MiB of them; each is made once."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._kept: OrderedDict[str, tuple[Headers, bytes]] = OrderedDict()
        self._bytes = 0
        self._making = asyncio.Lock()

    async def sample(self, voice: str, caller: Caller, record: SpeechRecord) -> ASGIApp:
        """The sample of a voice. Raises SpeechError."""
        speaker = self._door.speaker
        public = speaker.catalogue.voice(voice, speaker.roster.offers, speaker.roster.providers)
        if public.name not in self._kept:
            async with self._turn():
                if public.name not in self._kept:
                    own = primary(public.voice.languages[0]) if public.voice.languages else "en"
                    await self._make(public.name, own, caller, record)
        self._kept.move_to_end(public.name)
        headers, body = self._kept[public.name]
        return plain(200, headers, body)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One sample is made at a time. Raises Overloaded."""
        try:
            async with asyncio.timeout(self._door.settings.timeouts.deadline_s):
                await self._making.acquire()
        except TimeoutError:
            raise Overloaded("Other samples are being made. Try again.", retry_after=5) from None
        try:
            yield
        finally:
            self._making.release()

    async def _make(self, voice: str, language: str, caller: Caller, record: SpeechRecord) -> None:
        self._door.house.check_open()
        speaker = self._door.speaker
        model = next(iter(speaker.catalogue.models), None)
        if model is None:
            raise UnknownModel("No model is configured.")
        language = language if language in SENTENCES else "en"
        request = SpeechRequest(
            shape="openai",
            model=model,
            text=SENTENCES[language],
            voice=voice,
            format=FORMAT,
            language=language,
        )
        asked = Asked("openai", request, "audio/wav")
        async with speaker.speak(request, caller, record) as speech:
            record.status = 200
            body = bytearray()
            async for chunk in speech.chunks():
                body += chunk
                if len(body) > KEPT_BYTES:
                    raise NobodySpoke("The sample is too long.")
            headers = head(speech, asked, record.request_id)
        self._keep(voice, _cacheable(headers), bytes(body))

    def _keep(self, voice: str, headers: Headers, body: bytes) -> None:
        self._kept[voice] = (headers, body)
        self._bytes += len(body)
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._bytes -= len(oldest)


def _cacheable(headers: Headers) -> Headers:
    own = (b"cache-control", b"content-length", b"x-accel-buffering", b"x-request-id")
    kept = [(name, value) for name, value in headers if name not in own]
    return [*kept, (b"cache-control", b"public, max-age=3600")]


class SamplesController(Controller):
    """What each voice sounds like."""

    tags = ("Catalogue",)

    @get(
        ["/v1/voices/{voice:str}/sample", "/voices/{voice:str}/sample"],
        summary="Hear a sample of a voice (WAV)",
    )
    async def sample(
        self,
        request: ApiRequest,
        voice: FromPath[str],
        door: NamedDependency[Door],
        samples: NamedDependency[Samples],
    ) -> ASGIApp:
        record = door.opened(request, "openai")
        error: BaseException | None = None
        try:
            caller = HOUSE
            response = await samples.sample(voice, caller, record)
            record.status, record.outcome = 200, "spoken"
        except SpeechError as refused:
            error = refused
            return answer(refused, "openai", record.request_id)
        except BaseException as failed:
            error = failed
            raise
        finally:
            door.closed(record, error)
        return response
