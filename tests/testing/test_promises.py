"""The conformance suite passes an honest provider, and finds out whoever breaks a promise."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from router.contract.audio import AudioFormat, AudioStream
from router.contract.errors import Broken, ProviderError, Refused
from router.contract.provider import Host, Kind, Provider, Secret
from router.contract.speech import Capabilities, SpeechOrder, Voice, VoiceChoice
from router.testing import scripted
from router.testing.promises import PROMISES, Failure, Promise, Subject
from router.testing.promises.declaring import import_is_light
from router.testing.scripted import Bytes, Pause, Raise, Script, Scripted, Tone
from router.testing.watch import becomes, lateness

KEY = "sk-do-not-tell-anybody"
ORDER = SpeechOrder(
    model="tone-1", text="A sentence for a test.", voice=VoiceChoice("tone"), language="en"
)
TO_REFUSE = msgspec.structs.replace(ORDER, text="Refuse this sentence.")
TO_CUT = msgspec.structs.replace(ORDER, text="Break off this sentence.")
SPEECH = Script(entering=(Pause(0.002),), speaking=(Tone(0.2, pace=0.03),))
FAILURES = (
    Failure(name="a refusal", reason="refused", order=TO_REFUSE, when="entering"),
    Failure(name="a cut", reason="broken", order=TO_CUT, when="speaking"),
)


def play(order: SpeechOrder) -> Script:
    if order.text == TO_REFUSE.text:
        return Script(entering=(Raise(Refused("Not this one.")),))
    if order.text == TO_CUT.text:
        return Script(speaking=(Tone(0.05), Raise(Broken("It broke off."))))
    return SPEECH


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: Secret = Secret("")


class Honest:
    """Keeps every promise; the others below break one each."""

    settings: type[msgspec.Struct] = Settings

    def __init__(self) -> None:
        self.inner = Scripted(play)
        self.stray: list[asyncio.Task[None]] = []

    def offers(self) -> Mapping[str, Capabilities]:
        return self.inner.offers()

    async def voices(self) -> Sequence[Voice]:
        return await self.inner.voices()

    async def health(self) -> None:
        return await self.inner.health()

    async def close(self) -> None: ...

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        async with self.inner.synthesize(order, format) as stream:
            yield stream

    def leave_a_task(self) -> None:
        self.stray.append(asyncio.create_task(asyncio.sleep(30)))


def subject_of(make: Callable[[], Honest]) -> Subject:
    """Every opening makes a new one; the counts are those of all together."""
    made: list[Honest] = []

    @asynccontextmanager
    async def enter(_settings: msgspec.Struct, _host: Host) -> AsyncIterator[Provider]:
        provider = make()
        made.append(provider)
        yield provider
        await provider.close()

    settings = getattr(make, "settings", Settings)
    return Subject(
        kind=Kind(name="by-hand", settings=settings, open=enter),
        settings={"key": KEY},
        order=ORDER,
        failures=FAILURES,
        unspeakable=("", " … ", "!?"),
        secrets=(KEY,),
        open_speeches=lambda: sum(one.inner.open for one in made),
        asked=lambda: sum(len(one.inner.orders) for one in made),
    )


def scripted_subject() -> Subject:
    (kind,) = scripted.tts_provider_kinds()
    return Subject(
        kind=kind,
        plugin="router.testing.scripted",
        settings={"first_s": 0.005, "pace": 0.05, "ragged": True},
        order=ORDER,
        failures=tuple(
            Failure(name=reason, reason=reason, settings={"fail": reason}, when="entering")
            for reason in scripted.FAILURES
        ),
        unspeakable=("…",),
    )


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("subject", [scripted_subject(), subject_of(Honest)], ids=repr)
async def test_an_honest_provider_keeps_it(promise: Promise, subject: Subject) -> None:
    await promise(subject)


# ------------------------------------------------------------------------------------------------
# those who break one


class LooseSettings(msgspec.Struct, frozen=True):
    key: Secret = Secret("")


class Loose(Honest):
    settings = LooseSettings


class OpenSettings(msgspec.Struct, forbid_unknown_fields=True):
    key: Secret = Secret("")


class Open(Honest):
    settings = OpenSettings


class SlowToOffer(Honest):
    def offers(self) -> Mapping[str, Capabilities]:
        time.sleep(0.002)
        return super().offers()


class Fickle(Honest):
    def offers(self) -> Mapping[str, Capabilities]:
        able = super().offers()["tone-1"]
        return {"tone-1": msgspec.structs.replace(able, max_chars=1000 + time.time_ns() % 10_007)}


class Vague(Honest):
    def offers(self) -> Mapping[str, Capabilities]:
        return {"tone-1": Capabilities(formats=(AudioFormat("pcm"),))}

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        async with self.inner.synthesize(order, AudioFormat("pcm", 24_000, 1)) as stream:
            yield stream


class Twins(Honest):
    async def voices(self) -> Sequence[Voice]:
        return [Voice(id="tone"), Voice(id="tone")]


class Nameless(Honest):
    async def voices(self) -> Sequence[Voice]:
        return [Voice(id=" ")]


class OtherSound(Honest):
    """Plays other scripts, where there is nothing to refuse or to break off."""

    script = SPEECH

    def __init__(self) -> None:
        super().__init__()
        self.inner.play = lambda order: self.script if order.text == ORDER.text else play(order)


class HalfAFrame(OtherSound):
    script = Script(speaking=(Pause(0.002), Tone(0.1), Bytes(b"x")))

    def offers(self) -> Mapping[str, Capabilities]:
        return {"tone-1": Capabilities(formats=(AudioFormat("pcm", 24_000, 1),))}


class Stammering(OtherSound):
    script = Script(speaking=(Pause(0.002), Tone(0.1), Bytes(b""), Tone(0.1)))


class HeaderOnly(OtherSound):
    script = Script(speaking=(Pause(0.002), Tone(0)))


class Mislabelled(Honest):
    """Gives mono and calls it stereo."""

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        async with self.inner.synthesize(order, format) as stream:
            yield AudioStream(msgspec.structs.replace(format, channels=2), stream.chunks)


class Mumbling(Honest):
    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        if not any(sign.isalnum() for sign in order.text):
            order = ORDER
        async with self.inner.synthesize(order, format) as stream:
            yield stream


class Solitary(Honest):
    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        if self.inner.open:
            raise Broken("One at a time.")
        async with self.inner.synthesize(order, format) as stream:
            yield stream


class Blocking(Honest):
    """Thinks about a long text on the loop."""

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        if len(order.text) > 1000:
            time.sleep(0.07)  # noqa: ASYNC251 - the fault itself
        async with self.inner.synthesize(order, format) as stream:
            yield stream


class Overhasty(Honest):
    """Accepts at once and asks afterwards."""

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        if order.text != TO_REFUSE.text:
            async with self.inner.synthesize(order, format) as stream:
                yield stream
        else:
            yield AudioStream(format, self.later(order, format))

    async def later(self, order: SpeechOrder, format: AudioFormat) -> AsyncIterator[bytes]:
        async with self.inner.synthesize(order, format) as stream:
            async for chunk in stream.chunks:
                yield chunk


class Misreporting(Honest):
    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        if order.text == TO_REFUSE.text:
            raise Broken("Something went wrong.")
        async with self.inner.synthesize(order, format) as stream:
            yield stream


class Covering(Honest):
    """Ends a broken speech as if it were whole."""

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        async with self.inner.synthesize(order, format) as stream:
            yield AudioStream(format, self.quietly(stream.chunks))

    async def quietly(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        with suppress(ProviderError):
            async for chunk in chunks:
                yield chunk


class Buggy(Honest):
    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        if "\0" in order.text:
            raise KeyError("nul")
        async with self.inner.synthesize(order, format) as stream:
            yield stream


class Insistent(Honest):
    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        with suppress(ProviderError):
            async with self.inner.synthesize(order, format):
                pass
        async with self.inner.synthesize(order, format) as stream:
            yield stream


class LoggingText(Honest):
    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        logging.getLogger("by-hand").debug("speaking %s", order.text)
        async with self.inner.synthesize(order, format) as stream:
            yield stream


class TellingText(Honest):
    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        try:
            async with self.inner.synthesize(order, format) as stream:
                yield stream
        except Refused as error:
            raise Refused("Not this one.") from ValueError(order.text, error)


class PlainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str = ""


class TellingKeys(Honest):
    settings = PlainSettings


class Clinging(Honest):
    """Takes its time when it is left early."""

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        chunks_before = self.inner.chunks
        async with self.inner.synthesize(order, format) as stream:
            try:
                yield stream
            finally:
                if self.inner.chunks - chunks_before < 2:
                    await asyncio.sleep(1.2)


class Littering(Honest):
    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        async with self.inner.synthesize(order, format) as stream:
            self.leave_a_task()
            yield stream

    async def close(self) -> None:
        for task in self.stray:
            task.cancel()


class Leaking(Honest):
    """Loses a file whenever it is cancelled while it waits."""

    lost: ClassVar[list[int]] = []

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        try:
            async with self.inner.synthesize(order, format) as stream:
                yield stream
        except asyncio.CancelledError:
            self.lost.append(os.open(os.devnull, os.O_RDONLY))
            raise


class Stubborn(Honest):
    """Takes a cancellation for the end of the speech."""

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        async with self.inner.synthesize(order, format) as stream:
            yield AudioStream(format, self.stubbornly(stream.chunks))

    async def stubbornly(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        with suppress(asyncio.CancelledError):
            async for chunk in chunks:
                yield chunk


class Jamming(Honest):
    """Does not work again after it was cancelled in mid-stream."""

    jammed = False

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        if self.jammed:
            raise Broken("The pool is used up.")
        try:
            async with self.inner.synthesize(order, format) as stream:
                yield stream
        except asyncio.CancelledError:
            self.jammed = True
            raise


class Undead(Honest):
    async def close(self) -> None:
        self.leave_a_task()


LEAVING = ("leaving_early_lets_go_within_a_second", "cancellation_at_any_moment_leaves_nothing")


class Fault(msgspec.Struct, frozen=True):
    provider: type[Honest]
    says: str
    found_by: tuple[str, ...]

    def __repr__(self) -> str:
        return self.provider.__name__


SOUND = "no_speech_and_no_chunk_is_empty"
FAULTS = (
    Fault(Loose, "does not exist is accepted", ("unknown_settings_are_refused",)),
    Fault(Open, "not a frozen struct", ("unknown_settings_are_refused",)),
    Fault(SlowToOffer, "offers.. takes", ("offers_are_cheap_and_consistent",)),
    Fault(Fickle, "change from call to call", ("offers_are_cheap_and_consistent",)),
    Fault(Vague, "must tell its rate", ("offers_are_cheap_and_consistent",)),
    Fault(Twins, "two voices have one id", ("voices_are_unique_and_named",)),
    Fault(Nameless, "no clean id", ("voices_are_unique_and_named",)),
    Fault(HalfAFrame, "ends inside a frame", ("audio_is_in_the_asked_format",)),
    Fault(Mislabelled, "asked for and .* was told", ("audio_is_in_the_asked_format",)),
    Fault(Stammering, "a chunk is empty", (SOUND,)),
    Fault(Mumbling, "was accepted", ("text_with_nothing_speakable_is_refused",)),
    Fault(Solitary, "side by side it fails", ("several_speak_at_once",)),
    Fault(Blocking, "stood still", ("the_event_loop_is_never_blocked",)),
    Fault(Overhasty, "accepted first", ("entering_waits_for_acceptance",)),
    Fault(Misreporting, "broken came out, not refused", ("failures_are_told_as_they_are",)),
    Fault(Covering, "a cut: it ended cleanly", ("failures_are_told_as_they_are",)),
    Fault(Buggy, "KeyError", ("only_contract_errors_come_out",)),
    Fault(Insistent, "was asked 2 times", ("nothing_is_asked_twice",)),
    Fault(LoggingText, "a text is in a log", ("nothing_secret_is_told",)),
    Fault(TellingText, "a text is in an error", ("nothing_secret_is_told",)),
    Fault(TellingKeys, "a key is in a repr", ("nothing_secret_is_told",)),
    Fault(Littering, "tasks of", LEAVING),
    Fault(Leaking, "files of", LEAVING),
    Fault(Stubborn, "goes on after|swallowed", LEAVING),
    Fault(Jamming, "used up", LEAVING),
    Fault(Undead, "tasks of", ("closing_leaves_nothing_behind",)),
)
HEAVY_PLUGIN = """
import sqlite3
from router.testing.scripted import tts_provider_kinds
"""


@pytest.fixture(autouse=True)
def lost_files_are_found() -> Iterator[None]:
    yield
    while Leaking.lost:
        os.close(Leaking.lost.pop())


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_a_broken_promise_is_found_and_no_other_is_blamed(fault: Fault) -> None:
    for promise in PROMISES:
        subject = subject_of(fault.provider)
        if promise.__name__ in fault.found_by:
            with pytest.raises(AssertionError, match=fault.says):
                await promise(subject)
        else:
            await promise(subject)


@pytest.mark.parametrize("promise", LEAVING)
async def test_who_clings_to_a_speech_is_found(promise: str) -> None:
    (check,) = (check for check in PROMISES if check.__name__ == promise)
    with pytest.raises(AssertionError, match=r"took 1\.[2-9]"):
        await check(subject_of(Clinging))


async def test_a_header_without_sound_is_found() -> None:
    (check,) = (check for check in PROMISES if check.__name__ == SOUND)
    with pytest.raises(AssertionError, match="ended cleanly without sound"):
        await check(subject_of(HeaderOnly))


async def test_a_heavy_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_plugin.py").write_text(HEAVY_PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    subject = msgspec.structs.replace(scripted_subject(), plugin="heavy_plugin")
    await import_is_light(subject)
    with pytest.raises(AssertionError, match="heavy_plugin loads sqlite3"):
        await import_is_light(msgspec.structs.replace(subject, heavy=("sqlite3",)))
    assert "heavy_plugin" not in sys.modules, "it is imported in a process of its own"


def test_every_promise_was_seen_to_be_broken() -> None:
    found_by = {name for fault in FAULTS for name in fault.found_by}
    assert found_by | {"import_is_light"} == {promise.__name__ for promise in PROMISES}


async def test_a_silent_far_side_that_goes_on_is_found() -> None:
    subject = msgspec.structs.replace(subject_of(Honest), open_speeches=lambda: 1)
    (check,) = (check for check in PROMISES if check.__name__ == LEAVING[0])
    with pytest.raises(AssertionError, match="far side still works at 1 speeches"):
        await check(subject)


async def test_a_provider_that_never_comes_back_is_given_up() -> None:
    class Hanging(Honest):
        async def voices(self) -> Sequence[Voice]:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    subject = msgspec.structs.replace(subject_of(Hanging), patience_s=0.05)
    (check,) = (check for check in PROMISES if check.__name__ == "voices_are_unique_and_named")
    with pytest.raises(AssertionError, match=r"voices\(\) took longer than 0.05 s"):
        await check(subject)


def test_a_subject_needs_a_text_that_no_log_holds_by_accident() -> None:
    short = msgspec.structs.replace(ORDER, text="Hello")
    with pytest.raises(ValueError, match="at least 12 characters"):
        msgspec.structs.replace(scripted_subject(), order=short)


async def test_lateness_is_the_longest_time_without_a_turn() -> None:
    async with lateness() as seen:
        await asyncio.sleep(0.01)
        time.sleep(0.1)  # noqa: ASYNC251 - the block to be seen
    assert 0.08 < seen.worst_s < 0.3


async def test_a_condition_that_never_comes_true_is_given_up() -> None:
    assert not await becomes(lambda: False, 0.03)
    assert await becomes(lambda: True, 0)
