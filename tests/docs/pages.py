"""The pages that a user reads, taken apart: fenced examples, inline code, links and addresses."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from tests.support.process import ROOT

README = ROOT / "README.md"
RECIPES = ROOT / "config" / "recipes"
DEFAULT_URL = "http://127.0.0.1:8080"
"""Where every page says that the server is."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_ADDRESS = re.compile(rf"{re.escape(DEFAULT_URL)}(/[\w./-]*)?")


class Block(msgspec.Struct, frozen=True):
    """One fenced example."""

    language: str
    text: str

    @property
    def title(self) -> str:
        return " ".join(self.text.split())[:50]


def blocks(page: Path, language: str) -> list[Block]:
    """The examples of a page in one language, in their order."""
    found = (Block(*match) for match in _BLOCK.findall(page.read_text("utf-8")))
    return [block for block in found if block.language == language]


def code(page: Path) -> list[str]:
    """What stands in backticks in the running text."""
    return _CODE.findall(_BLOCK.sub("", page.read_text("utf-8")))


def links(page: Path) -> list[str]:
    """Targets of the links that stay in the project."""
    targets = _LINK.findall(page.read_text("utf-8"))
    return [target for target in targets if "://" not in target]


def addresses(page: Path) -> list[str]:
    """Paths under the server's address, wherever they stand in the page."""
    return [path.rstrip("./") for path in _ADDRESS.findall(page.read_text("utf-8"))]
