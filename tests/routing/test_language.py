"""The language is the given tag, else a guess from the script; where it serves several, the voice
decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.contract.errors import InvalidRequest
from router.routing.language import guessed, has_script, is_speakable, main_script, parsed, primary

SENTENCES = {
    "en": "Hello, this is what my voice sounds like.",
    "zh": "你好，这就是我的声音。",
    "ja": "こんにちは、これは私の声です。",
    "ko": "안녕하세요, 제 목소리입니다.",
    "ru": "Здравствуйте, так звучит мой голос.",
    "uk": "Привіт, це мій голос, і він її.",
    "ar": "مرحبا هذا هو صوتي",
    "fa": "سلام، چه خبر از پسرم؟",
    "ur": "یہ میری آواز ہے ٹھیک",
    "el": "Γεια σας, αυτή είναι η φωνή μου.",
    "he": "שלום, זה הקול שלי.",
    "hi": "नमस्ते, यह मेरी आवाज़ है।",
    "bn": "নমস্কার, এটি আমার কণ্ঠ।",
    "pa": "ਸਤ ਸ੍ਰੀ ਅਕਾਲ, ਇਹ ਮੇਰੀ ਆਵਾਜ਼ ਹੈ।",
    "gu": "નમસ્તે, આ મારો અવાજ છે.",
    "ta": "வணக்கம், இது என் குரல்.",
    "te": "నమస్కారం, ఇది నా గొంతు.",
    "kn": "ನಮಸ್ಕಾರ, ಇದು ನನ್ನ ಧ್ವನಿ.",
    "ml": "നമസ്കാരം, ഇത് എന്റെ ശബ്ദമാണ്.",
    "si": "ආයුබෝවන්, මේ මගේ හඬයි.",
    "th": "สวัสดี นี่คือเสียงของฉัน",
    "my": "မင်္ဂလာပါ ဒါက ကျွန်တော့်အသံပါ",
    "ka": "გამარჯობა, ეს ჩემი ხმაა.",
    "hy": "Բարև, սա իմ ձայնն է:",
    "am": "ሰላም ይህ የኔ ድምፅ ነው",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_script_tells_its_language_whatever_the_voice(language: str) -> None:
    for voice in (None, "de"):
        expected = "de" if (language, voice) == ("en", "de") else language
        assert guessed(SENTENCES[language], voice) == expected


@pytest.mark.parametrize(
    ("text", "voice", "language"),
    [
        (SENTENCES["en"], "fr", "fr"),
        (SENTENCES["en"], "zh", "en"),
        (SENTENCES["en"], "ru", "en"),
        (SENTENCES["ru"], "bg", "bg"),
        (SENTENCES["ru"], "sr", "sr"),
        (SENTENCES["hi"], "mr", "mr"),
        (SENTENCES["ar"], "fa", "fa"),
        ("漢字", "ja", "ja"),
        ("漢字", None, "zh"),
        ("漢字", "yue", "yue"),
        ("12:30", "zh", "zh"),
        ("12:30", None, "en"),
        ("…", "ko", "ko"),
    ],
)
def test_where_a_script_serves_several_the_voice_decides(
    text: str, voice: str | None, language: str
) -> None:
    assert guessed(text, voice) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("用 Python 写代码", "zh"),
        ("Das Wort 你 ist chinesisch und steht hier allein.", "en"),
        ("東京に行きます", "ja"),
        ("東京タワー", "ja"),
        ("iPhoneを買いました", "ja"),
        ("Привет, John!", "ru"),
        ("OK네요 정말", "ko"),
        ("😀 hello 😀", "en"),
    ],
)
def test_in_a_mixed_text_the_script_of_most_of_it_wins(text: str, language: str) -> None:
    assert guessed(text, None) == language


def test_the_latin_guess_is_asked_for_latin_text_alone() -> None:
    asked: list[str] = []

    def german(text: str) -> str:
        asked.append(text)
        return "de"

    assert guessed("Guten Tag", "en", german) == "de"
    assert guessed("你好", "en", german) == "zh"
    assert asked == ["Guten Tag"]
    assert guessed("Guten Tag", "fr", lambda _: None) == "fr"


@pytest.mark.parametrize(
    ("tag", "spelt"),
    [
        ("EN", "en"),
        ("en-us", "en-US"),
        ("ZH-hant-tw", "zh-Hant-TW"),
        (" pt-br ", "pt-BR"),
        ("es-419", "es-419"),
        ("yue", "yue"),
        ("", None),
        (None, None),
        ("Auto", None),
    ],
)
def test_a_tag_is_spelt_as_usual(tag: str | None, spelt: str | None) -> None:
    assert parsed(tag) == spelt


@pytest.mark.parametrize(
    "tag", ["e", "english language", "en_US", "en-", "-en", "1a", "en--us", "en-" + "a" * 40, "🏴"]
)
def test_a_malformed_tag_is_the_callers_fault(tag: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(tag)
    assert caught.value.param == "language"


@given(st.text(max_size=80), st.sampled_from([None, "en", "zh", "ja", "sr", "xx"]))
def test_every_text_gets_a_language(text: str, voice: str | None) -> None:
    language = guessed(text, voice)
    assert primary(language) == language
    script = main_script(text)
    assert script is None or has_script(text, script) or text.isascii()


@pytest.mark.parametrize(("text", "speakable"), [("a", True), ("٣", True), ("語", True)])
def test_a_letter_or_a_digit_of_any_script_can_be_spoken(text: str, speakable: bool) -> None:
    assert is_speakable(f"… {text} —") is speakable


@pytest.mark.parametrize("text", ["", ".", "…?!", "😀👍🏽", "—", "\u200b", "  "])
def test_without_letter_or_digit_there_is_nothing_to_say(text: str) -> None:
    assert not is_speakable(text)


def test_more_of_a_text_is_read_where_its_beginning_does_not_tell() -> None:
    asked: list[int] = []

    def latin(text: str) -> str | None:
        asked.append(len(text))
        return "fi" if len(text) > 100 else None

    assert guessed("a" * 300, None, latin) == "fi"
    assert guessed("a" * 90, None, latin) == "en"
    assert guessed("a" * 50, None, latin) == "en"
    assert asked == [80, 240, 80, 90, 50]


def test_what_is_clear_from_the_beginning_is_not_read_further() -> None:
    asked: list[int] = []

    def latin(text: str) -> str | None:
        asked.append(len(text))
        return "sv"

    assert guessed("a" * 300, None, latin) == "sv"
    assert asked == [80]
