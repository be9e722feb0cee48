"""Random numbers: the official order, and a stream of its own for each row."""

from __future__ import annotations

import numpy as np

from providers.moss_tts_nano.draws import BELOW_ONE, OfficialDraws, RowDraws, stacked

CODEBOOKS = 4


def official(seed: int, numbers: int) -> list[float]:
    """What single calls of one generator give."""
    generator = np.random.default_rng(seed)
    return [float(generator.random()) for _ in range(numbers)]


def test_a_frame_takes_the_text_number_first_and_then_one_for_each_codebook() -> None:
    draws = OfficialDraws(7, "fixed", CODEBOOKS)
    frames = [draws.frame() for _ in range(3)]
    expected = np.array(official(7, 15), np.float32).reshape(3, 5)
    for frame, numbers in zip(frames, expected, strict=True):
        assert frame.text.dtype == frame.audio.dtype == np.float32
        assert frame.text.tolist() == [numbers[0]]
        assert frame.audio.tolist() == [numbers[1:].tolist()]


def test_the_stopping_frame_has_drawn_all_its_numbers_in_fixed_mode_and_one_in_full_mode() -> None:
    fixed, full = OfficialDraws(7, "fixed", CODEBOOKS), OfficialDraws(7, "full", CODEBOOKS)
    for draws in (fixed, full):
        draws.frame()
        draws.stopped()
    numbers = official(7, 12)
    assert fixed.frame().text[0] == np.float32(numbers[5])
    assert full.frame().text[0] == numbers[1]


def test_numbers_for_host_sampling_keep_their_precision() -> None:
    frame = OfficialDraws(3, "full", CODEBOOKS).frame()
    assert frame.audio.dtype == np.float64
    assert [*frame.text, *frame.audio[0]] == official(3, 5)


def test_a_number_next_to_one_does_not_round_up_to_one() -> None:
    almost = np.full(1 + CODEBOOKS, np.nextafter(1.0, 0.0))
    frame = stacked([almost], "fixed")
    assert frame.text[0] < 1
    assert frame.text[0] == np.float32(BELOW_ONE)
    assert (frame.audio < 1).all()


def test_greedy_frames_draw_nothing() -> None:
    draws = OfficialDraws(3, "greedy", CODEBOOKS)
    frame = draws.frame()
    draws.stopped()
    assert not frame.text.any()
    assert not frame.audio.any()
    assert not RowDraws(3, "greedy", CODEBOOKS).frame().any()


def test_a_row_draws_as_the_official_generator_does_for_its_seed() -> None:
    row = RowDraws(99, "fixed", CODEBOOKS)
    numbers = np.concatenate([row.frame(), row.frame()])
    assert numbers.tolist() == official(99, 10)


def test_each_chunk_and_each_attempt_has_its_own_stream() -> None:
    places = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    firsts = {
        RowDraws(5, "fixed", CODEBOOKS, chunk=chunk, attempt=attempt).frame()[0]
        for chunk, attempt in places
    }
    assert len(firsts) == len(places)
    again = RowDraws(5, "fixed", CODEBOOKS, chunk=2).frame()[0]
    assert again in firsts


def test_rows_do_not_depend_on_their_neighbours() -> None:
    alone = RowDraws(1, "fixed", CODEBOOKS)
    expected = [stacked([alone.frame()], "fixed") for _ in range(3)]
    one, other = RowDraws(1, "fixed", CODEBOOKS), RowDraws(2, "fixed", CODEBOOKS)
    for frame in expected:
        both = stacked([other.frame(), one.frame()], "fixed")
        assert both.text.shape == (2,)
        assert both.audio.shape == (2, CODEBOOKS)
        assert both.text[1] == frame.text[0]
        assert (both.audio[1] == frame.audio[0]).all()


def test_any_whole_number_is_a_seed() -> None:
    negative = RowDraws(-1, "fixed", CODEBOOKS).frame()
    assert negative.tolist() == RowDraws(2**64 - 1, "fixed", CODEBOOKS).frame().tolist()
