"""How log lines look: one form for our own and the libraries', on stderr."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

_QUIET = (
    *("httpx", "httpcore", "httpx2", "httpcore2", "aiohttp.access", "asyncio"),
    *("huggingface_hub", "filelock", "alembic"),
)
_SHARED: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,  # the request's id
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_CUT_OFF = "ASGI callable returned without completing response."


def set_up(*, json: bool, quiet: bool = False) -> None:
    """Send every line to stderr, as JSON or for people. Call it once, before anything logs."""
    level = logging.ERROR if quiet else logging.INFO
    structlog.configure(
        processors=processors(json=json),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(json=json))
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def processors(*, json: bool) -> list[structlog.typing.Processor]:
    """What becomes of a line of ours."""
    return [*_SHARED, _without_words, _last(json)]


def formatter(*, json: bool) -> logging.Formatter:
    """What becomes of a line of a library: the same."""
    own = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        processors=[own, _without_words, _last(json)], foreign_pre_chain=_SHARED
    )


def _last(json: bool) -> structlog.typing.Processor:
    if json:
        return structlog.processors.JSONRenderer(_json)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _without_words(
    logger: object, method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """An exception as its class and its place: its message may hold what a caller said."""
    del logger, method
    found = line.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        place = "".join(traceback.format_tb(error.__traceback__))
        line["exception"] = f"{place}{type(error).__name__}"
    return line


def _json(line: Any, default: Callable[[Any], Any]) -> str:
    return msgspec.json.encode(line, enc_hook=default).decode()


def _is_news(line: logging.LogRecord) -> bool:
    """Speech that breaks off ends its response unfinished on purpose; our own line says so."""
    return line.getMessage() != _CUT_OFF
