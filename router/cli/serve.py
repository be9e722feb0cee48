"""`tts-router serve`: the server in the foreground, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import math
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

import click
import msgspec
import structlog
import uvicorn

from router.accounts.entrance import has_keys, has_store
from router.api.guard import is_loopback
from router.api.operations import readiness
from router.app.server import create_app
from router.cli.config import config_option, loaded
from router.contract.errors import SpeechError
from router.dispatch.house import House
from router.dispatch.reloading import Reloads
from router.dispatch.speaker import Speaker
from router.settings.accounts import Accounts
from router.settings.load import load
from router.settings.structs import Settings
from router.store.errors import StoreUnusable
from router.telemetry import logs

_log = structlog.get_logger(__name__)

_TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)
_SIGHUP = getattr(signal, "SIGHUP", None)
_BACKLOG = 2048


@click.command()
@config_option
@click.option("--host", help="Listen here instead of server.host.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Listen here instead of server.port.")
@click.option("--log", type=click.Choice(["auto", "console", "json"]), default="auto")
def serve(config: str | None, host: str | None, port: int | None, log: str) -> None:
    """Serve speech over HTTP."""
    in_json = log == "json" or (log == "auto" and not sys.stderr.isatty())
    logs.set_up(json=in_json)
    written, kinds = loaded(config)
    settings = _at(_with_keys(written), host, port)
    listener = _listener(settings)
    address = _address(listener)
    house, reloads = House(), Reloads(written, lambda: load(config, kinds.providers))

    def started(speaker: Speaker) -> None:
        _tell(_state(speaker, house, settings, address), in_json=in_json)
        _settle_memory()

    app = create_app(settings, kinds, started=started, house=house, reloads=reloads)
    server = _Server(
        house,
        reloads,
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(settings.timeouts.drain_s) or 1,
            lifespan="on",
        ),
    )
    with contextlib.closing(listener):
        server.run(sockets=[listener])
    if not server.started:
        sys.exit(3)


class _Server(uvicorn.Server):
    """uvicorn that stays at the door while speech is under way, and says that it is closing."""

    def __init__(self, house: House, reloads: Reloads, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._house = house
        self._reloads = reloads
        self._had_terminal = sys.stderr.isatty()
        self._closes_at: float | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """An end by SIGTERM or Ctrl-C is a clean one: status 0. What a signal asks for is seen with
        the next tick."""
        heard = dict.fromkeys(uvicorn.server.HANDLED_SIGNALS, self.handle_exit)
        if _SIGHUP is not None:
            heard[_SIGHUP] = self._hung_up
        handlers = {number: signal.signal(number, hear) for number, hear in heard.items()}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _hung_up(self, sig: int, frame: FrameType | None) -> None:
        """Have the config read again; where the terminal has gone, end, as it would without us."""
        if self._had_terminal and not sys.stderr.isatty():
            self.handle_exit(sig, frame)
        else:
            self._reloads.ask()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._house.close()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop listening: when all is said, or time is over. Until then whoever comes is
        told to come again; a refused connection would tell them nothing."""
        if not await super().on_tick(counter):
            return False
        now = asyncio.get_running_loop().time()
        if self._closes_at is None:
            self._closes_at = now + self._house.drain_s
        left_s = max(0.0, self._closes_at - now)
        self.config.timeout_graceful_shutdown = math.ceil(left_s)
        return self.force_exit or not left_s or not self._house.requests


def _with_keys(settings: Settings) -> Settings:
    """The settings; where the config says nothing of keys and there are some, they are needed.

    The store is tried before anything listens: what is wrong with it ends the command in one line.
    """
    is_open = settings.accounts is not None and not settings.accounts.required
    if is_open or (settings.accounts is None and not has_store(settings)):
        return settings
    try:
        found = asyncio.run(has_keys(settings))
    except (StoreUnusable, SpeechError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if settings.accounts is None and found:
        return msgspec.structs.replace(settings, accounts=Accounts())
    return settings


def _at(settings: Settings, host: str | None, port: int | None) -> Settings:
    """The settings with the command line's address; without keys that must be this machine."""
    server = msgspec.structs.replace(
        settings.server,
        host=host or settings.server.host,
        port=settings.server.port if port is None else port,
    )
    if not (server.open or settings.keyed or _binds_loopback(server.host)):
        raise click.ClickException(
            f"{server.host} is reachable from other machines, and there are no keys. "
            "Listen on 127.0.0.1, make a key (tts-router keys create), or set server.open: true in "
            "the config if you mean it."
        )
    return msgspec.structs.replace(settings, server=server)


def _binds_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return is_loopback(host.lower())


def _listener(settings: Settings) -> socket.socket:
    """A socket of our own: a reader who stalls keeps his socket otherwise, long after we gave
    up."""
    host, port = settings.server.host.strip("[]"), settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _TCP_USER_TIMEOUT is not None:  # inherited by every connection it accepts
            wait_ms = int(settings.timeouts.slow_reader_s * 1000)
            listener.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, wait_ms)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        what = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise click.ClickException(f"{what}. Is it running already? Try --port.") from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _settle_memory() -> None:
    """What was made at start stays: the collector need not look at it for every few requests.

    It took 5 to 8 % of the time under load (`python -m tests.bench.router --profile`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def _tell(lines: Sequence[str], *, in_json: bool) -> None:
    """To people as it is; to a program that reads the log, in the log's form, with the address at
    the end: who waits for it has all of it."""
    if not in_json:
        click.echo("\n".join(lines), err=True)
        return
    for line in [*lines[1:], lines[0]]:
        _log.info(line.strip())


def _state(speaker: Speaker, house: House, settings: Settings, address: str) -> list[str]:
    """In plain words what is served, by whom, and what would make it better."""
    state = readiness(speaker, house)
    lines = [f"tts-router serves {address}/v1 (config: {settings.source})"]
    for name, model in state.models.items():
        who = ", then ".join(model.speaks) if model.ready else "nobody"
        lines.append(f"  {name}: {who}")
    for name, provider in state.providers.items():
        if provider.state == "off":
            lines.append(f"  {name} is off: {provider.reason}")
        elif provider.state == "not ready" and provider.reason:
            lines.append(f"  {name} is not ready: {provider.reason}")
    if settings.keyed:
        lines.append("  a key is needed: tts-router keys --help")
    return lines
