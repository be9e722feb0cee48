"""What every remote provider makes of an upstream's failures, and of its success."""

from __future__ import annotations

import asyncio
import logging
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, cast

import msgspec
import pytest

from providers.common import upstream as upstream_module
from providers.common.failures import failure, retry_after, words
from router.contract import errors
from router.contract.audio import AudioFormat
from router.contract.provider import Secret
from router.testing import misbehaving as mis
from router.testing.promises import PROMISES, Failure, Promise, Subject
from tests.providers.remote import BODIES, KEY, MP3, OPENAI, REMOTES, TEXT, WAV, Remote, spoken

every_remote = pytest.mark.parametrize("remote", REMOTES, ids=lambda remote: remote.kind.name)

HTML = b"<!doctype html><p>Welcome to nginx!</p>"

MISBEHAVIOURS: dict[str, tuple[mis.Script, type[errors.ProviderError]]] = {
    "400": (mis.refuses(400), errors.Refused),
    "401": (mis.refuses(401), errors.BadKey),
    "402": (mis.refuses(402), errors.NoCredit),
    "403": (mis.refuses(403), errors.BadKey),
    "404": (mis.refuses(404), errors.Refused),
    "405": (mis.refuses(405), errors.Broken),
    "408": (mis.refuses(408), errors.TimedOut),
    "413": (mis.refuses(413), errors.Refused),
    "415": (mis.refuses(415), errors.Refused),
    "422": (mis.refuses(422), errors.Refused),
    "429": (mis.refuses(429, headers={"retry-after": "7"}), errors.Busy),
    "429 of an empty account": (
        mis.answers({"error": {"type": "insufficient_quota"}}, status=429),
        errors.NoCredit,
    ),
    "500": (mis.refuses(500), errors.Broken),
    "503": (mis.refuses(503), errors.Broken),
    "503 for a while": (mis.refuses(503, headers={"retry-after": "7"}), errors.Busy),
    "504": (mis.refuses(504), errors.TimedOut),
    "redirect": (mis.answers({}, status=308, headers={"location": "/v2"}), errors.Broken),
    "JSON with 200": (mis.answers({"error": "voice not found"}), errors.ProviderError),
    "JSON with 200, unknown": (mis.answers({"fine": True}), errors.NotSpeech),
    "a list with 200": (mis.answers([1, 2]), errors.NotSpeech),
    "HTML with 200": (mis.speaks(HTML, media_type="text/html"), errors.NotSpeech),
    "HTML called audio": (mis.speaks(HTML), errors.NotSpeech),
    "another container": (mis.speaks(MP3), errors.NotSpeech),
    "no body": (mis.speaks(b""), errors.NotSpeech),
    "no body, counted": (mis.speaks(b"", framing="length"), errors.NotSpeech),
    "204": (mis.speaks(b"", status=204, framing="length"), errors.NotSpeech),
    "header without sound": (mis.speaks(WAV[:44]), errors.NotSpeech),
    "compressed": (mis.speaks(WAV, headers={"content-encoding": "gzip"}), errors.NotSpeech),
    "not HTTP": (mis.babbles(), errors.Broken),
    "hang-up": (mis.hangs_up(), errors.Unreachable),
    "reset": (mis.hangs_up(reset=True), errors.Unreachable),
    "cut in a chunk": (mis.breaks_off(WAV, after=9000), errors.Broken),
    "cut in the first bytes": (mis.breaks_off(WAV, after=6), errors.Broken),
    "cut short of its length": (
        mis.breaks_off(WAV, after=9000, framing="length"),
        errors.Broken,
    ),
    "reset in mid-body": (mis.breaks_off(WAV, after=9000, reset=True), errors.Broken),
}


