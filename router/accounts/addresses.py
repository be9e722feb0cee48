"""Addresses of callers, as servers and proxies write them."""

from __future__ import annotations

import functools
import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d+)?|(?P<v4>[\d.]+):\d+")


def parsed(address: str) -> Address | None:
    """The address without the port that some proxies name as well (Azure's, IIS):
    `192.0.2.1:5000`, `[2001:db8::1]:5000`; `None`: it is none."""
    if found := _WITH_PORT.fullmatch(address):
        address = found["v6"] or found["v4"]
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What limits by address count as one: an IPv4 address, or the 64 bits of an IPv6 one that its
    holder cannot choose. What is no address counts as one, too."""
    known = parsed(address)
    if known is None:
        return "unknown"
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known.packed, 64), strict=False))
