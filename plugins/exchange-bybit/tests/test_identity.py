"""Whose account it is: told from the key at once, from Bybit's own word later, and never by showing the key."""

from __future__ import annotations

from quarterdeck.plugin import Identified
from quarterdeck_bybit_simulator.fixtures import API_KEY
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_exchange_bybit import BybitExchange, BybitSettings


async def test_two_with_one_account_have_an_identity_in_common(
    running: RunningSimulator, settings: BybitSettings
) -> None:
    first, second = BybitExchange(settings), BybitExchange(settings)
    assert isinstance(first, Identified)
    assert set(first.identities) == set(second.identities)
    assert len(first.identities) == 1
    await first.instruments()
    key, account = first.identities
    user = next(iter(running.simulator.accounts))
    assert account == f"account {user} at {running.server.rest_url}"
    assert key in second.identities
    assert API_KEY not in f"{key}{account}"
    for each in (first, second):
        await each.close()
