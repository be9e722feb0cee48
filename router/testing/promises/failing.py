"""What a provider promises for when it cannot speak."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec

from router.contract.errors import ProviderError
from router.testing.hearing import hear
from router.testing.promises.steps import entered, provoked, speaks
from router.testing.subject import (
    FEWEST_CHARS,
    Failure,
    Subject,
    decoded,
    first_format,
    opened,
    patience,
)
from router.testing.watch import everything_logged, told_by

ODD_TEXTS = (
    "a",
    "7",
    "\N{SLIGHTLY SMILING FACE}\N{ZERO WIDTH JOINER}\N{SNOWMAN}",
    "Nul\0 and bell\a, escape \x1b[0m, delete \x7f.",
    "One\r\n\r\n\ttwo\N{LINE SEPARATOR}three\N{NO-BREAK SPACE}four",
    "<speak>Tags &amp; entities</speak> [[brackets]] {braces} %s %d \\n",
    "e" + "\N{COMBINING ACUTE ACCENT}" * 40,
    "\N{RIGHT-TO-LEFT OVERRIDE}\u0645\u0631\u062d\u0628\u0627 \u4f60\u597d \u0928\u092e\u0938",
    "x" * 400,
    "-rf --help; $(true) `true` | 'quotes\" ",
)
"""Texts that a caller may send; lone surrogates are stopped at the door."""


async def entering_waits_for_acceptance(subject: Subject) -> None:
    """What is known before the speech is told before it: the next provider can still be asked."""
    for failure in subject.failures:
        if failure.when == "entering":
            error, accepted = await provoked(subject, failure)
            assert error is not None, f"{failure.name}: it ended cleanly"
            assert not accepted, f"{failure.name}: it was accepted first, then came {error.reason}"


async def failures_are_told_as_they_are(subject: Subject) -> None:
    """Each failure that can be provoked comes out as the right error of the contract."""
    for failure in subject.failures:
        error, accepted = await provoked(subject, failure)
        assert error is not None, f"{failure.name}: it ended cleanly"
        told = error.reason
        assert told == failure.reason, f"{failure.name}: {told} came out, not {failure.reason}"
        early = failure.when == "speaking" and not accepted
        assert not early, f"{failure.name}: it came before the speech had begun"


async def only_contract_errors_come_out(subject: Subject) -> None:
    """Whatever the text and whatever the upstream does: audio, or a `ProviderError`."""
    async with opened(subject) as provider:
        format = first_format(provider, subject.order)
        await provider.health()
        for text in ODD_TEXTS:
            room = provider.offers()[subject.order.model].max_chars
            order = msgspec.structs.replace(subject.order, text=text[:room])
            try:
                await hear(provider, order, format, subject.patience_s)
            except ProviderError:
                continue
            except Exception as error:
                raise AssertionError(f"{error!r} came out for {text!r}") from error
    for failure in subject.failures:
        await provoked(subject, failure)
        await _asked_how_it_is(subject, failure)


async def _asked_how_it_is(subject: Subject, failure: Failure) -> None:
    async with opened(subject, failure) as provider:
        for question in (provider.health, provider.voices):
            with suppress(ProviderError):
                async with patience(subject.patience_s, f"{failure.name}: {question.__name__}()"):
                    await question()


async def nothing_is_asked_twice(subject: Subject) -> None:
    """One order is one request upstream, also when it fails: the router alone repeats."""
    if subject.asked is None:
        return
    async with opened(subject) as provider:
        before = subject.asked()
        await speaks(provider, subject)
        asked = subject.asked() - before
        assert asked == 1, f"one order was asked {asked} times"
    for failure in subject.failures:
        before = subject.asked()
        await provoked(subject, failure)
        asked = subject.asked() - before
        assert asked <= 1, f"{failure.name}: one order was asked {asked} times"


async def nothing_secret_is_told(subject: Subject) -> None:
    """No text and no key is in a repr, an error or a log record of any level."""
    said: list[str] = []
    with everything_logged() as lines:
        said.append(repr(decoded(subject.kind, subject.settings)))
        async with opened(subject) as provider:
            said.append(f"{provider!r} {provider}")
            await provider.health()
            await provider.voices()
            async with entered(provider, subject.order) as chunks:
                said.append(repr(chunks))
                async for _ in chunks:
                    pass
        for failure in subject.failures:
            error, _ = await provoked(subject, failure)
            said.append(told_by(error))
    for word in subject.secrets:
        assert not any(word in line for line in said), "a key is in a repr or an error"
        assert not any(word in line for line in lines), "a key is in a log record"
    orders = (subject.order, *(failure.order for failure in subject.failures if failure.order))
    for text in {order.text for order in orders if len(order.text) >= FEWEST_CHARS}:
        forms = {text, json.dumps(text)[1:-1], repr(text)[1:-1]}
        assert not any(form in line for form in forms for line in said), "a text is in an error"
        assert not any(form in line for form in forms for line in lines), "a text is in a log"
