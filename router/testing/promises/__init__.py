"""The promises that every provider keeps, as checks that anybody can run on theirs.

They need no test framework; with pytest they read:

    SUBJECT = Subject(plugin="mine", kind=mine.KIND, order=SpeechOrder(...))

    @pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
    async def test_the_provider_keeps_its_promises(promise: Promise) -> None:
        await promise(SUBJECT)

Each opens the provider anew, speaks for real, and raises an `AssertionError` in plain words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from router.testing.promises.declaring import (
    import_is_light,
    offers_are_cheap_and_consistent,
    unknown_settings_are_refused,
    voices_are_unique_and_named,
)
from router.testing.promises.failing import (
    entering_waits_for_acceptance,
    failures_are_told_as_they_are,
    nothing_is_asked_twice,
    nothing_secret_is_told,
    only_contract_errors_come_out,
)
from router.testing.promises.leaving import (
    cancellation_at_any_moment_leaves_nothing,
    closing_leaves_nothing_behind,
    leaving_early_lets_go_within_a_second,
)
from router.testing.promises.speaking import (
    audio_is_in_the_asked_format,
    no_speech_and_no_chunk_is_empty,
    several_speak_at_once,
    text_with_nothing_speakable_is_refused,
    the_event_loop_is_never_blocked,
)
from router.testing.subject import Failure, Subject

__all__ = ["PROMISES", "Failure", "Promise", "Subject"]

Promise = Callable[[Subject], Awaitable[None]]

PROMISES: tuple[Promise, ...] = (
    import_is_light,
    unknown_settings_are_refused,
    offers_are_cheap_and_consistent,
    voices_are_unique_and_named,
    audio_is_in_the_asked_format,
    no_speech_and_no_chunk_is_empty,
    text_with_nothing_speakable_is_refused,
    several_speak_at_once,
    the_event_loop_is_never_blocked,
    entering_waits_for_acceptance,
    failures_are_told_as_they_are,
    only_contract_errors_come_out,
    nothing_is_asked_twice,
    nothing_secret_is_told,
    leaving_early_lets_go_within_a_second,
    cancellation_at_any_moment_leaves_nothing,
    closing_leaves_nothing_behind,
)
