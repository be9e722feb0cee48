"""Texts as people send them: from one letter to the longest, in fifteen languages and out of
them."""

from __future__ import annotations

LONGEST = 4096

WORDS = {
    "ar": "نعم",
    "cs": "Ano.",
    "de": "Ja.",
    "el": "Ναι.",
    "en": "Yes.",
    "es": "Sí.",
    "fr": "Oui.",
    "hi": "हाँ",
    "it": "Sì.",
    "ja": "はい",
    "ko": "네",
    "pl": "Tak.",
    "pt": "Sim.",
    "ru": "Да",
    "tr": "Evet.",
    "vi": "Có.",
    "zh": "是",
}

SENTENCES = {
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا.",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren, sagt die Erklärung.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "en": "All human beings are born free and equal in dignity and rights. They have reason.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.",
    "ja": "こんにちは、みなさん。きょうはいいてんきですね。ニュースをおつたえします。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
}
"""From Article 1 of the Universal Declaration of Human Rights."""

ODD = (
    "A",
    "I.",
    "7",
    "Hm.",
    "Yes.",
    "Psst!",
    "Hmmmmmmmm…",
    "Aaaaaaaaaaaaaaaaaaaaaaaaaaah!",
    "NASA",
    "WWW",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "www",
    "1234567890",
    "0000000000",
    "1000000000000",
    "3.14159265358979323846264338327950288",
    "$1,234.56",
    "+49 (0)30 1234-5678",
    "1/2, 3/4 & 50 % of 10²",
    "2026-11-21T04:42:11Z",
    "https://www.example.com/a/b?x=1&y=2#top",
    "someone@example.com",
    "550e8400-e29b-41d4-a716-446655440000",
    "ls -la | grep '^d' && rm -rf ./*.tmp > /dev/null 2>&1",
    "Hi 😀 there 🎉🎉 you 👩‍💻!",
    "yes 👍🏽👍🏽👍🏽👍🏽👍🏽",
    "I ❤️ 你好 and привет.",
    "H-e-l-l-o, w-o-r-l-d.",
    "Well... so... no?!?!",
    "One.\n\n\nTwo.\n\n\nThree.\n\n\n",
    "la " * 60,
    "ha" * 40,
    "no, no, no, no, no, no, no, no, no, no, no, no, no, no, no, no, no, no, no, no!",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25",
    "* * *\n# Title\n- **bold** and `code`\n- [link](https://example.com)\n---\n",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG.",
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "x" * 60,
    "3f786850e387550fdab836ed7e6dc881de23001b",
)
"""What is hard to estimate; read in English."""

NUMBERS = ("1234567890", "1, 2, 3", "2026", "10:45", "3.5 %")
"""Read in every language."""


def of_length(language: str, characters: int) -> str:
    """The sentence of a language again and again, up to so many characters."""
    sentence = SENTENCES[language] + " "
    return (sentence * (characters // len(sentence) + 1))[:characters].strip()
