"""Voices that are kept for their owners: what is on disk, who has them, and that they speak."""

from __future__ import annotations

import asyncio
import hashlib
import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from providers.moss_tts_nano import provider as moss_provider
from providers.moss_tts_nano import saved as saving
from providers.moss_tts_nano.parts import Ints
from providers.moss_tts_nano.provider import Moss
from providers.moss_tts_nano.saved import SavedVoices, new_id
from router.contract.caller import OpenGate
from router.contract.errors import BadClip, Broken, InvalidRequest, NotReady, Refused, UnknownVoice
from router.contract.provider import LOCAL_OWNER, KeepsVoices, Provider, SavedVoice
from router.contract.record import Event, OffersChanged
from router.testing.watch import becomes
from tests.providers.moss.conftest import MossDirectory
from tests.providers.moss.opening import (
    clip_of,
    opened,
    order,
    ready,
    said,
    until_ready,
    voice_sample,
)
from tests.support.tiny_moss import TINY

CONSENT = "Anna agrees, in her own words, on this day."
CLIP = clip_of(voice_sample(6))
FEW: dict[str, Any] = {"guards": {"most_frames": 20}, "tries": 1}


def keeper(provider: Provider) -> KeepsVoices:
    assert isinstance(provider, KeepsVoices)
    return provider


def voice(name: str = "anna", owner: str = "me", **changed: Any) -> SavedVoice:
    fields: dict[str, Any] = {
        "id": new_id(),
        "consent": CONSENT,
        "created": 1_790_000_000,
        "sample_sha256": "ab" * 32,
        "sample_s": 6.0,
        **changed,
    }
    return SavedVoice(name=name, owner=owner, **fields)


def codes(frames: int = 20, width: int = 4) -> Ints:
    return np.arange(frames * width, dtype=np.int32).reshape(frames, width) % 16


def alike(one: bytes, other: bytes) -> bool:
    """Equal but for the last bit: frames may be decoded in other groups."""
    first, second = (np.frombuffer(sound, dtype="<i2").astype(int) for sound in (one, other))
    return len(first) == len(second) and int(np.abs(first - second).max()) <= 2


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# ---- through the provider


async def test_a_saved_voice_speaks_as_its_sample_does(tiny_moss: Path, tmp_path: Path) -> None:
    async with ready(tiny_moss, tmp_path, **FEW) as provider:
        kept = await keeper(provider).add("Anna", CLIP, CONSENT, "me")
        by_name = await said(provider, order(voice=kept.id))
        by_sample = await said(provider, order(clip=CLIP))
        other = await said(provider, order())

    assert alike(by_name, by_sample)
    assert not alike(by_name, other)


async def test_it_is_told_with_all_that_is_kept_beside_it(tiny_moss: Path, tmp_path: Path) -> None:
    async with ready(tiny_moss, tmp_path) as provider:
        kept = await keeper(provider).add("  Anna ", CLIP, f" {CONSENT}\n", "me")
        listed = keeper(provider).list("me")
        public = {one.id for one in await provider.voices()}

    assert listed == (kept,)
    assert (kept.name, kept.consent, kept.owner) == ("Anna", CONSENT, "me")
    assert abs(kept.created - time.time()) < 60
    assert kept.sample_sha256 == hashlib.sha256(CLIP.data).hexdigest()
    assert 5 <= kept.sample_s <= 6.1
    assert not public & {kept.id, "Anna"}, "what everybody sees holds nobody's own voice"


async def test_it_is_there_after_a_restart(tiny_moss: Path, tmp_path: Path) -> None:
    async with ready(tiny_moss, tmp_path, **FEW) as provider:
        kept = await keeper(provider).add("Anna", CLIP, CONSENT, "me")
        before = await said(provider, order(voice=kept.id))
    async with ready(tiny_moss, tmp_path, **FEW) as provider:
        assert keeper(provider).list() == [kept]
        assert alike(await said(provider, order(voice=kept.id)), before)


