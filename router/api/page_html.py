"""HTML that is built, not pasted: what is not markup already is escaped."""

from __future__ import annotations

from html import escape

_VOID = frozenset({"meta", "link", "br"})


class Html(str):
    """Markup. Only `el` and `joined` make it, and whoever knows that it is."""

    __slots__ = ()


def el(name: str, /, *inside: Html | str | None, **attributes: str | float | bool | None) -> Html:
    """An element. `class_` stands for `class`, `data_label` for `data-label`; an attribute that is
    `None` or false is left out, one that is true has no value."""
    written = "".join(
        f" {_named(key)}" if value is True else f' {_named(key)}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(*inside)}</{name}>")


def joined(*parts: Html | str | None) -> Html:
    """One after the other."""
    return Html(
        "".join(
            part if isinstance(part, Html) else escape(part, quote=False)
            for part in parts
            if part is not None
        )
    )


def _named(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
