"""Runs the script on Redis: many commands in one pipeline, in a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from router.accounts.rates.script import Command, Reply, Script

_CONNECT_S = 5.0
_LAG_S = 0.02
"""An answer that is already there may not be thrown away because our own loop was late."""


class Pipeline:
    """A connection to Redis that runs one script. Nothing is ever sent twice: a command whose
    answer was lost may have been done."""

    def __init__(self, url: str, script: Script) -> None:
        self._client = Redis.from_url(
            url,
            socket_timeout=None,  # the time of the whole is what counts
            socket_connect_timeout=_CONNECT_S,
            retry=Retry(NoBackoff(), 0),
            client_name="tts-router",
        )
        self._script = script

    async def run(self, commands: Sequence[Command], timeout_s: float) -> list[Reply]:
        """Their answers. Raises RedisError, OSError, TimeoutError."""
        task = asyncio.create_task(self._run(commands), name="rates pipeline")
        try:
            for limit_s in (timeout_s, _LAG_S):
                if (await asyncio.wait([task], timeout=limit_s))[0]:
                    return task.result()
            raise TimeoutError
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    async def close(self) -> None:
        await self._client.aclose()

    async def _run(self, commands: Sequence[Command]) -> list[Reply]:
        replies = await self._evaluated(commands)
        unknown = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # the server is new, or has been told to forget its scripts
            await self._client.script_load(self._script.text)
            late = await self._evaluated([commands[at] for at in unknown])
            for at, reply in zip(unknown, late, strict=True):
                replies[at] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _evaluated(self, commands: Sequence[Command]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command("EVALSHA", self._script.name, *command)
            return await pipeline.execute(raise_on_error=False)
