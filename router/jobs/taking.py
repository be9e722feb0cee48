"""From what a caller hands in to jobs that can be written down: planned, cut, priced, measured."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Sequence

import msgspec

from router.accounts.entry import Due
from router.audio.pace import expected
from router.contract.audio import AudioFormat
from router.contract.caller import Ask, Caller
from router.contract.errors import CallerError, InputTooLong, InvalidRequest, SpeechError
from router.contract.speech import SpeechRequest, Terms
from router.dispatch.paying import ask_for
from router.dispatch.speaker import Speaker
from router.jobs.cutting import ends_of
from router.jobs.job import Submission
from router.jobs.order import Order, encoded
from router.jobs.sizing import check_room, check_wav, needed_bytes
from router.jobs.webhooks.targets import checked
from router.routing.plan import Plan
from router.settings.jobs import LONGEST_KEEP_S, Jobs

KEPT_AS = AudioFormat("flac")
"""What a piece is asked for: lossless, at the rate and with the channels of who speaks."""
BATCH = Terms(priority="batch", fresh=True)
"""How a piece is asked for. A book would push everything else out of the cache."""
_METADATA_BYTES = 8_192
_LONG = 5_000
"""Code points from which on a text is looked through in a thread."""


class New(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is to be written down."""

    id: str
    submission: Submission
    model: str
    order: bytes
    pieces: int
    needs_bytes: int
    keep_s: int
    due: Due | None = None


class Once(msgspec.Struct, frozen=True):
    """A caller's Idempotency-Key, and all that came under it: hashes, as they are stored."""

    name: str
    contents: str


class Coming(msgspec.Struct, frozen=True, kw_only=True):
    """A submission of one caller, as it comes in: all of it or nothing."""

    owner: str
    jobs: Sequence[New]
    batch: str | None
    once: Once | None
    most: int
    """Jobs of all callers that have not ended."""
    most_of_owner: int
    most_bytes: int
    is_undone: bool = False
    """Nobody heard whether they came in: they are to be as if they had not."""


class Reading:
    """Reads jobs for one caller, with the config of one moment."""

    def __init__(self, speaker: Speaker, settings: Jobs, caller: Caller) -> None:
        self._speaker = speaker
        self._settings = settings
        self._caller = caller

    async def read(self, submissions: Sequence[Submission]) -> list[tuple[New, Ask]]:
        """Each job, and what it takes. In a batch the message of an error names the item.

        Raises:
            SpeechError: one of them cannot be spoken as it is.
        """
        _check_count(len(submissions), self._settings.batch_most)
        found = []
        for item, submission in enumerate(submissions):
            try:
                found.append(await self._read(submission))
            except SpeechError as error:
                if len(submissions) > 1:
                    _name(error, item)
                raise
            await asyncio.sleep(0)  # a batch of a thousand takes a second
        return found

    async def _read(self, submission: Submission) -> tuple[New, Ask]:
        request = submission.request
        self._check(submission)
        is_long = len(request.text) > _LONG
        ends = await asyncio.to_thread(ends_of, request.text) if is_long else ends_of(request.text)
        first = msgspec.structs.replace(request, text=request.text[: ends[0]], format=KEPT_AS)
        made = self._speaker.planned(first, self._caller, BATCH)
        if is_long:
            return await asyncio.to_thread(self._made, submission, ends, made)
        return self._made(submission, ends, made)

    def _made(self, submission: Submission, ends: tuple[int, ...], made: Plan) -> tuple[New, Ask]:
        request = msgspec.structs.replace(submission.request, language=made.language)
        id = new_id()
        ask = ask_for(request, made, id, None)
        needs = self._needed_bytes(request, ends, made)
        order = Order(
            request=request,
            caller=msgspec.structs.replace(self._caller, account=None, address=""),
            offers=ask.offers,
            ends=ends,
        )
        new = New(
            id=id,
            submission=submission,
            model=made.model,
            order=encoded(order),
            pieces=len(ends),
            needs_bytes=needs,
            keep_s=min(submission.expires_in_s or self._settings.keep_s, LONGEST_KEEP_S),
        )
        return new, ask

    def _needed_bytes(self, request: SpeechRequest, ends: Sequence[int], made: Plan) -> int:
        """Room on the disk. Raises UnsupportedFormat, InputTooLong."""
        lasts = [  # piece by piece: one look at all of it would hold up every other thread
            expected(request.text[begin:end], made.language, request.speed)
            for begin, end in zip((0, *ends), ends, strict=False)
        ]
        most_s = sum(one.most_s for one in lasts)
        wanted = _likely(request.format, made)
        check_wav(most_s, wanted)
        least_s = sum(one.least_s for one in lasts)
        seconds = math.sqrt(least_s * most_s)  # 13.7 characters a second of English
        needs = needed_bytes(seconds, _likely(KEPT_AS, made), wanted)
        check_room(needs, self._settings.max_bytes)
        return needs

    def _check(self, submission: Submission) -> None:
        """Refuse what no provider need be asked about. Raises CallerError."""
        count, most = len(submission.request.text), self._settings.longest_chars
        if not count:
            raise InvalidRequest("There is no text.", param="input")
        if count > most:
            raise InputTooLong(
                f"The input has {count} characters; a job takes at most {most}.", param="input"
            )
        if len(msgspec.json.encode(submission.metadata)) > _METADATA_BYTES:
            what = f"metadata takes at most {_METADATA_BYTES} bytes as JSON."
            raise InvalidRequest(what, param="metadata")
        if submission.webhook_url is not None:
            checked(submission.webhook_url, allow_private=self._settings.webhooks.allow_private)


def _name(error: SpeechError, item: int) -> None:
    """Let an error tell which item of a batch it is of."""
    error.message = f"Item {item}: {error.message}"
    error.args = (error.message,)
    if isinstance(error, CallerError):
        error.param = f"items[{item}].{error.param}" if error.param else f"items[{item}]"


def new_id() -> str:
    """A name that nobody can guess: 22 characters hold 132 bits."""
    return f"run_{secrets.token_urlsafe(17)[:22]}"


def _likely(wanted: AudioFormat, made: Plan) -> AudioFormat:
    """The wanted format, with the rate and channels of who speaks first where none were asked."""
    native = made.candidates[0].native if made.candidates else wanted
    return AudioFormat(
        wanted.encoding,
        wanted.sample_rate or native.sample_rate,
        wanted.channels or native.channels,
    )


def _check_count(count: int, most: int) -> None:
    """Raises InvalidRequest."""
    if not 1 <= count <= most:
        raise InvalidRequest(f"A batch has 1 to {most} items; this one has {count}.")