async def test_codes_alone_are_on_disk_and_nothing_of_the_sample(
    tiny_moss: Path, tmp_path: Path
) -> None:
    samples = voice_sample(6)
    clip = clip_of(samples, b"RIFF" + samples.tobytes()[:100_000])
    async with ready(tiny_moss, tmp_path) as provider:
        kept = await keeper(provider).add("Anna", clip, CONSENT, "me")
        exported = await keeper(provider).export(kept.id)

    (file,) = files(tmp_path / "data")
    assert file.read_bytes() == exported
    assert len(exported) < 30_000
    assert clip.data[4:24] not in exported
    held = json.loads(exported)
    assert set(held) == {"format", "voice", "codes"}
    assert held["voice"]["consent"] == CONSENT
    assert {len(frame) for frame in held["codes"]} == {TINY.codebooks}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.name == f"{kept.id}.json"


async def test_a_deleted_voice_is_gone_from_everywhere(tiny_moss: Path, tmp_path: Path) -> None:
    async with ready(tiny_moss, tmp_path, **FEW) as provider:
        kept = await keeper(provider).add("Anna", CLIP, CONSENT, "me")
        await said(provider, order(voice=kept.id))
        await keeper(provider).delete(kept.id)

        assert keeper(provider).list() == []
        with pytest.raises(Refused):
            await said(provider, order(voice=kept.id))
        for again in (keeper(provider).delete, keeper(provider).export):
            with pytest.raises(UnknownVoice):
                await again(kept.id)
        renewed = await keeper(provider).add("Anna", CLIP, CONSENT, "me")
    assert renewed.id != kept.id
    assert [file.name for file in files(tmp_path / "data")] == [f"{renewed.id}.json"]


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moss_provider, "LOOK_S", 0.1)


@pytest.mark.usefixtures("looks_often")
async def test_nothing_of_a_deleted_voice_is_left_in_memory(
    tiny_moss: Path, tmp_path: Path
) -> None:
    async with (
        opened(tiny_moss, tmp_path, **FEW) as here,  # the shipped graphs keep nothing
        ready(tiny_moss, tmp_path, **FEW) as there,
    ):
        await until_ready(here)
        assert isinstance(here, Moss)
        engine = here._ready().engine
        before = engine.prefix_bytes
        for name, keeping in (("Anna", here), ("Bert", there)):  # another process as well
            kept = await keeper(keeping).add(name, CLIP, CONSENT, "me")
            assert await becomes(lambda: bool(keeper(here).list()), 10)
            await said(here, order(voice=kept.id))
            assert engine.prefix_bytes > before
            await keeper(keeping).delete(kept.id)
            assert await becomes(lambda: engine.prefix_bytes == before, 10)


