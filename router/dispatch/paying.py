"""What a request is charged for: what it would take at most, and what was delivered in the end.

The rule for speech that did not come to its end. What left is held against the whole: exactly, when
the provider had said all of it; else against what the text can last. A caller who hangs up is
reckoned by a fast reader, so that leaving before the last chunk saves nothing; speech that broke
off is reckoned by a slow one, in the caller's favour. Of audio that was passed through unread
nobody knows how much it is: hanging up pays all of it, breaking off nothing.
"""

from __future__ import annotations

import hashlib
from types import TracebackType

import msgspec

from router.audio.pace import expected
from router.contract.caller import Ask, Delivered, Grant, Offer, Receipt, Standings
from router.contract.speech import SpeechRequest
from router.dispatch.speech import Speech
from router.routing.language import is_speakable
from router.routing.plan import Plan


def ask_for(
    request: SpeechRequest, made: Plan, request_id: str, idempotency_key: str | None
) -> Ask:
    """What the gate is asked for. A text with nothing to say costs nothing."""
    is_said = is_speakable(request.text)
    offers = (
        tuple([Offer(one.provider, one.model, one.price) for one in made.candidates])
        if is_said
        else ()
    )
    most_s = 0.0
    if any(offer.price.counts_audio for offer in offers):
        most_s = expected(request.text, made.language, request.speed).most_s
    return Ask(
        request_id=request_id,
        model=made.model,
        characters=len(request.text) if is_said else 0,
        offers=offers,
        most_audio_s=most_s,
        once=(idempotency_key, _contents(request)) if idempotency_key else None,
    )


def _contents(request: SpeechRequest) -> bytes:
    """A hash of all that was asked for: what a repetition repeats."""
    sample = request.clip.data if request.clip is not None else b""
    plain = msgspec.structs.replace(request, clip=None)
    return hashlib.sha256(msgspec.msgpack.encode(plain) + sample).digest()


class Account:
    """One speech, as far as it is paid."""

    def __init__(self, grant: Grant, speech: Speech, request: SpeechRequest, language: str) -> None:
        self._grant = grant
        self._speech = speech
        self._request = request
        self._language = language
        self._broke = False
        """Whether it broke off through no doing of the caller's."""

    @property
    def standings(self) -> Standings:
        return self._grant.standings

    def receipt(self) -> Receipt:
        """What all of it will cost, as far as that is known before it has left."""
        seconds = self._speech.seconds if self._speech.length is not None else None
        return self._grant.receipt(self._delivered(seconds, seconds, is_whole=True))

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        """Tell the grant what was delivered; nothing, where no byte was taken."""
        speech = self._speech
        speech.account = None  # else each would hold the other until the collector comes
        self._broke = isinstance(error, Exception)  # who hangs up is cancelled, which is none
        if not speech.bytes_out or speech.sound is None:
            return
        if speech.complete:
            self._grant.heard(self._delivered(speech.seconds, speech.seconds, is_whole=True))
            return
        left_s = self._left_s()
        if left_s is None:
            if not self._broke:
                self._grant.heard(self._delivered(None, None, is_whole=True))
            return
        self._grant.heard(self._delivered(left_s, self._whole_s(), is_whole=False))

    def _left_s(self) -> float | None:
        """Seconds that left: those that were made, without what still waits for the reader."""
        speech = self._speech
        assert speech.sound is not None
        made_bytes = speech.length or speech.bytes_out + speech.waiting_bytes
        made_s = speech.seconds
        return None if made_s is None else made_s * speech.bytes_out / made_bytes

    def _whole_s(self) -> float:
        speech = self._speech
        assert speech.sound is not None
        if speech.sound.ended and not self._broke:
            return speech.seconds or 0.0
        reader = expected(self._request.text, self._language, self._request.speed)
        return reader.most_s if self._broke else reader.least_s

    def _delivered(
        self, audio_s: float | None, whole_s: float | None, *, is_whole: bool
    ) -> Delivered:
        speech = self._speech
        return Delivered(
            provider=speech.provider,
            model=speech.upstream_model,
            characters=speech.characters,
            audio_s=audio_s,
            whole_s=whole_s,
            tokens=speech.sound.tokens if speech.sound is not None else None,
            is_whole=is_whole,
            cached=speech.cache == "hit",
            shares=speech.sound.shares if speech.sound is not None else (),
        )
