"""Long text in pieces: nothing lost, nothing too long, cut where a reader would breathe."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.segments import Text, pieces

_SCRIPTS = st.text(
    st.sampled_from(
        list("aB 9.,;:!?…—\n\"'()")
        + list("，。！？、你好かなカナ한국 ")
        + list("ابت؟، กขค\u0301\u200d👩\ufe0f")
    )
    | st.characters(),
    max_size=400,
)


def sentences(text: str) -> list[str]:
    """Where it would be cut if every piece were one sentence."""
    cut, found = Text(text), []
    while piece := cut.first(10_000, 10_000):
        found.append(piece.strip())
    return found


@given(_SCRIPTS, st.integers(1, 60), st.integers(1, 200))
def test_the_pieces_are_the_text(text: str, first: int, most: int) -> None:
    found = list(pieces(text, first=first, most=max(first, most)))
    assert "".join(found) == text
    assert all(found)
    assert all(len(piece) <= max(first, most) for piece in found)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It is late. Go home! Why? Because.", ["It is late.", "Go home!", "Why?", "Because."]),
        ("Pi is 3.14 and e is 2.718. Yes.", ["Pi is 3.14 and e is 2.718.", "Yes."]),
        ("Take v2.3.1 of it. Now.", ["Take v2.3.1 of it.", "Now."]),
        ("Dr. Smith met Mrs. Jones. Fine.", ["Dr. Smith met Mrs. Jones.", "Fine."]),
        ("J. R. R. Tolkien wrote it. I know.", ["J. R. R. Tolkien wrote it.", "I know."]),
        ("Use a fork, e.g. Yours. Done.", ["Use a fork, e.g. Yours.", "Done."]),
        ("Well... maybe not. Oh.", ["Well... maybe not.", "Oh."]),
        ("He stopped... Then he ran.", ["He stopped...", "Then he ran."]),
        ('"Stop!" he said. "Now."', ['"Stop!" he said.', '"Now."']),
        ("Er kam am 5. Mai an. Gut.", ["Er kam am 5. Mai an.", "Gut."]),
        ("Das ist z.B. Brot. Ja.", ["Das ist z.B. Brot.", "Ja."]),
        ("„Gut.“ Sie ging. ‚Ach.‘ So!", ["„Gut.“", "Sie ging.", "‚Ach.‘", "So!"]),
        ("»Nein!« Er blieb. »Doch.«", ["»Nein!«", "Er blieb.", "»Doch.«"]),
        ("Il dit : « Oui ! » Puis il part.", ["Il dit : « Oui ! »", "Puis il part."]),
        ("« Bonjour ! » dit-il. Oui.", ["« Bonjour ! » dit-il.", "Oui."]),
        ("He said “Go.” She went. “Why?” No.", ["He said “Go.”", "She went.", "“Why?”", "No."]),
        ("እንዴት ነህ፧ ደህና ነኝ። እሺ", ["እንዴት ነህ፧", "ደህና ነኝ።", "እሺ"]),
        ("Really‽ Yes. What⁈ No.", ["Really‽", "Yes.", "What⁈", "No."]),
        ("你好。今天很好！走吗？走", ["你好。", "今天很好！", "走吗？", "走"]),
        ("真的吗？“是的。”他说。OK.“好。”", ["真的吗？", "“是的。”", "他说。", "OK.“好。”"]),
        ("「行くぞ。」と言った。彼は走る。", ["「行くぞ。」", "と言った。", "彼は走る。"]),
        ("안녕하세요. 반갑습니다.", ["안녕하세요.", "반갑습니다."]),
        ("كيف حالك؟ أنا بخير. شكرا", ["كيف حالك؟", "أنا بخير.", "شكرا"]),
        ("वह आया। वह गया।", ["वह आया।", "वह गया।"]),
        ("Title\n\nThe first words. More", ["Title", "The first words.", "More"]),
        ("He said 12. She said 13!", ["He said 12. She said 13!"]),
    ],
)
def test_sentences_end_where_a_reader_hears_them_end(text: str, parts: list[str]) -> None:
    found = sentences(text)
    # What is cut at a clause because it is one is no matter here.
    assert [part for part in found if part] == parts


def test_the_first_piece_is_a_sentence_if_one_is_short_enough_else_a_clause() -> None:
    text = "When the rain had ended at last, they all went out. And so on."
    assert Text(text).first(60, 400) == "When the rain had ended at last, they all went out. "
    assert Text(text).first(40, 400) == "When the rain had ended at last, "
    assert Text(text).first(20, 400) == "When the rain had "
    assert Text("Donaudampfschifffahrtsgesellschaft ist lang.").first(10, 40) == (
        "Donaudampfschifffahrtsgesellschaft ist "
    )


def test_later_pieces_hold_as_many_sentences_as_fit() -> None:
    text = "One. Two two. Three three three. Four, four four and four more words of four."
    assert list(pieces(text, first=6, most=30)) == [
        "One. ",
        "Two two. Three three three. ",
        "Four, ",
        "four four and four more words ",
        "of four.",
    ]


def test_a_text_without_spaces_is_cut_between_letters_with_their_marks() -> None:
    thai = "ที่นี่มีน้ำ" * 20
    for piece in pieces(thai, first=13, most=13):
        assert piece
    family = "👩\u200d👩\u200d👧" * 9
    assert all(not piece.startswith("\u200d") for piece in pieces(family, first=7, most=7))


def test_nothing_is_nothing() -> None:
    assert list(pieces("", first=10, most=10)) == []


RUNS = ("!", "!。", ".", '."', ",", " ", "\n", "\n ", " -", "a.", "? »", ". “")


def test_a_text_of_nothing_but_marks_is_scanned_as_fast_as_any() -> None:
    """Each would take many minutes if what was read once were read again from its next mark on; so
    it is done by a process that can be ended."""
    code = (
        "import sys; from router.routing.segments import Text\n"
        "for run in sys.argv[1:]: Text(run * 50_000 + 'x')"
    )
    subprocess.run([sys.executable, "-c", code, *RUNS], check=True, timeout=60)
