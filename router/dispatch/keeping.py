"""What one request has to do with speech that is kept: what it finds, and what it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from router.contract.caller import Ask, Caller
from router.contract.errors import Resting
from router.contract.record import Cached
from router.contract.speech import SpeechRequest, Terms
from router.dispatch.answers import Answers, Turn
from router.dispatch.cache import SpeechCache
from router.dispatch.kept import Again, Kept, kept_of
from router.dispatch.made import Made
from router.dispatch.outlook import Outlook
from router.dispatch.speech import Speech
from router.dispatch.verdicts import Failed, passed_over, trail
from router.routing.plan import Candidate, Plan

LOST = "idempotency_key answer_not_kept"
"""The warning on an answer that is spoken again, though it was given before under this key."""


class Keeper:
    """The stores of a server, and who may use them."""

    def __init__(
        self, key: bytes, cache: SpeechCache | None, answers: Answers, outlook: Outlook
    ) -> None:
        """`key` is that of all hashes; the outlook tells who would not be asked now."""
        self._key = key
        self._cache = cache
        self._answers = answers
        self._outlook = outlook

    def kept_bytes(self) -> dict[str, tuple[int, int]]:
        """Of each store what it holds, and the most that it may."""
        stores = {"answers": (self._answers.bytes, self._answers.most_bytes)}
        if self._cache is not None:
            stores |= self._cache.kept_bytes()
        return stores

    def of(
        self, request: SpeechRequest, made: Plan, caller: Caller, terms: Terms, ask: Ask
    ) -> Keeping | None:
        """What this request has to do with them, which is to be left; most have nothing.

        Raises:
            IdempotencyConflict: its key stands for another request.
        """
        cache = self._cache if self._may_cache(request, terms) else None
        if (cache is None and ask.once is None) or not ask.characters:
            return None
        turn = self._answers.begin(caller.id, ask.once) if ask.once is not None else None
        owner = caller.id if cache is not None and cache.rules.scope == "caller" else ""
        naming = Naming(self._key, owner, request, made)
        return Keeping(request, made, self._outlook, cache=cache, naming=naming, turn=turn)

    def _may_cache(self, request: SpeechRequest, terms: Terms) -> bool:
        cache = self._cache
        if cache is None or terms.fresh:
            return False
        return request.clip is None or cache.rules.clones


class Naming:
    """The names under which one request's speech is kept: one for each who could speak it. A name
    is a keyed hash; nobody can go back from it to the text."""

    def __init__(self, key: bytes, owner: str, request: SpeechRequest, made: Plan) -> None:
        self._key = key
        self._owner = owner
        self._request = request
        self._plan = made
        self._same: bytes | None = None

    def of(self, candidate: Candidate) -> str:
        """For this one: another provider, upstream model, voice or way of asking has another."""
        who = (
            *(candidate.provider, candidate.kind, candidate.model, candidate.voice),
            *(candidate.native, candidate.output, candidate.through, candidate.gain_db),
            *(candidate.speed, candidate.pitch, candidate.stretch, candidate.options),
        )
        return self._hash(self._of_request(), _encoded(who), digest_size=20).hex()

    def _of_request(self) -> bytes:
        if self._same is None:
            request, made = self._request, self._plan
            sample = hashlib.sha256(request.clip.data).digest() if request.clip else b""
            plain = msgspec.structs.replace(request, model="", clip=None, shape="", stream=None)
            how = (made.voice, made.language, made.whole, made.in_pieces, made.rules.version)
            self._same = self._hash(_encoded((self._owner, plain, how)), sample, digest_size=32)
        return self._same

    def _hash(self, *parts: bytes, digest_size: int) -> bytes:
        hash = hashlib.blake2b(key=self._key, digest_size=digest_size, person=b"kept speech")
        for part in parts:
            hash.update(len(part).to_bytes(8) + part)
        return hash.digest()


class Keeping:
    """One request, the cache where it may use it, and its Idempotency-Key where it has one."""

    def __init__(
        self,
        request: SpeechRequest,
        made: Plan,
        outlook: Outlook,
        *,
        cache: SpeechCache | None,
        naming: Naming,
        turn: Turn | None,
    ) -> None:
        self._plan = made
        self._cache = cache
        self._naming = naming
        self._turn = turn
        self._outlook = outlook
        self._characters = len(request.text)
        self._cached: Cached = "" if cache is None else "miss"
        self._is_repeat = False
        sizes = [cache.rules.entry_bytes] if cache is not None else []
        self.most_bytes = max([*sizes, turn.largest_bytes] if turn is not None else sizes)
        """The longest speech that anybody here would keep."""

    @property
    def names(self) -> tuple[bytes, ...]:
        """What another request under the same key finds it by, while it is made."""
        return (self._turn.name,) if self._turn is not None else ()

    async def again(self, candidates: Sequence[Candidate]) -> Speech | None:
        """What was kept: the answer under this key, else what those who would be asked now, in this
        order, have said before. Who is left alone at present is passed over."""
        answer = self.answer()
        if answer is not None or self._cache is None:
            return answer
        for candidate, resting in self._in_turn(candidates):
            if (kept := await self._cache.find(self._naming.of(candidate))) is not None:
                return self._hit(candidate, resting, kept)
        return None

    def since(self, candidates: Sequence[Candidate]) -> Speech | None:
        """What came while this one waited: as `again`, and nothing is waited for, so that who does
        not find it here finds it under way."""
        answer = self.answer()
        if answer is not None or self._cache is None:
            return answer
        for candidate, resting in self._in_turn(candidates):
            if (kept := self._cache.at_hand(self._naming.of(candidate))) is not None:
                return self._hit(candidate, resting, kept)
        return None

    def answer(self) -> Speech | None:
        """What was answered before under this key."""
        kept = self._turn.kept if self._turn is not None else None
        if kept is None:
            return None
        self._is_repeat, self._cached = True, "hit" if kept.was_cached else ""
        return self._given(kept)

    def _given(self, kept: Kept) -> Speech:
        about, sound = kept.about, Again(kept)
        return Speech(
            chunks=sound.body,
            format=sound.format,
            length=sound.length,
            model=self._plan.model,
            provider=about.provider,
            upstream_model=about.model,
            voice=about.voice,
            fallback=about.fallback,
            ignored=about.ignored,
            warnings=about.warnings,
            characters=self._characters,
            sound=sound,
            cache=self._cached,
            repeat=self._is_repeat,
        )

    def _in_turn(
        self, candidates: Sequence[Candidate]
    ) -> Iterator[tuple[Candidate, Sequence[Failed]]]:
        """Those who would be asked now, each with those who are left alone before it."""
        resting: list[Failed] = []
        for candidate in candidates:
            yield candidate, resting
            if not self._outlook.wait_s(candidate.provider, candidate.model):
                return
            resting.append((candidate, Resting("it is left alone after failures")))

    def _hit(self, candidate: Candidate, resting: Sequence[Failed], kept: Kept) -> Speech:
        self._cached = "hit"
        fallback = trail(passed_over(self._plan, candidate, resting))
        about = msgspec.structs.replace(kept.about, fallback=fallback)
        hit = Kept(about, kept.chunks, was_cached=True)
        if self._turn is not None:
            self._turn.heard()
            self._turn.keep(hit)
        return self._given(hit)

    def heard(self, speech: Speech) -> None:
        """It was not kept, and is being made."""
        speech.cache = self._cached
        if self._turn is not None:
            self._turn.heard()
            if self._turn.is_lost:
                speech.warnings += (LOST,)

    def keep(self, made: Made, chunks: tuple[bytes, ...] | None) -> None:
        """Keep what was made, now that it has come to its end; `None`: it was too long."""
        kept = None if chunks is None else kept_of(made, self._plan.voice, chunks)
        if self._turn is not None:
            self._turn.keep(kept)
        if self._cache is None or kept is None or kept.audio_bytes > self._cache.rules.entry_bytes:
            return
        if _is_sound(made):
            self._cache.put(self._naming.of(made.candidate), kept)

    def leave(self) -> None:
        if self._turn is not None:
            self._turn.leave()


def _is_sound(made: Made) -> bool:
    """Whether it may be heard again by who did not wait for it: nothing was found against it, one
    alone has spoken it, and its end was told rather than taken from a closed line."""
    record = made.record
    return not record.doubts and not record.resumed and made.sound.framed


def _encoded(value: object) -> bytes:
    return msgspec.msgpack.encode(value, order="deterministic")