@every_remote
@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
async def test_every_misbehaviour_has_its_error(remote: Remote, misbehaviour: str) -> None:
    script, error = MISBEHAVIOURS[misbehaviour]
    async with mis.misbehaving(script) as upstream, remote.opened(upstream.url) as provider:
        with pytest.raises(error) as raised:
            await spoken(provider, remote.order(), remote.wav)
        assert error is errors.ProviderError or type(raised.value) is error
        assert KEY not in str(raised.value)
        assert TEXT not in str(raised.value)
        assert len(upstream.requests) == 1


PROVOKED = {
    "400": "entering",
    "401": "entering",
    "402": "entering",
    "429": "entering",
    "503": "entering",
    "504": "entering",
    "HTML with 200": "entering",
    "another container": "speaking",
    "no body": "speaking",
    "hang-up": "entering",
    "cut in a chunk": "speaking",
    "cut short of its length": "speaking",
}


@every_remote
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_every_remote_keeps_the_promise(remote: Remote, promise: Promise) -> None:
    names = list(PROVOKED)

    async def behave(exchange: mis.Exchange) -> None:
        path = exchange.request.path
        if path.endswith("/models"):
            return await mis.answers({"object": "list", "data": []})(exchange)
        if path.startswith("/fail/"):
            script, _ = MISBEHAVIOURS[names[int(path.split("/")[2])]]
            assert callable(script)
            return await script(exchange)
        return await remote.speak_as_asked(exchange)

    async with mis.misbehaving(behave) as upstream:
        given = {"key": KEY, **remote.wav_first}
        failures = [
            Failure(
                name=name,
                reason=MISBEHAVIOURS[name][1].reason,
                settings={**given, "base_url": f"{upstream.url}/fail/{number}/v1"},
                when=cast("Any", when),
            )
            for number, (name, when) in enumerate(PROVOKED.items())
        ]
        await promise(
            Subject(
                plugin=f"providers.{remote.kind.name}",
                kind=remote.kind,
                order=remote.order(),
                settings={**given, "base_url": upstream.url + remote.prefix},
                failures=tuple(failures),
                secrets=(KEY,),
                open_speeches=lambda: upstream.at_work,
                asked=lambda: sum(seen.method == "POST" for seen in upstream.requests),
            )
        )


@every_remote
async def test_a_wait_that_is_asked_for_is_told(remote: Remote) -> None:
    busy = mis.refuses(429, headers={"retry-after": "7"})
    async with mis.misbehaving(busy) as upstream, remote.opened(upstream.url) as provider:
        with pytest.raises(errors.Busy) as raised:
            await spoken(provider, remote.order(), remote.wav)
        assert raised.value.retry_after == 7.0


@every_remote
@pytest.mark.parametrize("framing", ["chunked", "length", "none"])
async def test_speech_comes_as_it_was_sent(remote: Remote, framing: mis.Framing) -> None:
    well = mis.speaks(WAV, framing=framing, headers={"x-request-id": "up-1"}, piece_bytes=5)
    async with (
        mis.misbehaving(well) as upstream,
        remote.opened(upstream.url) as provider,
        provider.synthesize(remote.order(), remote.wav) as stream,
    ):
        assert stream.format == remote.wav
        assert stream.framed is (framing != "none")
        assert stream.upstream_id == "up-1"
        assert b"".join([chunk async for chunk in stream.chunks]) == WAV


@every_remote
async def test_speech_starts_before_it_is_whole(remote: Remote) -> None:
    async with (
        mis.misbehaving(mis.falls_silent(WAV, after=5000)) as upstream,
        remote.opened(upstream.url) as provider,
        provider.synthesize(remote.order(), remote.wav) as stream,
    ):
        assert WAV.startswith(await anext(stream.chunks))


