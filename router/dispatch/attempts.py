"""One provider, asked once: from its slot to its first sound, and then to its end."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Protocol

import structlog

from router.audio.integrity import Finding, Judge, expected
from router.audio.pipeline import Pipeline, Shaping, is_loaded, preload
from router.contract.audio import AudioFormat, AudioStream
from router.contract.caller import Turn
from router.contract.errors import Broken, Busy, NoSlot, NotSpeech, ProviderError, TimedOut
from router.contract.provider import Provider
from router.contract.speech import SpeechOrder
from router.dispatch.limits import Full, Hold, Places
from router.dispatch.outlook import Trial
from router.dispatch.verdicts import SlotsInUse
from router.routing.plan import Candidate
from router.settings.structs import Settings

_log = structlog.get_logger(__name__)

_TURN_S = 0.002
LEAVE_S = 5.0
"""How long a provider may take to let go before we stop waiting: it promises one second."""


class Sounding:
    """A provider that has begun to sound. Closing it, at any moment, lets go of everything."""

    def __init__(
        self,
        stack: AsyncExitStack,
        stream: AudioStream,
        body: AsyncIterator[bytes],
        pipeline: Pipeline,
        held: _Held,
    ) -> None:
        self._stack = stack
        self._pipeline = pipeline
        self._held = held
        self._stream = stream
        self.body = body
        self.length: int | None = None

    @property
    def format(self) -> AudioFormat:
        return self._pipeline.format

    @property
    def seconds(self) -> float | None:
        return self._pipeline.seconds

    @property
    def ended(self) -> bool:
        """Whether the provider has said all of it (or was let go)."""
        return self._held.released

    @property
    def voice(self) -> str | None:
        return self._stream.voice

    @property
    def framed(self) -> bool:
        return self._stream.framed

    @property
    def upstream_id(self) -> str | None:
        return self._stream.upstream_id

    @property
    def tokens(self) -> int | None:
        return self._stream.tokens

    def exact(self, body: bytearray) -> None:
        self._pipeline.exact(body)

    async def aclose(self) -> None:
        await self._stack.aclose()


class _Held:
    """What is held of a provider until it has said all, or is let go."""

    def __init__(self, slot: Hold) -> None:
        self._slot = slot
        self.turn: Turn | None = None
        self.released = False

    def release(self) -> None:
        self.released = True
        self._slot.release()
        if self.turn is not None:
            self.turn.done()


class Attempt:
    """What is needed to ask one candidate once."""

    def __init__(
        self,
        candidate: Candidate,
        provider: Provider,
        slots: Places,
        settings: Settings,
        doubted: Callable[[Finding], None],
        *,
        ended: Callable[[float | None], None],
        let_go: Callable[[float | None], None],
        turn: Callable[[], Awaitable[Turn]],
        trial: Trial,
        size_s: float,
        stall_s: float,
        is_last: bool,
    ) -> None:
        """`turn` takes what the provider's own limits allow, `trial` hears how it went, `doubted`
        hears every finding, `ended` how many seconds of audio there were when all of it has come,
        and `let_go` how many when it was left before that by us.
        `size_s` is how long it is expected to take, 0 where nobody knows; `stall_s` is how long it
        may be silent once it speaks.

        Nobody comes after the last candidate: mere doubt does not make it fail, for doubtful speech
        is better than none.
        """
        self._candidate = candidate
        self._provider = provider
        self._slots = slots
        self._timeouts = settings.timeouts
        self._integrity = settings.integrity
        self._doubted = doubted
        self._ended = ended
        self._let_go = let_go
        self._heard: Pipeline | None = None
        """What it was asked for goes through here; from its being asked to its end or failure."""
        self._turn = turn
        self._trial = trial
        self._size_s = size_s
        self._stall_s = stall_s
        self._doubt_fails = not is_last
        self._framed = True
        """Whether the end of the audio can be told from a cut: else too little of it is a cut."""
        self.waited_s = 0.0
        """For a slot, in vain too."""
        self._ends_at = asyncio.get_running_loop().time() + settings.timeouts.total_s

    async def begin(
        self, order: SpeechOrder, *, patience_s: float, first_by: float, whole_bytes: int
    ) -> Sounding:
        """Ask, and wait for the first sound; with `whole_bytes`, for all of up to so many bytes.

        `first_by` is loop time. Nothing is held when this raises.

        Raises:
            ProviderError: whatever went wrong; what is not of the contract counts as `Broken`.
        """
        async with AsyncExitStack() as stack:
            stack.callback(self._left)
            try:
                sounding = await self._begin(stack, order, patience_s, first_by, whole_bytes)
            except ProviderError as error:
                self._failed(error)
                raise
            except Exception as error:
                bug = self._bug(error)
                self._failed(bug)
                raise bug from error
            sounding._stack = stack.pop_all()  # noqa: SLF001  # handing over, in one place
            return sounding

    async def _begin(
        self,
        stack: AsyncExitStack,
        order: SpeechOrder,
        patience_s: float,
        first_by: float,
        whole_bytes: int,
    ) -> Sounding:
        held = _Held(await self._slot(order, patience_s))
        stack.callback(held.release)
        held.turn = await self._own_limits()
        pipeline = await self._pipeline(order)
        self._trial.begins()
        self._heard = pipeline
        native = self._candidate.native
        async with _within(first_by, "it was silent until its time for the first sound was over"):
            entering = _Leaving(self._provider.synthesize(order, native), self._candidate.provider)
            stream = await stack.enter_async_context(entering)
            if not native.admits(stream.format):
                raise NotSpeech(f"it was asked for {native} and gives {stream.format}")
            self._framed = stream.framed
            pipeline.begin(stream.format)
            source = aiter(stream.chunks)
            head, ended = await self._first_sound(source, pipeline)
        self._trial.sounded()
        if ended:
            held.release()
            self._said_all(pipeline)
            body = _one(head)
        else:
            body = self._rest(source, pipeline, head, held)
        stack.push_async_callback(body.aclose)
        sounding = Sounding(stack, stream, body, pipeline, held)
        if whole_bytes:
            await held_whole(sounding, whole_bytes)
        if sounding.length is not None:
            await stack.aclose()  # the provider is done with, however slow the caller reads
            return sounding
        self._doubt_fails = self._integrity.breaks  # from here on something may have left
        return sounding

    async def _pipeline(self, order: SpeechOrder) -> Pipeline:
        wanted = self._candidate
        shaping = Shaping(wanted.gain_db, *wanted.stretch)
        judges = self._integrity.judges and not wanted.through
        plain = not shaping.stretches and not shaping.gain_db and not judges
        if not wanted.through and not is_loaded(wanted.native, wanted.output, plain=plain):
            await asyncio.to_thread(preload)
        judge = None
        if judges:
            judge = Judge(expected(order.text, order.language, order.speed), self._integrity)
        return Pipeline(wanted.output, through=wanted.through, shaping=shaping, judge=judge)

    async def _slot(self, order: SpeechOrder, patience_s: float) -> Hold:
        began = asyncio.get_running_loop().time()
        try:
            return await self._slots.take(patience_s, self._size_s, order.priority)
        except Full as full:
            raise SlotsInUse(full.wait_s) from None
        finally:
            self.waited_s = asyncio.get_running_loop().time() - began

    async def _own_limits(self) -> Turn:
        try:
            return await self._turn()
        except Busy as full:  # a limit of ours: the provider has not said a word
            raise NoSlot(full.message, retry_after=full.retry_after) from None

    async def _first_sound(
        self, source: AsyncIterator[bytes], pipeline: Pipeline
    ) -> tuple[bytes, bool]:
        """Converted bytes up to and with the first sound, and whether that was all there is."""
        head = b""
        courtesy = _Courtesy()
        while not pipeline.may_leave:
            try:
                chunk = await anext(source)
            except StopAsyncIteration:
                head += pipeline.end()
                self._judged(pipeline)
                if not pipeline.sounded:
                    raise NotSpeech("it ended without a sound") from None
                return head + pipeline.finish(), True
            head += await fed(pipeline, chunk)
            self._judged(pipeline)
            await courtesy.give_way()
        return head, False

    def _judged(self, pipeline: Pipeline) -> None:
        """Act on what was found. Raises NotSpeech where it must not go on."""
        while pipeline.findings:
            finding = pipeline.findings.pop(0)
            self._doubted(finding)
            is_cut = finding.kind == "too_short" and not self._framed
            if finding.hard or is_cut or self._doubt_fails:
                raise NotSpeech(finding.message)

    async def _rest(
        self, source: AsyncIterator[bytes], pipeline: Pipeline, head: bytes, held: _Held
    ) -> AsyncGenerator[bytes, None]:
        """The body from the first sound on. Raises only ProviderError."""
        courtesy = _Courtesy()
        try:
            yield head
            while (chunk := await self._next(source)) is not None:
                out = await fed(pipeline, chunk)
                self._judged(pipeline)
                await courtesy.give_way()
                if out:
                    yield out
            held.release()
            tail = pipeline.end() + pipeline.finish()
            self._judged(pipeline)
            self._said_all(pipeline)
            if tail:
                yield tail
        except ProviderError as error:
            self._failed(error)
            raise

    async def _next(self, source: AsyncIterator[bytes]) -> bytes | None:
        """The provider's next chunk; `None` at its end. Raises only ProviderError."""
        now = asyncio.get_running_loop().time()
        if now >= self._ends_at:  # a source that never waits would never meet its limit
            raise TimedOut("it spoke on until the time for a whole speech was over")
        by = min(now + self._stall_s, self._ends_at)
        try:
            async with _within(by, "it fell silent in mid-speech"):
                return await anext(source)
        except StopAsyncIteration:
            return None
        except ProviderError:
            raise
        except Exception as error:
            raise self._bug(error) from error

    def _said_all(self, pipeline: Pipeline) -> None:
        self._heard = None
        self._ended(pipeline.seconds)

    def _failed(self, error: ProviderError) -> None:
        self._heard = None
        self._trial.failed(error)

    def _left(self) -> None:
        """Nothing more will come of it."""
        self._trial.over()
        heard, self._heard = self._heard, None
        if heard is not None:
            self._let_go(heard.seconds)

    def _bug(self, error: Exception) -> Broken:
        """An exception that no provider should let out: told with its place, never with its
        words."""
        _log.error("a provider has a bug", provider=self._candidate.provider, **_place_of(error))
        return Broken(f"it failed with an unexpected {type(error).__name__}")


