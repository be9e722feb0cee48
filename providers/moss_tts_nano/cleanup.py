"""The model's own cleanup of a text, rule for rule: `official`.

The rules are those of OpenMOSS/MOSS-TTS-Nano (`normalize_tts_text`, commit 42b4645), with their
oddities, for tokens are to be equal. They are written anew so that none takes a time that grows
with the square of a run of spaces or brackets. What the router does better is in `mending`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

CJK = r"[\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff]"
"""Scripts that are written without spaces, as the rules count them: Han and kana."""
_NAME_SIGNS = r"A-Za-z0-9._/+:\-"
"""What file names, versions and paths are made of."""
_CLOSERS = frozenset("\"')]}）】》〉」』”’")
_ARROW = r"(?:<[-=]+>|(?<![-=])[-=]+>|<[-=]+|[→←↔⇒⇐⇔⟶⟵⟷⟹⟸⟺↦↤↪↩])"
_PLACEHOLDER = r"___PROT\d+___"
# The placeholders' letters and underscores take part in the rules below (a space is set between
# one and a Han letter; a span around one hides it for good), so they have to be those of the model.

Instead = str | Callable[[re.Match[str]], str]
Rule = tuple[re.Pattern[str], Instead]


def rules(*pairs: tuple[str, Instead]) -> tuple[Rule, ...]:
    return tuple((re.compile(pattern), instead) for pattern, instead in pairs)


# Where a run could be searched again from many of its characters, a pattern takes the whole run
# also where the search was in vain, without one of its groups; it is then left as it is.


def linked(match: re.Match[str]) -> str:
    """What a link of Markdown says, then its address."""
    return match[0] if match[2] is None else f"{match[1]} {match[2]}"


_INVISIBLE = re.compile(r"[\u200b-\u200d\ufeff]")
LINK = (
    r"\[([^\[\]]++)\]\((?:(https?://[^)\s]++)\)"
    # Not closed: up to the last link that begins in it, for that one may be.
    r"|https?://(?:[^)\s]*(?:(?=!\[)|(?<!!)(?=\[))|[^)\s]*+))"
)
_LINK = re.compile(LINK)
_LINE_MARKS = rules((r"^#{1,6}\s+", ""), (r"^>\s+", ""), (r"^[-*+]\s+", ""), (r"^\d+[.)]\s+", ""))
_ARROWS = re.compile(rf"(?:(?<!\s)\s++)?{_ARROW}\s*+")

_SPANS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(https?://[^\s\u3000，。！？；、）】》〉」』]+)",
        r"(?<![\w.+-])[A-Za-z0-9._%+-]++(@[A-Za-z0-9.-]+\.[A-Za-z]{2,}(?![\w.-]))?",
        r"(?<![A-Za-z0-9_])(@[A-Za-z0-9_]{1,32})",
        r"(?<![A-Za-z0-9_])([ur]/[A-Za-z0-9_]+)",
        r"(?<![A-Za-z0-9_])(#(?!\s)[^\s#]+)",
        r"(?<![A-Za-z0-9_])\.[._-]*+([A-Za-z0-9][A-Za-z0-9._-]*+)?",
    )
)
_RUN = re.compile(rf"[{_NAME_SIGNS}]++")
_FIRST_LETTER = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z0-9]")

_SPACES_BEFORE = rules(
    (r"[ \t\r\f\v]+", " "),
    (rf"({CJK})\s+(?={CJK})", r"\1"),
    (rf"({CJK})\s+(?=\d)", r"\1"),
    (rf"(\d)\s+(?={CJK})", r"\1"),
    (rf"({CJK})(?={_PLACEHOLDER}|(?=[{_NAME_SIGNS}]*[A-Za-z])[A-Za-z0-9])", r"\1 "),
)
_RUN_BEFORE_CJK = re.compile(rf"(?<![{_NAME_SIGNS}])([{_NAME_SIGNS}]++)(?={CJK})")
_SPACES_AFTER = rules(
    (r" {2,}", " "),
    (r"(?<!\s)\s+([，。！？；：、”’」』】）》])", r"\1"),
    (r"([（【「『《“‘])\s+", r"\1"),
    (r"([，。！？；：、])\s*", r"\1"),
    (r"(?<!\s)\s+([,.;!?])", r"\1"),
    (r" {2,}", " "),
)
_BRACKETS = tuple(re.compile(pattern) for pattern in (r"\[([^\[\]]+)\]", r"\{([^{}]+)\}"))
_CJK_BRACKETS = re.compile(r"[【〖『「]([^】〗』」]+)[】〗』」]")
_CJK_CLOSERS = "】〗』」"
_TITLE = re.compile(
    rf"(^|[。！？!?；;]\s*+)《([^》]++)"
    rf"(》(?=\s*(?:{_PLACEHOLDER}|[—–―-]{{2,}}|$|[。！？!?；;，,])))?"
)
_DASHES = re.compile(r"(?:(?<!\s)\s++)?[—–―-]{2,}\s*")
_REPEATS = rules(
    (r"\.{3,}|…{2,}", "。"),
    (r"[。．]{2,}", "。"),
    (r"[，,]{2,}", "，"),
    (r"[!！]{2,}", "！"),
    (r"[?？]{2,}", "？"),
    (r"[!?！？]{2,}", "？！"),  # by now a run of more than one mark holds both kinds
)


def cleaned(text: str) -> str:
    """The text as the model's own runtime would hand it to its tokenizer."""
    text = _ARROWS.sub("，", joined(lines(visible(text))))
    text, spans = _protected(text)
    text = _spaced(_without_underscores(text))
    text = _spaced(applied(_REPEATS, _restructured(text)))
    for number, span in enumerate(spans):
        text = text.replace(_placeholder(number), span)
    return "\n".join(ended(line.strip()) if line.strip() else "" for line in _split(text)).strip()


