"""Who is being spoken to, as the providers' side sees it."""

from __future__ import annotations

import re
from collections import Counter

from router.testing.misbehaving import Exchange
from tests.dispatch.indices import spoken_words

EVERY_S = 0.1
"""Between two chunks of a provider: what is said to nobody ends within one of them."""
TEXT_WORDS = 20
"""Words of a caller's text; its first number tells whose it is."""
_CHUNK_BYTES = 960


class Ledger:
    """Counts by caller."""

    def __init__(self) -> None:
        self.at_work: Counter[int] = Counter()
        self.chunks: Counter[int] = Counter()

    async def speak(self, exchange: Exchange) -> None:
        text = exchange.request.json()["input"]
        found = re.search(r"\d+", text)
        caller = int(found[0]) // TEXT_WORDS if found else 0
        sound = spoken_words(text)
        self.at_work[caller] += 1
        try:
            await exchange.begin(headers={"content-type": "audio/pcm"})
            for at in range(0, len(sound), _CHUNK_BYTES):
                await exchange.rest(EVERY_S)
                await exchange.give(sound[at : at + _CHUNK_BYTES])
                self.chunks[caller] += 1
            await exchange.end()
        finally:
            self.at_work[caller] -= 1