async def test_every_change_is_told(tiny_moss: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    async with opened(tiny_moss, tmp_path, events, graphs="shipped") as provider:
        await until_ready(provider)
        events.clear()
        kept = await keeper(provider).add("Anna", CLIP, CONSENT, "me")
        assert events == [OffersChanged("moss")]
        await keeper(provider).delete(kept.id)
        assert events == [OffersChanged("moss")] * 2


@pytest.mark.usefixtures("looks_often")
async def test_what_another_process_keeps_or_deletes_is_noticed(
    tiny_moss: Path, tmp_path: Path
) -> None:
    events: list[Event] = []
    async with (
        opened(tiny_moss, tmp_path, events, graphs="shipped", **FEW) as here,
        ready(tiny_moss, tmp_path, **FEW) as there,
    ):
        await until_ready(here)
        events.clear()
        kept = await keeper(there).add("Anna", CLIP, CONSENT, "me")
        assert await becomes(lambda: list(keeper(here).list("me")) == [kept], 10)
        assert events == [OffersChanged("moss")]
        sounds = [await said(one, order(voice=kept.id)) for one in (here, there)]
        assert alike(*sounds)
        await keeper(there).delete(kept.id)
        assert await becomes(lambda: not keeper(here).list(), 10)


async def test_a_sample_that_is_no_voice_is_refused_and_nothing_is_kept(
    tiny_moss: Path, tmp_path: Path
) -> None:
    silent = clip_of(np.zeros((2, 96_000), dtype=np.float32), b"silent")
    async with ready(tiny_moss, tmp_path) as provider:
        with pytest.raises(BadClip, match="silent"):
            await keeper(provider).add("Anna", silent, CONSENT, "me")
        with pytest.raises(BadClip, match="less than 1 s"):
            await keeper(provider).add("Anna", clip_of(voice_sample(0.5)), CONSENT, "me")
        assert keeper(provider).list() == []
    assert not files(tmp_path / "data")


async def test_before_the_model_is_ready_voices_are_listed_and_none_is_made(tmp_path: Path) -> None:
    voices = SavedVoices(tmp_path / "data" / "voices")
    kept = voice()
    voices.keep(kept, codes())
    async with opened(tmp_path / "nowhere", tmp_path) as provider:
        assert keeper(provider).list("me") == (kept,)
        with pytest.raises(NotReady):
            await keeper(provider).add("Bert", CLIP, CONSENT, "me")
        await keeper(provider).delete(kept.id)
    assert not files(tmp_path / "data")


async def test_the_codes_of_another_model_are_refused(
    moss_directory: MossDirectory, tmp_path: Path
) -> None:
    kept = voice()
    SavedVoices(tmp_path / "data" / "voices").keep(kept, codes(width=TINY.codebooks + 1))
    async with ready(moss_directory(), tmp_path) as provider:
        with pytest.raises(Refused, match="another model"):
            await said(provider, order(voice=kept.id))


async def test_nothing_of_a_voice_is_in_a_repr_or_a_log(
    tiny_moss: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    async with ready(tiny_moss, tmp_path, **FEW) as provider:
        kept = await keeper(provider).add("Anna", CLIP, CONSENT, "me")
        await said(provider, order(voice=kept.id))
        found = provider._saved.find(kept.id, provider._ready().shape)  # type: ignore[attr-defined]  # a look inside
        await keeper(provider).delete(kept.id)

    told = f"{kept!r}{found!r}{caplog.text}{capfd.readouterr()}"
    assert kept.id in told
    for hidden in (CONSENT, "Anna", kept.sample_sha256, str(found.codes[0].tolist())):
        assert hidden not in told


def test_the_only_caller_of_an_open_server_is_the_local_owner() -> None:
    caller = asyncio.run(OpenGate().identify(None, "127.0.0.1"))

    assert caller.id == LOCAL_OWNER


# ---- the folder


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "..", "../x", "a/b", "a\\b", "a\0b", "a\nb", "-a", ".a", "a,b", "a:b", "a "),
        *("x" * 65, "voice_1", "VOICE_x", "<b>", "a;b", "\udcff", "ａ\u202eb"),
    ],
)
def test_a_name_that_could_do_harm_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as raised:
        SavedVoices(tmp_path).keep(voice(name), codes())
    assert raised.value.param == "name"
    assert not files(tmp_path)


@pytest.mark.parametrize("name", ["anna", "Åsa 2", "小明", "O’Neil", "a.b-c_d", "7", "x" * 64])
def test_a_name_may_be_anybodys(name: str, tmp_path: Path) -> None:
    voices = SavedVoices(tmp_path)
    voices.keep(voice(name), codes())
    assert [one.name for one in voices.of("me")] == [name]


@pytest.mark.parametrize("consent", ["", " \n", "x" * 2_001, "half a \ud800 pair"])
def test_without_a_consent_nothing_is_kept(consent: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as raised:
        SavedVoices(tmp_path).keep(voice(consent=consent), codes())
    assert raised.value.param == "consent"


def test_a_name_is_an_owners_once_and_each_owner_has_their_own(tmp_path: Path) -> None:
    voices = SavedVoices(tmp_path)
    mine, yours = voice("anna", "me"), voice("anna", "you")
    voices.keep(mine, codes())
    voices.keep(yours, codes())

    with pytest.raises(InvalidRequest, match="of this name"):
        voices.keep(voice("ANNA", "me"), codes())
    assert (voices.of("me"), voices.of("you")) == ((mine,), (yours,))


def test_there_is_an_end_to_how_many_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "MOST", 5)
    monkeypatch.setattr(saving, "MOST_OF_ONE", 3)
    voices = SavedVoices(tmp_path)
    for n in range(3):
        voices.keep(voice(f"a{n}", "me"), codes())
    with pytest.raises(InvalidRequest, match="No more voices"):
        voices.keep(voice("b", "me"), codes())
    for n in range(2):
        voices.keep(voice(f"a{n}", "you"), codes())
    with pytest.raises(InvalidRequest, match="No more voices"):
        voices.keep(voice("b", "another"), codes())


