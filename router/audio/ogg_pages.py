"""Puts packets into Ogg pages, one packet a page, so that each leaves as soon as it is made.

RFC 3533, section 6, has the page; RFC 7845 how Opus lies in it.
"""

from __future__ import annotations

import secrets
import zlib

_BEGIN, _END = 0x02, 0x04
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_FULL = 0xFFFF_FFFF


class OggWriter:
    """One logical stream. `granule` is the position that a page's last sample has."""

    def __init__(self) -> None:
        self._serial = secrets.randbits(32).to_bytes(4, "little")
        self._number = 0

    def page(self, packet: bytes, granule: int, *, is_last: bool = False) -> bytes:
        """The page of one packet, which is shorter than 65,025 bytes."""
        kind = (_BEGIN if self._number == 0 else 0) | (_END if is_last else 0)
        full, rest = divmod(len(packet), 255)
        head = b"OggS\0" + bytes([kind]) + granule.to_bytes(8, "little") + self._serial
        head += self._number.to_bytes(4, "little")
        tail = bytes([full + 1, *[255] * full, rest]) + packet
        self._number += 1
        return head + checksum(head + bytes(4) + tail).to_bytes(4, "little") + tail


def checksum(page: bytes) -> int:
    """Ogg's CRC-32: zlib's polynomial, from the highest bit down, without its inversions."""
    mirrored = zlib.crc32(page.translate(_REVERSED), _FULL) ^ _FULL
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")


def opus_tags(vendor: bytes) -> bytes:
    """The second packet of an Opus stream: who made it, and no comments (RFC 7845, 5.2)."""
    return b"OpusTags" + len(vendor).to_bytes(4, "little") + vendor + bytes(4)
