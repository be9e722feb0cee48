"""Which voice a name means."""

from __future__ import annotations

import pytest

from providers.moss_tts_nano.metadata import BuiltinVoice
from providers.moss_tts_nano.names import LANGUAGES, OPENAI, Meant, VoiceTable
from router.contract.errors import Refused

GROUPS = {
    "Chinese Male": ("Junhao", "Zhiming", "Weiguo"),
    "Chinese Female": ("Xiaoyu", "Yuewen", "Lingyu"),
    "English Male": ("Trump", "Adam", "Nathan"),
    "English Female": ("Ava", "Bella"),
    "Japanese Female": ("Soyo", "Saki", "Mortis", "Umiri", "Mei", "Anon", "Arisa"),
}
PUBLISHED = [
    BuiltinVoice(name, [[0] * 16], group=group) for group, names in GROUPS.items() for name in names
]


def builtin(name: str, table: VoiceTable | None = None) -> str:
    meant = (table or VoiceTable(PUBLISHED)).meant(name)
    assert meant.kind == "builtin"
    return meant.voice


@pytest.mark.parametrize(
    ("row", "leaper", "voice"),
    [
        (1, "zh-welcome", "Junhao"),
        (2, "zh-gentle", "Lingyu"),
        (3, "zh-taiwan", "Yuewen"),
        (4, "zh-beijing", "Zhiming"),
        (5, "zh-culture", "Weiguo"),
        (8, "en-lesson", "Ava"),
        (9, "en-news", "Adam"),
        (10, "en-gentle", "Bella"),
        (12, "en-quiet", "Nathan"),
        (13, "ja-news", "Saki"),
        (14, "ko-news", "Adam"),
        (20, "ru-news", "Adam"),
    ],
)
def test_a_demo_and_its_leaper_name_mean_the_voice_of_its_row(
    row: int, leaper: str, voice: str
) -> None:
    assert builtin(f"demo-{row}") == builtin(leaper) == voice


@pytest.mark.parametrize(
    ("name", "voice"),
    [
        ("nova", "Junhao"),
        ("shimmer", "Lingyu"),
        ("onyx", "Ava"),
        ("echo", "Adam"),
        ("fable", "Bella"),
    ],
)
def test_leapers_aliases_mean_what_they_mean_there(name: str, voice: str) -> None:
    assert builtin(name) == voice


@pytest.mark.parametrize("name", ["alloy", "en-welcome", "demo-7"])
def test_the_welcome_voice_is_ava_until_a_clip_is_named(name: str) -> None:
    assert builtin(name) == "Ava"
    assert VoiceTable(PUBLISHED, welcome_clip=True).meant(name) == Meant("clip")


@pytest.mark.parametrize(
    ("name", "voice"),
    [("zh-yangmi", "Lingyu"), ("demo-6", "Lingyu"), ("en-taylor", "Bella"), ("demo-11", "Bella")],
)
@pytest.mark.parametrize("real_people", [False, True])
def test_names_of_real_people_mean_generic_voices_always(
    name: str, voice: str, real_people: bool
) -> None:
    assert builtin(name, VoiceTable(PUBLISHED, real_people=real_people)) == voice


@pytest.mark.parametrize("name", ["Trump", "Xiaoyu"])
def test_a_voice_that_imitates_somebody_is_offered_only_where_the_config_says_so(name: str) -> None:
    careful, open_ = VoiceTable(PUBLISHED), VoiceTable(PUBLISHED, real_people=True)
    with pytest.raises(Refused, match=name):
        careful.meant(name)
    assert name not in {voice.id for voice in careful.offered()}
    assert builtin(name, open_) == name
    assert name in {voice.id for voice in open_.offered()}


def test_no_name_but_its_own_leads_to_a_voice_that_imitates_somebody() -> None:
    table = VoiceTable(PUBLISHED, real_people=True)
    names = {voice.id for voice in table.offered()} - {"Trump", "Xiaoyu"}
    assert {builtin(name, table) for name in names}.isdisjoint({"Trump", "Xiaoyu"})


def test_everything_on_offer_is_known_and_named_once() -> None:
    table = VoiceTable(PUBLISHED)
    names = [voice.id for voice in table.offered()]
    assert len(names) == len(set(names))
    assert {f"demo-{row}" for row in range(1, 30)} | set(OPENAI) <= set(names)
    assert {builtin(name, table) for name in names} <= {voice.voice for voice in PUBLISHED}
    assert {one for voice in table.offered() for one in voice.languages} == LANGUAGES


@pytest.mark.parametrize("name", ["nobody", "demo-0", "demo-30", "", "ava"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="not known"):
        VoiceTable(PUBLISHED).meant(name)


def test_a_long_name_is_cut_in_what_is_told() -> None:
    with pytest.raises(Refused) as told:
        VoiceTable(PUBLISHED).meant("x" * 5_000)
    assert len(told.value.message) < 150


def test_a_manifest_that_lacks_a_voice_speaks_by_one_of_the_same_language() -> None:
    few = [BuiltinVoice("A", [], group="English Male"), BuiltinVoice("B", [], group="Chinese Male")]
    table = VoiceTable(few)
    assert builtin("demo-10", table) == "A"
    assert builtin("zh-gentle", table) == "B"
    assert builtin("ja-news", table) == "A"


def test_an_order_without_a_voice_gets_one_of_its_language_and_gender() -> None:
    table = VoiceTable(PUBLISHED)
    assert table.fitting("en", "female").voice == "Ava"
    assert table.fitting("en-GB", "male").voice == "Adam"
    assert table.fitting("ja", "male").voice == "Soyo"
    assert table.fitting("fr", "female").voice == "Yuewen"
    assert table.fitting(None, None).voice == "Junhao"
    with pytest.raises(Refused, match="voice sample"):
        VoiceTable([]).fitting("en", None)
