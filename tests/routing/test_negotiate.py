"""What is asked of a provider leads to what the caller wanted, by the cheapest way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.contract.audio import ENCODINGS, AudioFormat
from router.routing.negotiate import FREE_PCM, PLAIN, Agreement, agree
from tests.routing.given import CODECS

RATES = st.sampled_from([None, 8_000, 22_050, 24_000, 44_100, 48_000])
CHANNELS = st.sampled_from([None, 1, 2])
FORMATS = st.builds(AudioFormat, st.sampled_from(ENCODINGS), RATES, CHANNELS)
OFFERS = st.lists(FORMATS, max_size=6)


@given(FORMATS, OFFERS)
def test_an_agreement_always_admits_the_wish(
    wanted: AudioFormat, offered: list[AudioFormat]
) -> None:
    made = agree(wanted, offered, CODECS)
    if made is not None:
        assert wanted.admits(made.output)
        assert any(format.admits(made.native) for format in offered)


@given(FORMATS, OFFERS)
def test_pcm_that_is_asked_for_always_states_its_rate_and_channels(
    wanted: AudioFormat, offered: list[AudioFormat]
) -> None:
    made = agree(wanted, offered, CODECS)
    if made is not None and made.native.encoding == "pcm":
        assert made.native.sample_rate
        assert made.native.channels
        assert made.output.sample_rate
        assert made.output.channels


@given(FORMATS, OFFERS)
def test_no_agreement_means_that_there_is_no_way(
    wanted: AudioFormat, offered: list[AudioFormat]
) -> None:
    if agree(wanted, offered, CODECS) is None:
        assert not any(wanted.admits(format) for format in offered if format.encoding not in PLAIN)
        decodable = any(format.encoding in CODECS.decodes for format in offered)
        assert not (decodable and wanted.encoding in CODECS.encodes)


@given(FORMATS, OFFERS)
def test_what_passes_through_is_not_changed(
    wanted: AudioFormat, offered: list[AudioFormat]
) -> None:
    made = agree(wanted, offered, CODECS)
    if made is not None and made.through:
        assert made.native == made.output
        assert made.native.encoding not in PLAIN, "a WAV gets a header of ours"
    elif made is not None:
        assert made.native.encoding in CODECS.decodes
        assert made.output.encoding in CODECS.encodes


def test_the_exact_format_comes_before_a_conversion() -> None:
    offered = (AudioFormat("pcm", 22_050, 1), AudioFormat("wav", 48_000, 2))
    exact = AudioFormat("wav", 48_000, 2)
    assert agree(exact, offered, CODECS) == Agreement(exact, exact, through=False)
    other = AudioFormat("wav", 16_000, 1)
    assert agree(other, offered, CODECS) == Agreement(offered[0], other, through=False)


def test_a_provider_of_any_rate_is_asked_for_the_wanted_one() -> None:
    free = (AudioFormat("pcm"),)
    wanted = AudioFormat("wav", 16_000, 2)
    native = AudioFormat("pcm", 16_000, 1)
    assert agree(wanted, free, CODECS) == Agreement(native, wanted, through=False)
    made = agree(AudioFormat("wav"), free, CODECS)
    assert made == Agreement(FREE_PCM, AudioFormat("wav", 24_000, 1), through=False)


def test_opus_in_ogg_answers_a_wish_for_ogg_and_not_the_other_way_round() -> None:
    opus, ogg = AudioFormat("opus"), AudioFormat("ogg")
    assert agree(ogg, (opus,), CODECS) == Agreement(opus, opus, through=True)
    assert agree(opus, (ogg,), CODECS) is None


@given(FORMATS, OFFERS)
def test_sound_that_is_to_be_shaped_is_never_passed_through(
    wanted: AudioFormat, offered: list[AudioFormat]
) -> None:
    made = agree(wanted, offered, CODECS, shaped=True)
    assert made is None or not made.through
