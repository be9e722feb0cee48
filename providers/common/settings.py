"""The words that the settings of every remote provider share; light, for plugins import it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol

from msgspec import Meta

from router.contract.provider import Secret

BaseUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="Where the API begins, with or without a trailing slash.",
        examples=["https://api.example.com/v1"],
    ),
]

Seconds = Annotated[float, Meta(gt=0, le=600)]

Factors = Annotated[tuple[float, float], Meta(description="Lowest and highest factor.")]


class Connection(Protocol):
    """The settings that say how an upstream is reached."""

    @property
    def base_url(self) -> str: ...

    @property
    def key(self) -> Secret | None:
        """Sent as `Authorization: Bearer …`; none for servers that want none."""

    @property
    def headers(self) -> Mapping[str, Secret]:
        """Sent with every request; secret, for a key may be among them."""

    @property
    def connect_s(self) -> float:
        """Patience for name, connection and TLS together."""

    @property
    def proxy(self) -> Secret | None:
        """URL of an HTTP proxy; secret, for it may hold a password. None is taken from the
        environment."""


def check_connection(settings: Connection) -> None:
    """For `__post_init__`: what a pattern cannot see in a secret.

    Raises:
        ValueError: said without the value, for it is secret.
    """
    if settings.proxy and not settings.proxy.reveal().startswith(("http://", "https://")):
        raise ValueError("`proxy` must begin with http:// or https://")
    for name, value in (*settings.headers.items(), ("key", settings.key or Secret(""))):
        text = value.reveal().strip()
        if not (name.isascii() and text.isascii() and (name + text).isprintable()):
            raise ValueError(f"`{name}` holds characters that no HTTP header can")