@every_remote
async def test_the_key_and_the_trace_are_sent_and_no_other_header(remote: Remote) -> None:
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    async with (
        mis.misbehaving(mis.speaks(WAV)) as upstream,
        remote.opened(upstream.url, headers={"X-Extra": Secret("extra")}) as provider,
    ):
        await spoken(provider, remote.order(trace=trace), remote.wav)
        assert upstream.requests[0].headers == {
            "host": upstream.url.removeprefix("http://"),
            "authorization": f"Bearer {KEY}",
            "x-extra": "extra",
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": "tts-router",
            "content-type": "application/json",
            "content-length": str(len(upstream.requests[0].body)),
            **trace,
        }


@every_remote
async def test_a_keyless_server_gets_no_authorization(remote: Remote) -> None:
    async with (
        mis.misbehaving(mis.speaks(WAV)) as upstream,
        remote.opened(upstream.url, key=Secret("")) as provider,
    ):
        await spoken(provider, remote.order(), remote.wav)
        assert "authorization" not in upstream.requests[0].headers


@every_remote
async def test_a_base_url_may_end_in_a_slash(remote: Remote) -> None:
    async with mis.misbehaving(mis.speaks(WAV)) as upstream:
        base_url = f"{upstream.url}{remote.prefix}/"
        async with remote.opened(upstream.url, base_url=base_url) as provider:
            await spoken(provider, remote.order(), remote.wav)
        assert upstream.requests[0].target == f"{remote.prefix}/audio/speech"


@every_remote
async def test_a_kept_connection_closed_under_a_request_may_be_tried_again(
    remote: Remote,
) -> None:
    script = [mis.speaks(WAV), mis.hangs_up()]
    async with mis.misbehaving(script) as upstream, remote.opened(upstream.url) as provider:
        assert await spoken(provider, remote.order(), remote.wav) == WAV
        with pytest.raises(errors.Disconnected) as raised:
            await spoken(provider, remote.order(), remote.wav)
        assert raised.value.remedy is errors.Remedy.AGAIN
        assert [seen.connection for seen in upstream.requests] == [1, 1]


@every_remote
async def test_nobody_there_is_unreachable(remote: Remote) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with remote.opened(url) as provider:
            with pytest.raises(errors.Unreachable) as raised:
                await spoken(provider, remote.order(), remote.wav)
            assert type(raised.value) is errors.Unreachable


@every_remote
@pytest.mark.parametrize(
    "behaviour",
    [
        mis.says_nothing(),
        mis.falls_silent(WAV, after=5000),
        mis.spoils_a_chunk(WAV[:5000]),
        mis.speaks(WAV * 100, every_s=0.01, piece_bytes=100),
    ],
    ids=["silent", "stalled", "spoilt", "dripping"],
)
async def test_a_cancelled_synthesis_is_closed_upstream_within_a_second(
    remote: Remote, behaviour: mis.Behaviour
) -> None:
    async with mis.misbehaving(behaviour) as upstream, remote.opened(upstream.url) as provider:
        speaking = asyncio.ensure_future(spoken(provider, remote.order(), remote.wav))
        seen = await upstream.request()
        await asyncio.wait([speaking], timeout=0.1)
        speaking.cancel()
        with pytest.raises((asyncio.CancelledError, errors.Broken)):
            await speaking
        await seen.left(1.0)


@every_remote
async def test_leaving_in_mid_stream_closes_upstream_within_a_second(remote: Remote) -> None:
    drip = mis.speaks(WAV * 100, every_s=0.001, piece_bytes=1000)
    async with mis.misbehaving(drip) as upstream, remote.opened(upstream.url) as provider:
        async with provider.synthesize(remote.order(), remote.wav) as stream:
            await anext(stream.chunks)
        assert await upstream.requests[0].left(1.0) < 0.5


@every_remote
async def test_health_asks_for_the_models_only(remote: Remote) -> None:
    async with (
        mis.misbehaving(mis.answers({"data": []})) as upstream,
        remote.opened(upstream.url) as provider,
    ):
        await provider.health()
        assert [(seen.method, seen.target) for seen in upstream.requests] == [
            ("GET", f"{remote.prefix}/models")
        ]


