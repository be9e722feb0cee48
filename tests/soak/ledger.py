"""Who is being spoken to, as the providers' side sees it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from router.testing.misbehaving import Exchange
from tests.dispatch.indices import spoken_words

EVERY_S = 0.25
"""Between two chunks of a provider: what is said to nobody ends within one of them."""
TEXT_WORDS = 20
"""Words of a caller's text; its first number tells whose it is."""
_CHUNK_BYTES = 960


class Ledger:
    """Chunks by caller and by answer."""

    def __init__(self) -> None:
        self._chunks: defaultdict[int, dict[Exchange, int]] = defaultdict(dict)
        self._under_way: defaultdict[int, int] = defaultdict(int)

    async def speak(self, exchange: Exchange) -> None:
        text = exchange.request.json()["input"]
        found = re.search(r"\d+", text)
        caller = int(found[0]) // TEXT_WORDS if found else 0
        sound = spoken_words(text)
        chunks = self._chunks[caller]
        chunks[exchange] = 0
        self._under_way[caller] += 1
        try:
            await exchange.begin(headers={"content-type": "audio/pcm"})
            for at in range(0, len(sound), _CHUNK_BYTES):
                await exchange.give(sound[at : at + _CHUNK_BYTES])
                chunks[exchange] += 1
                await exchange.rest(EVERY_S)
            await exchange.end()
        finally:
            self._under_way[caller] -= 1

    def is_spoken_to(self, caller: int) -> bool:
        return self._under_way[caller] > 0

    def given(self, caller: int) -> Mapping[Exchange, int]:
        """Chunks of each answer to this caller, until now."""
        return dict(self._chunks[caller])

    def most_since(self, caller: int, before: Mapping[Exchange, int]) -> int:
        """The most that one answer has given since then."""
        now = self._chunks[caller]
        return max([now[one] - before.get(one, 0) for one in now], default=0)
