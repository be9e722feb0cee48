"""How long a text may take, by what it is made of."""

from __future__ import annotations

import pytest

from router.audio.pace import Expected, expected


def per_character(text: str, language: str) -> tuple[float, float]:
    wanted = expected(text, language)
    return wanted.least_s / wanted.characters, wanted.most_s / wanted.characters


def test_letters_and_digits_of_any_script_are_counted() -> None:
    assert expected("Hi 5, Да — 你好 ١٢!", "en").characters == 9


def test_one_han_character_takes_as_long_as_several_letters() -> None:
    assert per_character("人人生而自由", "zh")[0] > 2 * per_character("abcdef", "en")[0]
    assert per_character("志", "ja")[1] > per_character("志", "zh")[1]


def test_a_digit_may_be_a_word_and_a_zero_nothing() -> None:
    assert expected("1234567890", "en").most_s >= 10
    assert expected("1000000000", "en").least_s == expected("1", "en").least_s


def test_what_may_be_spelt_may_take_longer() -> None:
    assert per_character("nasa", "en")[1] < per_character("NASA", "en")[1]
    assert per_character("word", "en")[1] < per_character("html", "en")[1]
    assert per_character("bade", "en")[1] < per_character("b4de", "en")[1]


@pytest.mark.parametrize("signs", ["😀😀", "👩‍💻", "…!?", "€ % &", "\n\n\n"])
def test_signs_may_be_read_or_left_out(signs: str) -> None:
    plain, with_signs = expected("hello", "en"), expected(f"hello {signs}", "en")
    assert with_signs.least_s == plain.least_s
    assert with_signs.most_s > plain.most_s + 1


def test_foreign_letters_may_be_left_out() -> None:
    assert expected("hello dear 你好", "en").least_s == expected("hello dear", "en").least_s
    assert expected("東京タワー", "ja").least_s > expected("東京", "ja").least_s


def test_nobody_knows_how_long_a_letter_is_held() -> None:
    assert expected("Aaaaaaaaaaaaaaah", "en").least_s <= expected("Aaaah", "en").least_s


@pytest.mark.parametrize("speed", [0.1, 0.5, 2.0, 5.0])
def test_a_speed_only_widens_what_is_plausible(speed: float) -> None:
    usual, changed = expected("some words", "en"), expected("some words", "en", speed)
    assert changed.least_s == pytest.approx(usual.least_s / max(speed, 1))
    assert changed.most_s == pytest.approx(usual.most_s / min(speed, 1))
    assert changed.stretch == 1 / min(speed, 1)


def test_a_text_without_anything_to_say_needs_no_time() -> None:
    assert expected("", "en") == Expected(characters=0, language="en", least_s=0, most_s=0)


@pytest.mark.parametrize("text", ["\x00\ud800\uffff", "\u0301" * 9, "a\u200d\ufe0f", "𝒜𝔟𝟙Ⅳ²½㉈"])
def test_every_code_point_has_a_pace(text: str) -> None:
    wanted = expected(text, "")
    assert 0 <= wanted.least_s <= wanted.most_s
