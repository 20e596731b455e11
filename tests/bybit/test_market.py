"""The market on its way to a client: a real daemon, a simulated Bybit, and what a stream may do."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from quarterdeck.client import OrderBook, QuarterdeckError, SyncClient
from tests.bybit.conftest import Ship

Wait = Callable[..., None]


class Reader:
    """Follows the order book in a thread of its own, as a client does."""

    def __init__(self, client: SyncClient) -> None:
        self.books: list[OrderBook] = []
        self._stream = client.market.stream_order_books(["btcusdt"], depth=20)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for book in self._stream:
            self.books.append(book)

    @property
    def latest(self) -> OrderBook:
        return self.books[-1]

    def close(self) -> None:
        self._stream.close()
        self._thread.join(5)


@pytest.fixture
def client(ship: Ship) -> Iterator[SyncClient]:
    ship.start()
    with ship.client() as client:
        yield client


@pytest.fixture
def reader(client: SyncClient) -> Iterator[Reader]:
    reader = Reader(client)
    yield reader
    reader.close()


def shows(ship: Ship, book: OrderBook) -> bool:
    """Whether a book is Bybit's of this moment."""
    market = ship.simulator.markets["linear", "BTCUSDT"]
    bids, asks = ship.running.call(
        lambda: (sorted(market.bids.items(), reverse=True)[:20], sorted(market.asks.items())[:20])
    )
    levels = [[(each.price, each.size) for each in side] for side in (book.bids, book.asks)]
    return bool(book.usable) and levels == [bids, asks]


def kept(ship: Ship, source: str) -> str:
    """What `quarterdeck journal frames` shows of a source."""
    command = [str(Path(sys.executable).with_name("quarterdeck")), "journal", "frames", "--source", source]
    return subprocess.check_output([*command, "--config", "quarterdeck.toml"], cwd=ship.daemon.folder, text=True)


@pytest.mark.slow
def test_the_book_comes_through_and_survives_what_a_stream_may_do(
    ship: Ship, client: SyncClient, reader: Reader, wait: Wait
) -> None:
    wait(lambda: reader.books and shows(ship, reader.latest))
    ticker = next(client.market.stream_tickers(["btcusdt"]))
    assert ticker.mark_price == pytest.approx(50_000, rel=0.001)
    assert ticker.funding_rate == 0.0001

    # A change is lost: it is noticed, and the book is told anew on the same connection.
    market = ship.running.call(lambda: ship.simulator.markets["linear", "BTCUSDT"])
    ship.fault(match={"topic": "orderbook.50.BTCUSDT"}, do="mute", count=1)
    before = market.update_id
    ship.sizes["btcusdt"] = 7e5
    wait(lambda: market.update_id > before)
    ship.sizes["btcusdt"] = 8e5
    wait(lambda: shows(ship, reader.latest) and reader.latest.bids[0].size == 8e5)
    wait(lambda: client.system.status().quarantined_count == 1)
    finding = {each.check: each for each in client.system.diagnose().findings}["market-data"]
    assert (finding.verdict, finding.data["gap"]) == ("WARNING", "1")
    assert "does not follow" in finding.data["last"]

    wait(lambda: '"type": "delta"' in kept(ship, "orderbook.50.BTCUSDT gap"))  # as it came

    # The books go mute while everything else talks: no book, and no entry, within fifteen seconds and a little.
    began = time.monotonic()
    ship.fault(match={"topic": "orderbook"}, do="mute")
    wait(lambda: not reader.latest.usable, 16)
    assert time.monotonic() - began < 15.5
    wait(lambda: client.system.status().stale_instruments == ("instruments/btcusdt",))
    assert client.system.status().state == "SAFE"
    with pytest.raises(QuarterdeckError, match="STALE"):
        client.orders.create(instrument="btcusdt", side="BUY", type="MARKET", quantity=Decimal("0.01"))
    ship.mend()
    wait(lambda: shows(ship, reader.latest), 60)
    wait(lambda: client.system.status().state == "READY", 60)
    assert client.system.status().stale_instruments == ()
    client.orders.create(instrument="btcusdt", side="BUY", type="MARKET", quantity=Decimal("0.01"))
    wait(lambda: ship.position() == Decimal("0.01"))
