"""Asks a running router, for the verbs that need one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import httpx
import msgspec

from router.cli.config import config_option, loaded
from router.settings.structs import Server

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
_Found = TypeVar("_Found")
_WITHIN_S = 30.0


class Asking:
    """A running router, as somebody with a key meets it."""

    def __init__(self, client: httpx.Client, base: str) -> None:
        self._client = client
        self._base = base

    def told(self, type: type[_Found], method: str, path: str, **sent: Any) -> _Found:
        """What it answers. Raises ClickException when it refuses, httpx.TransportError when it
        cannot be reached."""
        answer = self._client.request(method, f"{self._base}{path}", **sent)
        _check(answer)
        try:
            return msgspec.json.decode(answer.content, type=type)
        except msgspec.MsgspecError as error:
            raise click.ClickException(f"what answers at {self._base} is no tts-router") from error

    @contextmanager
    def body(self, path: str) -> Iterator[Iterator[bytes]]:
        """A body that may be large, in chunks."""
        with self._client.stream("GET", f"{self._base}{path}") as answer:
            if answer.status_code != 200:
                answer.read()
                _check(answer)
            yield answer.iter_bytes()


def asking_options(verb: _Verb) -> _Verb:
    """How a verb finds the router, and who asks."""
    verb = click.option(
        "--key", envvar="TTS_ROUTER_KEY", show_envvar=True, help="On a server with keys: yours."
    )(verb)
    verb = click.option("--url", help="The server; else where the config says that it listens.")(
        verb
    )
    return config_option(verb)


@contextmanager
def asking(config: str | None, url: str | None, key: str | None) -> Iterator[Asking]:
    """The router that is meant; where nobody answers, the command ends with one line."""
    base = (url or configured(loaded(config)[0].server)).rstrip("/").removesuffix("/v1")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(timeout=_WITHIN_S, trust_env=False, headers=headers) as client:
            yield Asking(client, base)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
        what = f"no server answers at {base} ({type(error).__name__})"
        raise click.ClickException(what) from error


def configured(server: Server) -> str:
    """Where a router with this config listens, seen from this machine."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - read, not bound
    host = everywhere.get(server.host, server.host)
    return f"http://{host}:{server.port}"


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        told = str(msgspec.json.decode(answer.content)["error"]["message"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        told = "and nothing that can be read"
    raise click.ClickException(f"the router answers {answer.status_code}: {told}")
