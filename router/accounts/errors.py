"""What the accounts refuse."""

from __future__ import annotations

from router.accounts.price import credits_of
from router.contract.errors import OutOfCredit


class NotEnough(OutOfCredit):
    """The balance does not cover what has to be set aside; nothing was taken."""

    def __init__(self, *, required_nano: int, balance_nano: int) -> None:
        required, there = credits_of(required_nano), credits_of(balance_nano)
        super().__init__(f"This request needs up to {required} credits; {there} are left.")
        self.required_nano = required_nano
        self.balance_nano = balance_nano


class AccountError(Exception):
    """The message is for whoever looks after the keys."""


class UnknownKey(AccountError):
    """No key has this id."""


class UnknownAccount(AccountError):
    """The key is not metered: it has no account."""


class KeyOfConfig(AccountError):
    """The key is the config's, and is changed there."""
