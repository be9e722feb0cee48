"""One provider, asked once: from its slot to its first sound, and then to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import structlog

from router.audio.integrity import Finding, Judge, expected
from router.audio.pipeline import Pipeline, Shaping, is_loaded, preload
from router.contract.caller import Turn
from router.contract.errors import Broken, Busy, NoSlot, NotSpeech, ProviderError, TimedOut
from router.contract.provider import Provider
from router.contract.speech import SpeechOrder
from router.dispatch.bounds import Courtesy, Leaving, place_of, within
from router.dispatch.limits import Full, Hold, Places
from router.dispatch.outlook import Trial
from router.dispatch.sounding import Held, Sounding, fed, held_whole, one
from router.dispatch.verdicts import SlotsInUse
from router.routing.plan import Candidate
from router.settings.structs import Settings

_log = structlog.get_logger(__name__)


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
        held = Held(await self._slot(order, patience_s))
        stack.callback(held.release)
        held.turn = await self._own_limits()
        pipeline = await self._pipeline(order)
        self._trial.begins()
        self._heard = pipeline
        native = self._candidate.native
        async with within(first_by, "it was silent until its time for the first sound was over"):
            entering = Leaving(self._provider.synthesize(order, native), self._candidate.provider)
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
            body = one(head)
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
        courtesy = Courtesy()
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
        self, source: AsyncIterator[bytes], pipeline: Pipeline, head: bytes, held: Held
    ) -> AsyncGenerator[bytes, None]:
        """The body from the first sound on. Raises only ProviderError."""
        courtesy = Courtesy()
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
            async with within(by, "it fell silent in mid-speech"):
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
        _log.error("a provider has a bug", provider=self._candidate.provider, **place_of(error))
        return Broken(f"it failed with an unexpected {type(error).__name__}")
