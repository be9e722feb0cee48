"""Where a webhook may go: to a public address of the web, unless the config allows any.

Whoever submits a job names its receiver, so without this a caller could have the router ask what
only the router can reach. What is written is checked when a job is submitted and at each redirect;
the address is checked where the socket is made (`dialing.py`), for a name's answer may change.
"""

from __future__ import annotations

import ipaddress
import re
import socket

from yarl import URL

from router.contract.errors import InvalidRequest

LONGEST = 2_048
"""Characters of an address."""
LONGEST_NAME = 253
"""Of a host's name (RFC 1035)."""
PARAM = "webhook_url"
_NAME = re.compile(r"[A-Za-z0-9._-]+")

_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network, and the unspecified address
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a carrier's customers
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host, as each of its machines sees it
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols, and Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
"""IANA's registry of special-purpose IPv4 addresses. Ours, not `ipaddress.is_global`: what that
means differs between Python's patch releases."""

_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
"""All that is in use of global unicast. Beyond it lie loopback, what holds an IPv4 address
(`::/96`, `::ffff:0:0/96`, NAT64's `64:ff9b::/96` and `64:ff9b:1::/48`), unique local, link-local,
site-local, multicast, and what nobody has yet."""

_NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocols: Teredo, which holds an IPv4 address, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Whether this is a public address, in digits; a name is none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_V4)
    return found in _PUBLIC_V6 and not any(found in network for network in _NOT_PUBLIC_V6)


def is_any(address: str) -> bool:
    """Whether this is an address at all, for who allows private ones."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def checked(url: str, *, allow_private: bool) -> URL:
    """The address, if it may be called as far as it can be told without asking for its name.

    Raises:
        InvalidRequest: with what is wrong; no word of the address is in it.
    """
    if len(url) > LONGEST:
        raise _wrong(f"has at most {LONGEST} characters")
    if not url.isprintable() or any(letter in url for letter in " \\"):
        raise _wrong("holds a character that an address cannot have")
    try:
        target = URL(url)
    except ValueError:
        raise _wrong("is not an address that can be read") from None
    if target.scheme not in {"http", "https"} or not target.host:
        raise _wrong("is an absolute address that begins with https:// or http://")
    if target.user is not None or target.password is not None:
        raise _wrong("holds no user and no password; put a token into its query")
    if len(target.raw_host or "") > LONGEST_NAME:
        raise _wrong(f"names a host of more than {LONGEST_NAME} characters")
    if not (_NAME.fullmatch(target.raw_host or "") or is_any(target.host)):
        raise _wrong("names a host that is neither a name nor an address")
    _check_host(target.host.rstrip(".").casefold(), allow_private=allow_private)
    return target.with_fragment(None)


def host_of(url: URL) -> str:
    """Who is called, for bounds and logs: name and port, nothing that could be a secret."""
    return f"{url.raw_host}:{url.port}"


def _check_host(host: str, *, allow_private: bool) -> None:
    is_literal = is_any(host)
    if not is_literal and _is_old_spelling(host):
        raise _wrong("writes an IPv4 address in another way than as four decimal numbers")
    if allow_private:
        return
    if host == "localhost" or host.endswith(".localhost") or (is_literal and not is_public(host)):
        raise _wrong("names this machine or a private network; jobs.webhooks.allow_private is off")


def _is_old_spelling(host: str) -> bool:
    """`2130706433`, `0x7f.1`, `0177.0.0.1`: resolvers still take them for 127.0.0.1."""
    try:
        socket.inet_aton(host)
    except (OSError, UnicodeError):
        return False
    return True


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(f"{PARAM} {what}.", param=PARAM)
