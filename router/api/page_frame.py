"""The frame of a page of ours: its head, its one style and one script, and what it may load."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from router.api.page_html import Html, el, joined
from router.api.response import Headers

REFRESH_S = 10
"""How often a browser without scripts loads the page again; with them it asks every 3 s."""

_FILES = resources.files("router.api")
_STYLE = (_FILES / "page.css").read_text("utf-8")
_SCRIPT = (_FILES / "page.js").read_text("utf-8")


def _source(text: str) -> str:
    """How a policy names the one inline text that is let through."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_source(_STYLE)}",
        f"script-src {_source(_SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Headers = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept"),
)


def live_page(title: str, *body: Html) -> bytes:
    """A page that keeps itself fresh: what has `data-live` and an id is replaced."""
    again = el("meta", http_equiv="refresh", content=REFRESH_S)
    return _page(title, el("noscript", again), *body, el("script", Html(_SCRIPT)))


def still_page(title: str, said: str) -> bytes:
    """A page that says one thing."""
    heading = el("header", el("h1", title))
    return _page(title, None, heading, el("main", el("section", el("p", said, class_="none"))))


def _page(title: str, more: Html | None, *body: Html) -> bytes:
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("title", title),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("link", rel="icon", href="data:,"),
        el("style", Html(_STYLE)),
        more,
    )
    return joined(Html("<!doctype html>"), el("html", head, el("body", *body), lang="en")).encode()
