"""What of a new config holds at once, and what is kept until a restart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router.settings.load import parse
from router.settings.reload import carried
from router.settings.structs import Settings

KEY = "sk-of-a-caller-0123456789"


def settings(**tables: Any) -> Settings:
    return parse(msgspec.json.encode(tables).decode(), {})


def test_all_but_the_fixed_keys_are_taken() -> None:
    before = settings(server={"port": 8080, "places": 4})
    new = settings(server={"port": 9090, "places": 5}, timeouts={"stall_s": 7})

    found, restart = carried(before, before, new)

    assert restart == ["server.port"]
    assert (found.server.port, found.server.places, found.timeouts.stall_s) == (8080, 5, 7)


def test_what_the_command_line_says_is_no_change_of_the_file() -> None:
    written = settings(server={"port": 8080})
    server = msgspec.structs.replace(written.server, port=0, host="::1")
    running = msgspec.structs.replace(written, server=server)

    found, restart = carried(running, written, settings(server={"port": 8080, "places": 5}))

    assert restart == []
    assert (found.server.host, found.server.port, found.server.places) == ("::1", 0, 5)


def test_keys_and_limits_are_taken_and_the_store_is_kept() -> None:
    before = settings(accounts={"keys": {"one": {"key": KEY}}})
    limits = {"key": {"concurrent": 2}}
    tables = {"redis": "redis://127.0.0.1/0", "keys": {}, "limits": limits, "required": False}

    found, restart = carried(before, before, settings(accounts=tables))

    assert restart == ["accounts.required", "accounts.redis"]
    assert found.accounts is not None
    assert (found.accounts.required, found.accounts.redis, found.accounts.keys) == (True, None, {})
    assert found.accounts.limits.key.concurrent == 2


@pytest.mark.parametrize(("before", "after"), [({}, {"accounts": {}}), ({"accounts": {}}, {})])
def test_a_door_with_keys_is_opened_or_closed_by_a_restart_alone(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    old = settings(**before)

    found, restart = carried(old, old, settings(**after))

    assert restart == ["accounts"]
    assert found.keyed == old.keyed


def test_keys_that_were_found_at_the_start_keep_the_door_closed() -> None:
    written = settings()
    running = msgspec.structs.replace(written, accounts=settings(accounts={}).accounts)

    found, restart = carried(running, written, settings(server={"places": 5}))

    assert (found.keyed, restart) == (True, [])
