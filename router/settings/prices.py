"""What only a whole price can tell: whether speech is paid for that nobody counts in tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from router.contract.caller import Price
from router.settings.problems import Problem
from router.settings.structs import Model

_WRONG = (
    "has a price of tokens alone, and upstreams tell them at the end, if at all: who hangs up "
    "before it would not pay for what was heard"
)
_REMEDY = (
    "say what it costs where the upstream tells no tokens: "
    "credits_per_1k_chars or credits_per_audio_s"
)


def wrong(models: Mapping[str, Model]) -> Iterator[Problem]:
    """Every price, of a model or of a step of its route, that leaves speech unpaid."""
    for name, model in models.items():
        at = f"models.{name}"
        prices = {f"{at}.routes[{n}].price": route.price for n, route in enumerate(model.routes)}
        for path, price in {f"{at}.price": model.price, **prices}.items():
            if price is not None and _is_of_tokens_alone(price):
                yield Problem(path, _WRONG, _REMEDY)


def _is_of_tokens_alone(price: Price) -> bool:
    """Where tokens are not told the price of audio holds, and without one that of characters."""
    audio = price.credits_per_audio_s
    otherwise = price.credits_per_1k_chars if audio is None else audio
    return bool(price.credits_per_1k_tokens) and not otherwise
