"""Speech by ticket: some models answer with a `runId` that is asked after until the audio is there.

Source: `endpoint/tts-status.mdx` in github Nano-GPT-com/docs (2026-08-22): `pending`, `completed`
with `audioUrl`, or `error`; clients ask every two to three seconds, for at most three minutes.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from providers.common.failures import cleaned
from providers.common.upstream import Answer, Upstream
from router.contract.errors import (
    Broken,
    NotSpeech,
    Refused,
    TimedOut,
)


class Ticket(msgspec.Struct, frozen=True, rename="camel"):
    """What is known of a synthesis: in the first answer, and in every later one."""

    status: str = ""
    run_id: str | None = None
    audio_url: str | None = None
    error: Any = None
    code: Any = None


class Desk:
    """Where tickets are handed in: `path` is that of the status, seen from the API's address."""

    def __init__(self, api: Upstream, path: str, *, poll_s: float, ticket_s: float) -> None:
        self._api = api
        self._path = path
        self._poll_s = poll_s
        self._ticket_s = ticket_s

    async def redeem(
        self, model: str, answer: Answer, private: tuple[str, ...]
    ) -> tuple[str, str | None]:
        """Where the audio is that an answer in JSON promises, and its `runId` if it has one.

        Raises:
            Refused: its content is not spoken there.
            Broken: the synthesis failed, or nobody there knows of it any more.
            TimedOut: it was not there in time.
            NotSpeech: the JSON promises nothing.
        """
        ticket = await self._read(answer)
        if ticket.audio_url:
            return ticket.audio_url, ticket.run_id
        self._check(ticket, private)
        if not ticket.run_id:
            raise NotSpeech(f"{self._api.name} answered with JSON instead of audio")
        query = {"runId": ticket.run_id, "model": model}
        try:
            async with asyncio.timeout(self._ticket_s):
                return await self._waited_for(query, private), ticket.run_id
        except TimeoutError as error:
            raise TimedOut(
                f"{self._api.name} did not honour its ticket in {self._ticket_s:g} s"
            ) from error

    async def _waited_for(self, query: dict[str, str], private: tuple[str, ...]) -> str:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                async with self._api.get(self._path, query=query) as answer:
                    ticket = await self._read(answer)
            except Refused as error:
                raise Broken(f"{self._api.name} does not know its own ticket") from error
            self._check(ticket, private)
            if ticket.status == "completed":
                if ticket.audio_url:
                    return ticket.audio_url
                raise NotSpeech(f"{self._api.name} completed a ticket without audio")

    async def _read(self, answer: Answer) -> Ticket:
        try:
            return msgspec.convert(await answer.json(), Ticket)
        except msgspec.ValidationError as error:
            raise NotSpeech(f"{self._api.name} answered with JSON that is no ticket") from error

    def _check(self, ticket: Ticket, private: tuple[str, ...]) -> None:
        if ticket.status != "error" and not ticket.error:
            return
        if ticket.code == "CONTENT_POLICY_VIOLATION":
            said = cleaned(ticket.error if isinstance(ticket.error, str) else "", private)
            raise Refused(f"{self._api.name} refused: {said or 'content policy'}")
        raise Broken(f"{self._api.name} failed at the synthesis")