def visible(text: str) -> str:
    """Without what cannot be seen, and with one kind of line end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u3000", " ")
    text = _INVISIBLE.sub("", text)
    return "".join(c for c in text if c in "\n\t " or not unicodedata.category(c).startswith("C"))


def lines(text: str) -> list[str]:
    """The lines that hold something, without the marks of Markdown."""
    text = _LINK.sub(linked, text)
    stripped = (line.strip() for line in text.splitlines())
    return [applied(_LINE_MARKS, line) for line in stripped if line]


def joined(found: Sequence[str]) -> str:
    """The lines as one, each but the last with a mark at its end."""
    return "".join((*(ended(line) for line in found[:-1]), *found[-1:]))


def ended(text: str) -> str:
    """With `。` at the end, in any language, unless a punctuation mark is there."""
    if not text:
        return text
    core = text.rstrip()
    end = len(core)
    while end and core[end - 1] in _CLOSERS:
        end -= 1
    if end and unicodedata.category(core[end - 1]).startswith("P"):
        return text
    return text + "。"


def applied(rules: Iterable[Rule], text: str) -> str:
    """One rule after the other, each over the whole text."""
    for pattern, instead in rules:
        text = pattern.sub(instead, text)
    return text


def _protected(text: str) -> tuple[str, list[str]]:
    """Addresses, names and file names taken out, so that no rule spoils them."""
    spans: list[str] = []

    def hidden(span: str) -> str:
        spans.append(span)
        return _placeholder(len(spans) - 1)

    def hidden_span(match: re.Match[str]) -> str:
        return match[0] if match[1] is None else hidden(match[0])

    def hidden_run(match: re.Match[str]) -> str:
        run = match[0]
        first = _FIRST_LETTER.search(run)
        if first is None:
            return run
        name = run[first.start() :]
        if not re.search("[A-Za-z]", name) or not re.search(r"[./+:\-]", name):
            return run
        return run[: first.start()] + hidden(name)

    for pattern in _SPANS:
        text = pattern.sub(hidden_span, text)
    return _RUN.sub(hidden_run, text), spans


def _placeholder(number: int) -> str:
    return f"___PROT{number}___"


def _without_underscores(text: str) -> str:
    parts = re.split(f"({_PLACEHOLDER})", text)
    return "".join(part if n % 2 else part.replace("_", " ") for n, part in enumerate(parts))


def _spaced(text: str) -> str:
    text = _RUN_BEFORE_CJK.sub(_set_off, applied(_SPACES_BEFORE, text))
    return applied(_SPACES_AFTER, text).strip()


def _set_off(match: re.Match[str]) -> str:
    return f"{match[1]} " if re.search("[A-Za-z]", match[1]) else match[1]


def _restructured(text: str) -> str:
    for brackets in _BRACKETS:
        text = brackets.sub(_quoted, text)
    last = max(map(text.rfind, _CJK_CLOSERS)) + 1  # beyond it an opening bracket would search long
    text = _CJK_BRACKETS.sub(_quoted, text[:last]) + text[last:]
    text = _TITLE.sub(_untitled, text)
    return _DASHES.sub("。", _ARROWS.sub("，", text))


def _untitled(match: re.Match[str]) -> str:
    return match[0] if match[3] is None else match[1] + match[2]


def _quoted(match: re.Match[str]) -> str:
    inside = match[1]
    return f'"{inside.strip() or inside[-1]}"'


def _split(text: str) -> list[str]:
    return text.strip().split("\n")
