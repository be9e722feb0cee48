"""Voices out of samples: each is encoded once, and its codes are remembered by its content."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor

from providers.moss_tts_nano.clips import useful
from providers.moss_tts_nano.parts import Encoder, Floats, Ints
from providers.moss_tts_nano.voices import Reference
from router.contract.audio import Clip
from router.contract.errors import Broken, Busy, ProviderError, Refused

_AT_ONCE = 8
"""Samples that are encoded or wait for it; each holds up to 46 MB."""


class Clones:
    """Codes are in no repr, log or file. It belongs to one event loop."""

    def __init__(
        self,
        encoder: Callable[[], Encoder],
        rate: int,
        most: int,
        *,
        encoding: Executor,
        hashing: Executor,
    ) -> None:
        """`encoder` is asked when there is the first sample; `most` are remembered. Encoding takes
        a second, so whoever waits for `hashing` must not stand behind it."""
        self._encoder = encoder
        self._rate = rate
        self._most = most
        self._encoding = encoding
        self._hashing = hashing
        self._known: OrderedDict[str, Reference] = OrderedDict()
        self._being_encoded: dict[str, asyncio.Task[Reference]] = {}

    async def voice(self, clip: Clip) -> Reference:
        """The voice of a sample; who asks for one that is being encoded waits for the same.

        Raises:
            Refused: it was not decoded, is silent or too short.
            Busy: too many are being encoded.
            Broken: the codec failed.
        """
        if clip.samples is None:
            raise Refused("the voice sample could not be decoded.")
        loop = asyncio.get_running_loop()
        key = await loop.run_in_executor(self._hashing, _hash, clip.data)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        task = self._being_encoded.get(key)
        if task is None:
            if len(self._being_encoded) >= _AT_ONCE:
                raise Busy("too many voice samples are being encoded.", retry_after=2)
            task = asyncio.create_task(self._encoded(key, clip.samples), name="moss-clone")
            self._being_encoded[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        # One who leaves must not take the voice from the others; nobody needs it: it is kept.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for nothing; what is being encoded is thrown away."""
        tasks = list(self._being_encoded.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _encoded(self, key: str, samples: Floats) -> Reference:
        loop = asyncio.get_running_loop()
        codes = await loop.run_in_executor(self._encoding, self._encode, samples)
        voice = Reference(("clip", key), codes)
        self._known[key] = voice
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return voice

    def _forget(self, key: str, task: asyncio.Task[Reference]) -> None:
        self._being_encoded.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waited may have left: then nobody else looks at it

    def _encode(self, samples: Floats) -> Ints:
        part = useful(samples, self._rate)
        try:
            codes = self._encoder().encode(part)
        except ProviderError:
            raise
        except Exception as error:
            raise Broken(f"the codec failed ({type(error).__name__}).") from error
        if not len(codes):
            raise Refused("the voice sample is too short.")
        return codes


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