@every_remote
@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (mis.refuses(401), errors.BadKey),
        (mis.refuses(503), errors.Broken),
        (mis.hangs_up(), errors.Unreachable),
    ],
)
async def test_health_raises_what_a_request_would_meet(
    remote: Remote, behaviour: mis.Behaviour, error: type[Exception]
) -> None:
    async with mis.misbehaving(behaviour) as upstream, remote.opened(upstream.url) as provider:
        with pytest.raises(error):
            await provider.health()


@every_remote
async def test_what_it_offers_is_coherent(remote: Remote) -> None:
    async with remote.opened("http://127.0.0.1:1") as provider:
        offers = provider.offers()
        voices = await provider.voices()
    assert remote.wav in offers[remote.model].formats
    assert remote.voice in {voice.id for voice in voices}
    assert len({voice.id for voice in voices}) == len(voices)
    assert all(voice.models is None or voice.models <= set(offers) for voice in voices)


@every_remote
async def test_nothing_is_logged(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    script = [mis.speaks(WAV), mis.refuses(400), mis.breaks_off(WAV, after=9000)]
    async with mis.misbehaving(script) as upstream, remote.opened(upstream.url) as provider:
        await spoken(provider, remote.order(), remote.wav)
        for _ in range(2):
            with pytest.raises(errors.ProviderError):
                await spoken(provider, remote.order(), remote.wav)
    assert not [record for record in caplog.records if record.name != "asyncio"]


@every_remote
@pytest.mark.parametrize(
    "wrong",
    [
        {"base_ur": "https://api.example.com"},
        {"base_url": "ftp://api.example.com"},
        {"base_url": "https://user:password@api.example.com/v1"},
        {"base_url": "https://api.example.com/v1?key=1"},
        {"connect_s": 0},
        {"key": "sk-\x00"},
        {"headers": {"X-Extra": "two\nlines"}},
        {"proxy": "socks5://127.0.0.1:1"},
    ],
)
def test_wrong_settings_are_refused_without_their_secrets(
    remote: Remote, wrong: dict[str, Any]
) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(wrong, remote.kind.settings, dec_hook=lambda _, value: Secret(str(value)))
    assert "socks5" not in str(raised.value)


# ------------------------------------------------------------------------------------------------
# an upstream's own words


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "no such voice", "type": "x"}}', "no such voice"),
        (b'{"error": "no such voice", "status": 400}', "no such voice"),
        (b'{"detail": "no such voice"}', "no such voice"),
        (b'{"detail": [{"loc": ["body"], "msg": "no such voice", "input": "x"}]}', "no such voice"),
        (b'{"error": 400, "message": "no such voice"}', "no such voice"),
        (b'{"message": "no\\u0000 such\\n\\u202evoice"}', "no such voice"),
        (b'{"error": {}}', ""),
        (b"{not json", ""),
        (b"<html>no such voice</html>", ""),
        (b"\xff\xfe", ""),
        (b"", ""),
    ],
)
def test_words_are_found_in_every_envelope(body: bytes, said: str) -> None:
    assert words(body, "application/json") == said


def test_plain_words_are_taken_as_they_are() -> None:
    assert words(b"no such voice\r\n", "text/plain; charset=utf-8") == "no such voice"


def test_words_are_cut() -> None:
    said = words(msgspec.json.encode({"error": "w" * 1000}), "application/json")
    assert len(said) == 200


async def test_a_refusal_tells_neither_text_nor_key() -> None:
    echo = mis.refuses(400, f"the key {KEY} may not say {TEXT!s}")
    async with mis.misbehaving(echo) as upstream, OPENAI.opened(upstream.url) as provider:
        with pytest.raises(errors.Refused) as raised:
            await spoken(provider, OPENAI.order(), OPENAI.wav)
    assert str(raised.value) == "it refused: the key … may not say …"


