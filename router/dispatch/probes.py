"""Tries in the background who was left alone, may be tried again, and is asked by nobody."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, aclosing, asynccontextmanager
from typing import Protocol

import structlog

from router.contract.audio import AudioFormat
from router.contract.caller import Ask, Price
from router.contract.errors import Broken, ProviderError, TimedOut
from router.contract.speech import SpeechOrder, Voice, VoiceChoice
from router.dispatch.attempts import Attempt
from router.dispatch.outlook import Key, Trial
from router.dispatch.speaker import CODECS, Speaker
from router.routing.catalogue import Offered
from router.routing.language import primary
from router.routing.negotiate import agree
from router.routing.plan import UNSTRETCHED, Candidate
from router.settings.structs import Settings

_log = structlog.get_logger(__name__)

PHRASE = "1, 2."
"""Ours, short, and to be spoken in any language."""
_FORMAT = AudioFormat("pcm", 24_000, 1)
_LOOK_EVERY_S = 1.0
_LEAST_GRACE_S, _MOST_GRACE_S = 0.25, 60.0


class Budget:
    """Characters that each provider may be sent a day, in UTC."""

    def __init__(self, today: Callable[[], dt.date] = lambda: dt.datetime.now(dt.UTC).date()):
        self._today = today
        self._day = today()
        self._spent: dict[str, int] = {}

    def spend(self, provider: str, characters: int, most: int) -> bool:
        """Take so many; false where they are more than is left."""
        if self._day != self._today():
            self._day = self._today()
            self._spent.clear()
        spent = self._spent.get(provider, 0) + characters
        if spent > most:
            return False
        self._spent[provider] = spent
        return True


class Probed(Protocol):
    """Who is looked after, and how."""

    @property
    def settings(self) -> Settings: ...
    @property
    def speaker(self) -> Speaker: ...


Holding = Callable[[], AbstractContextManager[Probed]]
"""What is current, which stays open while the block lasts."""


class Probes:
    """Health comes from traffic: only who gets none for a while is tried."""

    def __init__(self, holding: Holding, budget: Budget | None = None) -> None:
        self._holding = holding
        self._budget = budget or Budget()
        self._seen: dict[Key, float] = {}
        """Since when they could be tried."""
        self._under_way: dict[str, asyncio.Task[None]] = {}
        """At most one of each provider."""

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """Look after everybody while the block lasts."""
        looking = asyncio.create_task(self._look_on(), name="probes")
        try:
            yield
        finally:
            tasks = [looking, *self._under_way.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_on(self) -> None:
        while True:
            with self._holding() as probed:
                grace_s = self._look(probed)
            await asyncio.sleep(min(_LOOK_EVERY_S, grace_s))

    def _look(self, probed: Probed) -> float:
        """Begin what is to be tried now. Gives the seconds that everybody has to be asked by
        others: as long as they rested the first time."""
        outlook, now = probed.settings.outlook, asyncio.get_running_loop().time()
        grace_s = min(max(outlook.cool_s, _LEAST_GRACE_S), _MOST_GRACE_S)
        untried = probed.speaker.asker.outlook.untried() if outlook.probe != "off" else set()
        self._seen = {key: self._seen.get(key, now) for key in untried}
        for key, since in list(self._seen.items()):
            is_free = key[0] not in self._under_way
            if now - since >= grace_s and is_free and key[0] in probed.speaker.roster.providers:
                del self._seen[key]  # should it tell nothing, there is another grace
                self._begin(key)
        return grace_s

    def _begin(self, key: Key) -> None:
        async def tried() -> None:
            with self._holding() as probed:
                await _Probe(probed, key, self._budget).run()

        task = asyncio.create_task(tried(), name="probe")
        self._under_way[key[0]] = task
        task.add_done_callback(lambda _: self._under_way.pop(key[0], None))


class _Probe:
    """One provider's model, tried once."""

    def __init__(self, probed: Probed, key: Key, budget: Budget) -> None:
        self._provider, self._model = key
        self._speaker = probed.speaker
        self._settings = probed.settings
        self._budget = budget

    async def run(self) -> None:
        """Try it; its breaker hears how it went. Nothing is raised."""
        trial = self._speaker.asker.outlook.ask(self._provider, self._model)
        if trial is None:
            return  # somebody was quicker
        try:
            if self._settings.outlook.probe == "health":
                await self._ask_health(trial)
            elif (candidate := self._candidate()) is not None:
                await self._speak(candidate, trial)
        except ProviderError as error:
            trial.failed(error)
        except Exception as error:
            _log.error("a probe failed", provider=self._provider, error=type(error).__name__)
            trial.failed(Broken("it failed unexpectedly"))
        finally:
            trial.over()

    async def _ask_health(self, trial: Trial) -> None:
        """Raises ProviderError."""
        try:
            async with asyncio.timeout(self._within_s):
                await self._speaker.roster.providers[self._provider].health()
        except TimeoutError:
            raise TimedOut("it did not tell in time how it is") from None
        trial.answered()

    async def _speak(self, candidate: Candidate, trial: Trial) -> None:
        """Have it make its first sound, which is let go. Raises ProviderError."""
        ask = Ask(request_id="probe", model="", characters=len(PHRASE))
        attempt = Attempt(
            candidate,
            self._speaker.roster.providers[self._provider],
            self._speaker.asker.slots[self._provider],
            self._settings,
            lambda _: None,
            ended=trial.ended,
            let_go=lambda _: None,
            turn=lambda: self._speaker.gate.attempt(self._provider, ask),
            trial=trial,
            size_s=0.0,
            stall_s=self._settings.timeouts.stall_s,
            is_last=True,
        )
        language = candidate.voice.language or "en"
        order = SpeechOrder(
            model=self._model, text=PHRASE, voice=candidate.voice, language=language
        )
        first_by = asyncio.get_running_loop().time() + self._within_s
        sounding = await attempt.begin(order, patience_s=0, first_by=first_by, whole_bytes=0)
        async with aclosing(sounding):
            pass

    @property
    def _within_s(self) -> float:
        own = self._settings.providers[self._provider].entry.first_audio_s
        return own or self._settings.timeouts.first_audio_s

    def _candidate(self) -> Candidate | None:
        """The phrase as it is to be asked of it; `None`: it cannot be, or would cost too much."""
        offered = self._speaker.roster.offers[self._provider]
        caps = offered.capabilities.get(self._model)
        voice = _own_voice(offered, self._model)
        if caps is None or (voice is None and not caps.chooses_voice):
            return None
        agreed = agree(_FORMAT, caps.formats, CODECS, shaped=False)
        most = self._settings.outlook.probe_characters
        if agreed is None or not self._budget.spend(self._provider, len(PHRASE), most):
            return None
        language = primary(voice.languages[0]) if voice is not None and voice.languages else None
        return Candidate(
            rank=0,
            provider=self._provider,
            model=self._model,
            voice=VoiceChoice(voice.id if voice is not None else None, language),
            native=agreed.native,
            output=agreed.output,
            through=agreed.through,
            wants_samples=False,
            gain_db=0.0,
            speed=1.0,
            pitch=None,
            stretch=UNSTRETCHED,
            options={},
            ignored=(),
            price=Price(),
            kind=offered.kind,
            place=offered.place,
            weight=1.0,
            cost=None,
            longest=None,
            traits=(language, None),
        )


def _own_voice(offered: Offered, model: str) -> Voice | None:
    """The first of its own voices that the model has."""
    voices = offered.voices.values()
    return next((v for v in voices if v.models is None or model in v.models), None)
