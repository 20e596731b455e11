"""Listings of several pages: all of it is read, or nothing of it is believed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from functools import partial
from threading import Thread

import pytest

from quarterdeck.client import QuarterdeckError
from tests.bybit.conftest import USER, Ship, assert_agrees, sail

Wait = Callable[..., None]

#: One more than Bybit lists at once unless it is asked for more.
SYMBOLS = tuple(f"c{number:02}usdt" for number in range(21))

OPEN = "/v5/order/realtime"
EXECUTIONS = "/v5/execution/list"


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    """While the daemon was away somebody made 21 positions with 105 trades, and 51 orders work."""
    with sail(tmp_path_factory.mktemp("ship"), SYMBOLS) as ship:
        ship.simulator.settings.largest_page = 50
        ship.start()
        ship.daemon.kill()
        account = ship.simulator.accounts[USER]
        create = ship.simulator.api.writes["/v5/order/create"]

        def by_hand() -> None:
            for symbol in SYMBOLS:
                for _ in range(5):  # many of them in the same millisecond
                    ship.simulator.trade_elsewhere(USER, symbol, "Buy", Decimal("0.01"))
            for number in range(51):
                order = {"side": "Buy", "orderType": "Limit", "qty": "0.01", "price": str(40_000 + number)}
                create(account, {"category": "linear", "symbol": SYMBOLS[number % 21].upper()} | order)

        ship.running.call(by_hand)
        assert (len(account.executions), len(account.open_orders())) == (105, 51)
        ship.start()
        yield ship


def test_everything_is_found(dirty: Ship) -> None:
    """F29: 51 orders, 21 positions and 105 executions, whatever they are cut into."""
    with dirty.client() as client:
        assert_agrees(dirty, client, 60)
        assert len([one for one in client.orders.list(open_only=True) if one.role == "EXTERNAL"]) == 51
        assert len(list(client.positions.list())) == 21
        assert len(list(client.fills.list())) == 105


def test_a_scan_that_breaks_off_is_none(dirty: Ship) -> None:
    """F29: the first page comes and a later one does not: nothing ends by it, and nothing becomes flat."""
    dirty.simulator.settings.largest_page = 10
    before = dirty.running.call(lambda: len(dirty.simulator.accounts[USER].open_orders()))
    with dirty.client() as client:
        for path in (OPEN, EXECUTIONS, "/v5/position/list"):
            dirty.fault(match={"path": path, "contains": "cursor="}, do="http", status=502)
            with pytest.raises(QuarterdeckError):
                client.system.reconcile()
            dirty.mend()
            assert len(list(client.orders.list(open_only=True))) == before
            assert len(list(client.positions.list())) == 21
        assert_agrees(dirty, client, 60)


def test_orders_that_end_during_a_scan_hide_others_and_end_none(dirty: Ship, wait: Wait) -> None:
    """F29: an order that goes moves the rest up, so that one is on neither page: it is asked about, and works on."""
    dirty.simulator.settings.largest_page = 10
    account = dirty.simulator.accounts[USER]
    with dirty.client() as client:
        dirty.fault(match={"path": OPEN, "contains": "cursor="}, do="delay_accept", ms=400, count=2)
        working = dirty.running.call(account.open_orders)
        began = dirty.simulator.faults.used
        asking = Thread(target=partial(_quietly, client.system.reconcile))
        asking.start()
        wait(lambda: dirty.simulator.faults.used > began)
        time.sleep(0.1)
        dirty.running.call(lambda: account.end(working[-1]))
        asking.join()
        assert_agrees(dirty, client, 60)
        assert len(list(client.orders.list(open_only=True))) == len(working) - 1


def _quietly(ask: Callable[[], object]) -> None:
    with suppress(QuarterdeckError):
        ask()
