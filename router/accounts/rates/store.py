"""What every store of rates promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol

import msgspec

from router.accounts.rates.limits import Demand
from router.accounts.rates.verdict import Granted, Verdict
from router.contract.errors import Overloaded

OnLoss = Literal["closed", "open"]
"""Without the shared store: nobody passes, or each process limits by itself. With `open` a limit
holds as often as there are processes."""


class StoreState(msgspec.Struct, frozen=True):
    """How the store is, for readiness and metrics."""

    store: Literal["memory", "redis"]
    on_loss: OnLoss = "closed"
    is_lost: bool = False
    losses: int = 0
    """How often it was lost."""

    @property
    def is_serving(self) -> bool:
        """Whether requests can pass at all."""
        return not self.is_lost or self.on_loss == "open"


class RatesLost(Overloaded):
    """The shared store cannot be asked, and without it nobody passes: a 503."""

    reason: ClassVar[str] = "rates_lost"

    def __init__(self) -> None:
        super().__init__("Rate limits cannot be checked at the moment.", retry_after=1.0)


class Rates(Protocol):
    """Counts, and says who may pass. Each call is one atomic step over all that it names."""

    @property
    def state(self) -> StoreState: ...

    async def take(self, demands: Sequence[Demand]) -> Verdict:
        """All of the demands, or nothing. It waits no longer than the store's bound, and who
        leaves meanwhile has taken nothing.

        Raises:
            RatesLost: the shared store is lost, and the config says `closed`.
        """
        ...

    async def give(self, granted: Granted) -> None:
        """The speech is over: its slots are free. It never fails, and twice is harmless."""
        ...

    async def refund(self, granted: Granted) -> None:
        """As if it had never been taken, instead of `give`: for a request that another check
        refused."""
        ...

    async def adjust(self, granted: Granted, demand: Demand, amount: int) -> None:
        """What was taken for this demand of the grant, of a day's limit, turned out to be `amount`:
        less, or more than there was. A day that is over stays as it is, and so does a demand of
        nothing. Once for each demand."""
        ...