def _place_of(error: Exception) -> dict[str, str]:
    """What may be logged of a plugin's exception: its words could hold the caller's text."""
    where = "".join(traceback.format_tb(error.__traceback__))
    return {"error": type(error).__name__, "where": where}


class _Courtesy:
    """Lets others run after every 2 ms of work: a provider may have no real wait in it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()

    async def give_way(self) -> None:
        if self._loop.time() - self._since > _TURN_S:
            await asyncio.sleep(0)
            self._since = self._loop.time()


class _Leaving:
    """A provider's context whose exit cannot hold us up."""

    def __init__(self, context: AbstractAsyncContextManager[AudioStream], name: str) -> None:
        self._context = context
        self._name = name

    async def __aenter__(self) -> AudioStream:
        return await self._context.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._context.__aexit__(kind, error, place)
        except TimeoutError:
            _log.error("a provider does not let go", provider=self._name, waited_s=LEAVE_S)
        except ProviderError:
            pass  # it has let go, and nobody listens any more
        except Exception as failed:  # a bug on leaving is nobody's speech
            _log.error("a provider failed on leaving", provider=self._name, **_place_of(failed))


class _within:  # noqa: N801  # reads as a word in `async with`
    """A limit whose passing is the provider's failure, told apart from a TimeoutError of its
    own."""

    def __init__(self, by: float, message: str) -> None:
        self._limit = asyncio.timeout_at(by)
        self._message = message

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, place)
        except TimeoutError as passed:
            if passed is not error:
                raise TimedOut(self._message) from None
            raise


async def fed(pipeline: Pipeline, chunk: bytes) -> bytes:
    """Feed a chunk, in a thread where that takes long."""
    if not pipeline.is_heavy(chunk):
        return pipeline.feed(chunk)
    return await asyncio.to_thread(pipeline.feed, chunk)


class _Whole(Protocol):
    """What can be held whole."""

    body: AsyncIterator[bytes]
    length: int | None

    def exact(self, body: bytearray) -> None: ...


async def held_whole(sound: _Whole, most: int) -> None:
    """Hold all of a sound, unless it grows beyond `most` bytes: then it streams on from there."""
    body = bytearray()
    async for chunk in sound.body:
        body += chunk
        if len(body) > most:
            sound.body = _chain(bytes(body), sound.body)
            return
    sound.exact(body)
    sound.length = len(body)
    sound.body = _one(bytes(body))


async def _one(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
