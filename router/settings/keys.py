"""What only the whole file can tell of its keys and of the stores that they need."""

from __future__ import annotations

import importlib.util
import ipaddress
from collections.abc import Iterator, Mapping

from router.contract.provider import Secret
from router.settings.accounts import Accounts, KeyEntry
from router.settings.metrics import Metrics
from router.settings.problems import Problem, near
from router.settings.structs import File, Server

SHORTEST_KEY = 16
"""Characters of a key that somebody made up."""
_STORES = {
    "store": ("asyncpg", "postgres", ("postgresql", "sqlite")),
    "redis": ("redis", "redis", ("redis", "rediss", "unix")),
}
"""Of each address the module that speaks to it, the extra that brings it, how it may begin."""
LONGEST_NAME = 48
"""Characters of a key's name: it is part of an id of at most 64."""


def wrong(accounts: Accounts, file: File) -> Iterator[Problem]:
    """Every mistake in the table `accounts` that its types let pass."""
    yield from _stores(accounts)
    yield from _keys(accounts.keys, file)


def wrong_readers(metrics: Metrics, server: Server) -> Iterator[Problem]:
    """Metrics that more people could read than was meant."""
    if metrics.key is not None and len(metrics.key.reveal()) < SHORTEST_KEY:
        yield Problem("metrics.key", f"is shorter than {SHORTEST_KEY} characters")
    is_open = metrics.key is not None or server.open or _is_loopback(metrics.host)
    if metrics.enabled and metrics.port is not None and not is_open:
        wrong = "is reachable from other machines, and metrics.key is not set"
        yield Problem("metrics.host", wrong, "set a key, or listen on 127.0.0.1")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _stores(accounts: Accounts) -> Iterator[Problem]:
    """Addresses of stores that are none, or that nothing here can speak to. No word of an address
    is told: it may hold a password."""
    given = {"store": accounts.store, "redis": accounts.redis}
    for name, secret in given.items():
        scheme = secret.reveal().partition("://")[0].lower() if secret else ""
        module, extra, schemes = _STORES[name]
        if secret and scheme not in schemes:
            wanted = " or ".join(f"{one}://" for one in schemes)
            yield Problem(f"accounts.{name}", f"does not begin with {wanted}")
        elif secret and scheme != "sqlite" and importlib.util.find_spec(module) is None:
            remedy = f"pip install 'tts-router[{extra}]'"
            yield Problem(f"accounts.{name}", f"needs {module}, which is not installed", remedy)


def _keys(keys: Mapping[str, KeyEntry], file: File) -> Iterator[Problem]:
    """Keys that are none, are the same, or name what is not there."""
    seen: dict[str | Secret, str] = {}
    for name, entry in keys.items():
        path = f"accounts.keys.{name}"
        if len(name) > LONGEST_NAME or not name.isprintable():
            yield Problem(path, f"is no name of at most {LONGEST_NAME} characters")
        given = entry.key or entry.hash
        if given is None or (entry.key and entry.hash):
            yield Problem(path, "needs either key or hash", "for example key: ${SPEECH_KEY}")
        elif entry.key and len(entry.key.reveal()) < SHORTEST_KEY:
            yield Problem(f"{path}.key", f"is shorter than {SHORTEST_KEY} characters")
        elif (other := seen.setdefault(given, name)) != name:
            yield Problem(path, f"is the same key as {other!r}")
        for list_, known in (("models", file.models), ("providers", file.providers)):
            for index, word in enumerate(getattr(entry, list_)):
                if word not in known:
                    wrong = f"there is no {list_[:-1]} {word!r}"
                    yield Problem(f"{path}.{list_}[{index}]", wrong, near(word, list(known)))