async def test_a_long_refusal_is_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "_ERROR_S", 0.2)

    async def go_on(exchange: mis.Exchange) -> None:
        await exchange.begin(400, {"content-type": "application/json"})
        await exchange.give(b'{"error": "too')
        await exchange.rest()

    async with mis.misbehaving(go_on) as upstream, OPENAI.opened(upstream.url) as provider:
        with pytest.raises(errors.Refused, match=r"it refused \(HTTP 400\)"):
            await spoken(provider, OPENAI.order(), OPENAI.wav)
        await upstream.requests[0].left(1.0)


async def test_an_endless_refusal_is_read_in_part() -> None:
    async def flood(exchange: mis.Exchange) -> None:
        await exchange.begin(400, {"content-type": "text/plain"})
        while True:
            await exchange.give(b"no " * 10_000)

    async with mis.misbehaving(flood) as upstream, OPENAI.opened(upstream.url) as provider:
        with pytest.raises(errors.Refused):
            await spoken(provider, OPENAI.order(), OPENAI.wav)
        await upstream.requests[0].left(1.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("999999999", 86_400.0),
        ("inf", 86_400.0),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_wait_in_seconds_is_kept_sane(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_a_wait_until_a_date_is_a_wait_in_seconds() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after(date) == pytest.approx(30, abs=2)


def test_no_status_is_without_an_error() -> None:
    for status in [*range(300, 600), 999]:
        error = failure("it", status, {}, b"")
        assert error.message.startswith(("it ", "our account at it "))


# ------------------------------------------------------------------------------------------------
# what came must be what was asked for

VORBIS = b"OggS" + bytes(24) + b"\x01vorbis" + bytes(100)
QUIET = b"\xff\xff\xff\xfb\x00\x00" * 100
"""Raw samples that look like a frame of MPEG audio."""


@pytest.mark.parametrize(
    ("encoding", "media_type", "body"),
    [
        ("mp3", "audio/mpeg", MP3),
        ("mp3", None, b"ID3\x04" + MP3),
        ("mp3", "audio/mpeg", MP3[:20]),
        ("opus", "audio/ogg", BODIES["opus"]),
        ("aac", "audio/aac", BODIES["aac"]),
        ("flac", "audio/flac", BODIES["flac"]),
        ("pcm", "audio/pcm", QUIET[2:]),
        ("pcm", "application/octet-stream", QUIET[2:]),
        ("pcm", "audio/pcm", b"\x01\x00"),
    ],
)
async def test_what_was_asked_for_is_let_through(
    encoding: Any, media_type: str | None, body: bytes
) -> None:
    asked = AudioFormat(encoding, 24_000, 1) if encoding == "pcm" else AudioFormat(encoding)
    async with (
        mis.misbehaving(mis.speaks(body, media_type=media_type, piece_bytes=3)) as upstream,
        OPENAI.opened(upstream.url) as provider,
    ):
        assert await spoken(provider, OPENAI.order(), asked) == body


@pytest.mark.parametrize(
    ("encoding", "media_type", "body"),
    [
        ("mp3", "audio/mpeg", WAV),
        ("opus", "audio/ogg", VORBIS),
        ("opus", "audio/ogg", MP3),
        ("aac", "audio/aac", MP3),
        ("flac", "audio/flac", b"no flac at all, only words and words"),
        ("pcm", "application/octet-stream", WAV),
        ("pcm", "audio/mpeg", MP3),
        ("pcm", "text/plain", b"\x00\x01"),
    ],
)
async def test_what_was_not_asked_for_is_not_speech(
    encoding: Any, media_type: str, body: bytes
) -> None:
    asked = AudioFormat(encoding, 24_000, 1) if encoding == "pcm" else AudioFormat(encoding)
    async with (
        mis.misbehaving(mis.speaks(body, media_type=media_type)) as upstream,
        OPENAI.opened(upstream.url) as provider,
    ):
        with pytest.raises(errors.NotSpeech):
            await spoken(provider, OPENAI.order(), asked)
