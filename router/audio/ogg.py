"""Takes Ogg pages apart into packets, as they arrive (RFC 3533, section 6).

`ogg_pages` puts them together.
"""

from __future__ import annotations

from typing import NamedTuple

from router.contract.errors import NotSpeech

_HEAD = 27
_CONTINUED, _END = 0x01, 0x04


class Packet(NamedTuple):
    """One packet; `granule` is its page's position, on the last packet that ends there."""

    data: bytes
    granule: int | None


class OggReader:
    """Feed it bytes, get packets. `ended` says whether the page marked as the last has come."""

    def __init__(self) -> None:
        self.ended = False
        self._held = bytearray()
        self._partial = b""

    @property
    def is_cut(self) -> bool:
        """Whether bytes of an unfinished page or packet are left over."""
        return bool(self._held or self._partial)

    def feed(self, chunk: bytes) -> list[Packet]:
        """Raises NotSpeech where a page should begin and does not."""
        self._held += chunk
        packets: list[Packet] = []
        at = 0
        while (end := self._page_end(at)) is not None:
            packets += self._page(at, end)
            at = end
        del self._held[:at]
        return packets

    def _page_end(self, at: int) -> int | None:
        held = self._held
        if not b"OggS".startswith(held[at : at + 4]):
            raise NotSpeech("what came is not a stream of Ogg pages")
        if len(held) < at + _HEAD or len(held) < at + _HEAD + held[at + 26]:
            return None
        body = at + _HEAD + held[at + 26]
        end = body + sum(held[at + _HEAD : body])
        return end if len(held) >= end else None

    def _page(self, at: int, end: int) -> list[Packet]:
        held = self._held
        kind = held[at + 5]
        granule = int.from_bytes(held[at + 6 : at + 14], "little", signed=True)
        lacing = held[at + _HEAD : at + _HEAD + held[at + 26]]
        self.ended = self.ended or bool(kind & _END)
        if not kind & _CONTINUED:
            self._partial = b""
        datas, begin = [], at + _HEAD + len(lacing)
        for size in lacing:
            self._partial += held[begin : begin + size]
            begin += size
            if size < 255:
                datas.append(self._partial)
                self._partial = b""
        assert begin == end
        last = len(datas) - 1
        return [Packet(data, granule if i == last else None) for i, data in enumerate(datas)]
