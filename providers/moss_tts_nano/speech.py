"""One speech as the event loop sees it: sound comes in, whoever listens takes it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from providers.moss_tts_nano.engine.book import Closed, Full
from providers.moss_tts_nano.engine.engine import Engine
from providers.moss_tts_nano.engine.mailbox import Mailbox
from providers.moss_tts_nano.engine.script import Script
from providers.moss_tts_nano.engine.utterance import Mute, Utterance
from providers.moss_tts_nano.guards import Finding
from router.contract.errors import Broken, Busy, NotReady, NotSpeech, ProviderError

Doubt = Callable[[Finding, bool], None]
"""Hears what went wrong with a chunk, and whether it is made again; called in the loop."""

_RETRY_AFTER_S = 1.0


class Hearing:
    """The chunks of a speech. They end when it has been left, too."""

    def __init__(self, engine: Engine, mailbox: Mailbox, doubt: Doubt) -> None:
        self._engine = engine
        self._mailbox = mailbox
        self._doubt = doubt
        self._utterance: Utterance | None = None
        self._pieces: deque[bytes] = deque()
        self._error: ProviderError | None = None
        self._is_over = False
        self._waiter: asyncio.Future[None] | None = None

    def begin(self, script: Script) -> None:
        """Raises: Busy, NotReady."""
        try:
            self._utterance = self._engine.open(script, self)
        except Full:
            message = "all its rows are taken, and enough wait for one."
            raise Busy(message, retry_after=_RETRY_AFTER_S) from None
        except Closed:
            raise NotReady("it is being closed.") from None

    async def first(self) -> None:
        """Wait until there is sound. Raises: ProviderError: there will be none."""
        while not self._pieces and not self._is_over:
            await self._news()
        if self._error is not None and not self._pieces:
            raise self._error

    def leave(self) -> None:
        """Let go of it, at any moment."""
        self._is_over = True
        self._pieces.clear()
        if self._utterance is not None:
            self._engine.cancel(self._utterance)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._is_over:
                raise StopAsyncIteration
            await self._news()
        sound = self._pieces.popleft()
        if self._utterance is not None:
            self._engine.read(self._utterance, len(sound))
        return sound

    # ---- from the engine's threads

    def hear(self, sound: bytes) -> None:
        self._mailbox.post(partial(self._heard, sound))

    def doubt(self, finding: Finding, *, made_again: bool) -> None:
        self._mailbox.post(partial(self._doubt, finding, made_again))

    def end(self) -> None:
        self._mailbox.post(partial(self._ended, None))

    def fail(self, error: Exception) -> None:
        self._mailbox.post(partial(self._ended, _told(error)))

    # ---- in the loop

    def _heard(self, sound: bytes) -> None:
        if not self._is_over:
            self._pieces.append(sound)
            self._wake()

    def _ended(self, error: ProviderError | None) -> None:
        if not self._is_over:
            self._is_over, self._error = True, error
            self._wake()

    async def _news(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@asynccontextmanager
async def hearing(
    engine: Engine, mailbox: Mailbox, script: Script, doubt: Doubt
) -> AsyncIterator[Hearing]:
    """A speech that has begun to sound; on leaving it is let go.

    Raises:
        Busy, NotReady, NotSpeech, Broken
    """
    heard = Hearing(engine, mailbox, doubt)
    heard.begin(script)
    try:
        await heard.first()
        yield heard
    finally:
        heard.leave()


def _told(error: Exception) -> ProviderError:
    """What the runtime says is not for callers: it may name what it was fed with."""
    match error:
        case ProviderError():
            return error
        case Closed():
            return NotReady("it was closed.")
        case Mute():
            return NotSpeech("the model made no sound of this text.")
        case _:
            return Broken(f"the engine failed ({type(error).__name__}).")
