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
_CUT_OFF = "ASGI callable returned without completing response."


def set_up(*, json: bool, quiet: bool = False) -> None:
    """Send every line to stderr, as JSON or for people. Call it once, before anything logs."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(_json)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    level = logging.ERROR if quiet else logging.INFO
    structlog.configure(
        processors=[*shared, _without_words, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_words,
                last,
            ],
            foreign_pre_chain=shared,
        )
    )
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


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
