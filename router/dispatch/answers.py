"""The answers to callers' Idempotency-Keys, so that who asks again hears the same."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from router.contract.errors import IdempotencyConflict
from router.dispatch.kept import Kept

AGE_S = 600.0
MOST_KEYS = 10_000
_LARGEST = 4
"""No answer takes more than this part of the store."""


class Answer(msgspec.Struct, eq=False):
    """What is known of one key of one caller."""

    contents: bytes
    """A hash of what was asked for under it."""
    until: float
    """When it is forgotten, unless a request for it is under way."""
    under_way: int = 0
    was_heard: bool = False
    """Whether a sound was ever made for it: until then it may stand for something else."""
    is_lost: bool = False
    """There was a whole answer, and it is not kept: too large, or others were newer."""


class Answers:
    """Answers of the last ten minutes, by caller and key, in memory, within a bound of bytes."""

    def __init__(
        self,
        most_bytes: int,
        *,
        age_s: float = AGE_S,
        most_keys: int = MOST_KEYS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.largest_bytes = most_bytes // _LARGEST
        """The largest answer that is kept."""
        self.bytes = 0
        self.most_bytes = most_bytes
        self._most_keys = most_keys
        self._age_s = age_s
        self._now = now
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        """The next to be forgotten first."""
        self._bodies: OrderedDict[bytes, Kept] = OrderedDict()
        """The oldest first."""

    def begin(self, caller: str, once: tuple[str, bytes]) -> Turn:
        """A request with this key and these contents, which is to be left.

        Raises:
            IdempotencyConflict: the key stands for something else.
        """
        self._forget()
        key, contents = once
        name = hashlib.blake2b(f"{caller}\0{key}".encode(), digest_size=16).digest()
        answer = self._answers.get(name)
        if answer is None:
            answer = self._answers[name] = Answer(contents, self._now() + self._age_s)
        elif answer.contents != contents:
            raise IdempotencyConflict(
                "This Idempotency-Key was used for another request. Use a new one for each speech."
            )
        answer.under_way += 1
        return Turn(self, name, answer)

    def body(self, name: bytes) -> Kept | None:
        return self._bodies.get(name)

    def keep(self, name: bytes, answer: Answer, kept: Kept | None) -> None:
        """The whole answer; `None`: it was too large. The first one stays the answer."""
        if self._answers.get(name) is not answer or name in self._bodies:
            return
        size = kept.held_bytes if kept is not None else 0
        answer.is_lost = kept is None or size > self.largest_bytes
        self._renew(name, answer)
        if kept is None or answer.is_lost:
            return
        self._bodies[name] = kept
        self.bytes += size
        while self.bytes > self.most_bytes:
            oldest = next(iter(self._bodies))
            self._drop_body(oldest)
            self._answers[oldest].is_lost = True

    def leave(self, name: bytes, answer: Answer) -> None:
        answer.under_way -= 1
        if answer.under_way or self._answers.get(name) is not answer:
            return
        if not answer.was_heard:
            self._drop(name)
        elif name not in self._bodies:
            self._renew(name, answer)

    def _renew(self, name: bytes, answer: Answer) -> None:
        answer.until = self._now() + self._age_s
        self._answers.move_to_end(name)

    def _forget(self) -> None:
        """What is too old, and what is too much; requests under way stay."""
        now = self._now()
        for _ in range(len(self._answers)):
            name, first = next(iter(self._answers.items()))
            if first.until > now and len(self._answers) < self._most_keys:
                return
            if first.under_way:
                self._renew(name, first)
            else:
                self._drop(name)

    def _drop(self, name: bytes) -> None:
        del self._answers[name]
        self._drop_body(name)

    def _drop_body(self, name: bytes) -> None:
        body = self._bodies.pop(name, None)
        if body is not None:
            self.bytes -= body.held_bytes


class Turn:
    """One request with an Idempotency-Key. Leave it once."""

    def __init__(self, answers: Answers, name: bytes, answer: Answer) -> None:
        self.name = name
        self._answers = answers
        self._answer = answer

    @property
    def kept(self) -> Kept | None:
        """The answer, where one was given before."""
        return self._answers.body(self.name)

    @property
    def is_lost(self) -> bool:
        """Whether one was given before and is not there any more."""
        return self._answer.is_lost

    @property
    def largest_bytes(self) -> int:
        return self._answers.largest_bytes

    def heard(self) -> None:
        """A sound was made for it: from now on the key stands for this and nothing else."""
        self._answer.was_heard = True

    def keep(self, kept: Kept | None) -> None:
        self._answers.keep(self.name, self._answer, kept)

    def leave(self) -> None:
        self._answers.leave(self.name, self._answer)
