"""Which part of a file is asked for (RFC 9110, section 14): one range, or all of it."""

from __future__ import annotations

import re
from typing import NamedTuple

_ONE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)


class Part(NamedTuple):
    """Bytes of a file."""

    first: int
    length: int
    is_range: bool = False
    """It was asked for by its bounds, though it may be all of the file: some players insist on a
    206."""

    def header(self, size: int) -> bytes:
        """As `Content-Range`, for a file of this size."""
        return b"bytes %d-%d/%d" % (self.first, self.first + self.length - 1, size)


def wanted(header: str | None, size: int) -> Part | None:
    """The part of a file of `size` bytes that a `Range` header asks for; `None` where it begins
    behind the end.

    What is not understood, and several ranges at once, get all of the file, as the RFC allows.
    """
    found = _ONE.fullmatch(header.strip()) if header is not None else None
    if found is None or found[1] == found[2] == "":
        return Part(0, size)
    if not found[1]:
        length = min(int(found[2]), size)
        return Part(size - length, length, is_range=True) if length else None
    first, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if first >= size:
        return None
    if last < first:
        return Part(0, size)
    return Part(first, min(last, size - 1) - first + 1, is_range=True)
