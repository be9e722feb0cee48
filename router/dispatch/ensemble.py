"""Opens a Speaker for each config, with what is the same for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial

from router import registry
from router.audio.clip import ClipDecoder
from router.contract.caller import Gate
from router.contract.provider import Secret
from router.dispatch.answers import Answers
from router.dispatch.cache import caching
from router.dispatch.observers import Observers
from router.dispatch.reloading import WouldLose
from router.dispatch.roster import Roster, Rosters
from router.dispatch.speaker import Speaker
from router.registry import Kinds, Parts, Pool
from router.routing.language import LatinGuess
from router.settings.structs import Settings


class Ensemble:
    """What outlives every config: the plugins, the listeners, and whatever is open and still
    wanted."""

    def __init__(
        self,
        kinds: Kinds,
        observers: Observers,
        *,
        clips: ClipDecoder,
        secret: Secret,
        latin: LatinGuess | None,
    ) -> None:
        self.observers = observers
        self.pool = Pool()
        self._kinds = kinds
        self._clips = clips
        self.secret = secret
        self._latin = latin
        self._rosters = Rosters()
        observers.join(self._rosters)

    @asynccontextmanager
    async def speaker(
        self, settings: Settings, gate: Gate, before: Speaker | None = None
    ) -> AsyncIterator[Speaker]:
        """Everybody of this config, open. A provider that speaks `before` with the same settings is
        not opened again, and its slots and what is thought of it are the same.

        Raises:
            WouldLose: one cannot start that was not known to fail before.
        """
        publish, answers_bytes = self.observers.noticed, settings.server.answers_bytes
        known = before.roster if before is not None else None
        async with (
            registry.opened(settings, self._kinds, publish, self.pool) as parts,
            self.pool.using(
                (settings.cache, settings.cache_dir), partial(caching, settings, self.secret)
            ) as cache,
            self.pool.using(answers_bytes, lambda: nullcontext(Answers(answers_bytes))) as answers,
        ):
            _check_none_is_lost(settings, parts, known)
            roster = Roster(settings, parts.providers, parts.failed, known)
            async with self._rosters.joined(roster), roster.kept_fresh():
                speaker = Speaker(
                    settings,
                    roster,
                    gate,
                    self.observers,
                    clips=self._clips,
                    secret=self.secret,
                    latin=self._latin,
                    cache=cache,
                    answers=answers,
                )
                if before is not None:
                    _hand_over(before, speaker)
                del before, known  # what is over must not live on in this frame
                yield speaker


def _check_none_is_lost(settings: Settings, parts: Parts, before: Roster | None) -> None:
    """See that everybody who speaks and is still named goes on. Raises WouldLose."""
    if before is None:
        return
    off = {name for name, one in settings.providers.items() if one.off and name in before.providers}
    if lost := sorted(off | (parts.failed.keys() - before.failed.keys())):
        raise WouldLose(lost)


def _hand_over(before: Speaker, speaker: Speaker) -> None:
    """What the one before knows and holds is the next one's as well, while both speak: a slot in
    use is in use for both."""
    same = speaker.roster.shared_with(before.roster)
    speaker.asker.outlook.take_over(before.asker.outlook, same)
    slots = speaker.asker.slots
    for name in same:
        if slots[name].size == before.asker.slots[name].size:
            slots[name] = before.asker.slots[name]
    if speaker.places.size == before.places.size:  # handing over, in one place
        speaker.places = before.places