def test_many_at_once_are_all_kept_whole(tmp_path: Path) -> None:
    voices = SavedVoices(tmp_path)
    wanted = [voice(f"a{n}") for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: voices.keep(one, codes()), wanted))

    other = SavedVoices(tmp_path)
    other.refresh()
    assert {one.id for one in other.every()} == {one.id for one in wanted}


def test_of_two_who_want_one_name_at_once_one_has_it(tmp_path: Path) -> None:
    voices = SavedVoices(tmp_path)

    def tried(_: int) -> bool:
        try:
            voices.keep(voice(), codes())
        except InvalidRequest:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(tried, range(16))) == 1
    assert len(files(tmp_path)) == 1


def _without(kept: SavedVoice, folder: Path) -> None:
    path = folder / f"{kept.id}.json"
    path.write_bytes(path.read_bytes()[:-40])


def _renamed(kept: SavedVoice, folder: Path) -> None:
    path = folder / f"{kept.id}.json"
    path.rename(folder / f"{new_id()}.json")


def _with(kept: SavedVoice, folder: Path, **changed: Any) -> None:
    path = folder / f"{kept.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@pytest.mark.parametrize(
    "harm",
    [
        _without,
        _renamed,
        lambda kept, folder: _with(kept, folder, codes=[]),
        lambda kept, folder: _with(kept, folder, codes=[[]]),
        lambda kept, folder: _with(kept, folder, codes=[[1, 2], [3]]),
        lambda kept, folder: _with(kept, folder, codes=[[-1]]),
        lambda kept, folder: _with(kept, folder, codes=[[2**40]]),
        lambda kept, folder: _with(kept, folder, codes=[[1]] * 1_001),
        lambda kept, folder: _with(kept, folder, format="another"),
        lambda kept, folder: _with(kept, folder, codes=[[1.5]]),
        lambda kept, folder: _with(kept, folder, more="x" * 300_000),
    ],
    ids=range(11),
)
def test_a_file_that_is_no_voice_takes_nothing_from_the_others(harm: Any, tmp_path: Path) -> None:
    voices = SavedVoices(tmp_path)
    good, bad = voice("good"), voice("bad")
    voices.keep(good, codes())
    voices.keep(bad, codes())
    harm(bad, tmp_path)

    other = SavedVoices(tmp_path)
    assert other.refresh() == (True, frozenset())
    assert other.every() == [good]
    assert other.refresh() == (False, frozenset())


def test_an_exported_file_that_is_put_back_is_the_voice_again(tmp_path: Path) -> None:
    voices = SavedVoices(tmp_path)
    kept = voice()
    voices.keep(kept, codes())
    exported = voices.export(kept.id)
    voices.delete(kept.id)
    assert voices.refresh() == (False, frozenset())

    (tmp_path / f"{kept.id}.json").write_bytes(exported)
    assert voices.refresh() == (True, frozenset())
    assert voices.of("me") == (kept,)
    (tmp_path / f"{kept.id}.json").unlink()
    assert voices.refresh() == (True, frozenset({kept.id}))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "voices").write_text("a file where the folder should be")
    with pytest.raises(Broken, match="cannot be written"):
        SavedVoices(tmp_path / "voices").keep(voice(), codes())


def test_the_real_size_fits(tmp_path: Path) -> None:
    real = np.full((188, 16), 1023, dtype=np.int32)
    voices = SavedVoices(tmp_path)
    kept = voice("x" * 64, consent="漢" * 2_000)
    voices.keep(kept, real)
    other = SavedVoices(tmp_path)
    other.refresh()
    assert other.every() == [kept]
