"""MarketDataService and SystemService: what can be traded, what the market does, how the daemon is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from core.tests.rpc.calls import failure
from core.tests.rpc.deck import START, FakeDeck
from quarterdeck.domain.market import HOUR, MINUTE, Candle, OrderBook, Quote, Ticker
from quarterdeck.v1.instrument_pb2 import Instrument
from quarterdeck.v1.market_data_service_pb2 import (
    GetInstrumentRequest,
    ListCandlesRequest,
    ListInstrumentsRequest,
    StreamCandlesRequest,
    StreamOrderBooksRequest,
    StreamQuotesRequest,
    StreamTickersRequest,
)
from quarterdeck.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from quarterdeck.v1.mode_pb2 import MODE_DEMO
from quarterdeck.v1.system_pb2 import Plugin, Status
from quarterdeck.v1.system_service_pb2 import GetStatusRequest, ListPluginsRequest
from quarterdeck.v1.system_service_pb2_grpc import SystemServiceStub

FIRST = START // HOUR * HOUR


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[MarketDataServiceStub]:
    return MarketDataServiceStub


def candle(number: int, symbol: str = "btcusdt", interval: int = MINUTE) -> Candle:
    return Candle(symbol, interval, FIRST + number * interval, 1.0, 2.0, 0.5, 1.5, float(number))


def quote(number: int, symbol: str = "btcusdt") -> Quote:
    return Quote(symbol, START + number, 100.0 + number, 1.0, 101.0 + number, 2.0)


def at(number: int) -> Timestamp:
    moment = Timestamp()
    moment.FromNanoseconds(FIRST + number * MINUTE)
    return moment


@pytest.fixture(scope="module", autouse=True)
def _seen(deck: FakeDeck, do: Callable[..., Any]) -> None:
    for number in range(10):
        do(deck.market_data.see, candle(number))
    do(deck.market_data.see, candle(0, "ethusdt", HOUR))


def test_an_instrument_is_told_with_its_filters(grpc_stub: MarketDataServiceStub) -> None:
    found = grpc_stub.GetInstrument(GetInstrumentRequest(name="instruments/btcusdt")).instrument
    assert (found.venue_symbol, found.kind, found.settle) == ("BTCUSDT", Instrument.KIND_LINEAR, "USDT")
    assert (found.tick_size.value, found.lot_size.value, found.taker_fee_rate.value) == ("0.1", "0.001", "0.00055")
    assert (found.max_quantity.value, found.min_notional.value) == ("1190", "5")
    listed = grpc_stub.ListInstruments(ListInstrumentsRequest())
    assert [each.name for each in listed.instruments] == ["instruments/btcusdt", "instruments/ethusdt"]


def test_candles_are_listed_oldest_first(grpc_stub: MarketDataServiceStub) -> None:
    ask = ListCandlesRequest(
        instrument="instruments/btcusdt", interval=Duration(seconds=60), start_time=at(2), end_time=at(9), page_size=3
    )
    volumes, tokens = [], 0
    while True:
        page = grpc_stub.ListCandles(ask)
        volumes += [each.volume for each in page.candles]
        assert all(each.closed for each in page.candles)
        if not page.next_page_token:
            break
        ask.page_token = page.next_page_token
        tokens += 1
    assert (volumes, tokens) == ([2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 2)


def test_candles_nobody_follows_are_none(grpc_stub: MarketDataServiceStub) -> None:
    ask = ListCandlesRequest(instrument="instruments/btcusdt", interval=Duration(seconds=7))
    assert not grpc_stub.ListCandles(ask).candles


def test_an_unknown_instrument_is_named(grpc_stub: MarketDataServiceStub) -> None:
    name = "instruments/nothing"
    calls: list[tuple[Callable[..., Any], Any]] = [
        (grpc_stub.GetInstrument, GetInstrumentRequest(name=name)),
        (grpc_stub.ListCandles, ListCandlesRequest(instrument=name, interval=Duration(seconds=60))),
        (grpc_stub.StreamQuotes, StreamQuotesRequest(instruments=[name])),
        (grpc_stub.StreamCandles, StreamCandlesRequest(instruments=[name])),
        (grpc_stub.StreamOrderBooks, StreamOrderBooksRequest(instruments=[name])),
        (grpc_stub.StreamTickers, StreamTickersRequest(instruments=[name])),
    ]
    for method, request in calls:
        found = failure(method, request)
        assert (found.code, found.reason, found.metadata) == ("NOT_FOUND", "INSTRUMENT_NOT_FOUND", {"name": name})


def test_quotes_come_as_they_are_now_and_then_as_they_change(
    grpc_stub: MarketDataServiceStub, deck: FakeDeck, do: Callable[..., Any]
) -> None:
    do(deck.market_data.see, quote(1))
    do(deck.market_data.see, quote(1, "ethusdt"))
    call = grpc_stub.StreamQuotes(StreamQuotesRequest(), timeout=10)
    assert {next(call).quote.instrument, next(call).quote.instrument} == {"instruments/btcusdt", "instruments/ethusdt"}

    def hurry() -> None:
        for number in range(2, 500):
            deck.market_data.see(quote(number))

    do(hurry)
    latest = next(call).quote
    assert (latest.bid, latest.quote_time.ToNanoseconds()) == (599.0, START + 499)  # the newest, and it alone
    do(deck.market_data.see, quote(2, "ethusdt"))
    assert next(call).quote.instrument == "instruments/ethusdt"
    call.cancel()


def book(number: int, levels: int = 20) -> OrderBook:
    bids = tuple((100.0 - at, number + 1.0) for at in range(levels))
    return OrderBook("btcusdt", START + number, bids, tuple((price + levels + 1, size) for price, size in bids), number)


def test_order_books_come_whole_and_only_the_newest(
    grpc_stub: MarketDataServiceStub, deck: FakeDeck, do: Callable[..., Any]
) -> None:
    do(deck.market_data.see, book(1))
    call = grpc_stub.StreamOrderBooks(StreamOrderBooksRequest(depth=3), timeout=10)
    first = next(call).order_book
    assert ([each.price for each in first.bids], len(first.asks)) == ([100.0, 99.0, 98.0], 3)
    assert (first.instrument, first.update_id, first.usable) == ("instruments/btcusdt", 1, True)

    def hurry() -> None:
        for number in range(2, 500):
            deck.market_data.see(book(number))

    do(hurry)
    latest = next(call).order_book
    assert (latest.update_id, latest.bids[0].size, latest.book_time.ToNanoseconds()) == (499, 500.0, START + 499)
    do(deck.market_data.see, OrderBook("btcusdt", START + 500, (), ()))
    gone = next(call).order_book
    assert (gone.usable, len(gone.bids), len(gone.asks)) == (False, 0, 0)
    call.cancel()
    do(deck.market_data.see, book(501, 2_000))
    for asked, given in ((0, 10), (5_000, 1_000)):
        call = grpc_stub.StreamOrderBooks(StreamOrderBooksRequest(depth=asked), timeout=10)
        assert len(next(call).order_book.bids) == given
        call.cancel()


def test_a_ticker_says_what_the_venue_says(
    grpc_stub: MarketDataServiceStub, deck: FakeDeck, do: Callable[..., Any]
) -> None:
    do(deck.market_data.see, Ticker("btcusdt", START, mark=100.5, funding_rate=-0.0001, next_funding_time=FIRST))
    call = grpc_stub.StreamTickers(StreamTickersRequest(), timeout=10)
    ticker = next(call).ticker
    call.cancel()
    assert (ticker.mark_price, ticker.funding_rate) == (100.5, -0.0001)
    assert ticker.next_funding_time.ToNanoseconds() == FIRST
    assert not ticker.HasField("index_price")
    assert not ticker.HasField("open_interest")


def test_candles_stream_by_instrument_and_interval(
    grpc_stub: MarketDataServiceStub, deck: FakeDeck, do: Callable[..., Any]
) -> None:
    every = grpc_stub.StreamCandles(StreamCandlesRequest(), timeout=10)
    assert {each.candle.instrument for each in islice(every, 2)} == {"instruments/btcusdt", "instruments/ethusdt"}
    every.cancel()
    call = grpc_stub.StreamCandles(
        StreamCandlesRequest(instruments=["instruments/btcusdt"], interval=Duration(seconds=60)), timeout=10
    )
    assert next(call).candle.volume == 9.0
    do(deck.market_data.see, candle(1, "ethusdt", HOUR))
    do(deck.market_data.see, replace(candle(10), volume=77.0))
    assert next(call).candle.volume == 77.0
    call.cancel()


def test_the_daemon_tells_how_it_is_even_while_it_writes(
    grpc_channel: grpc.Channel, deck: FakeDeck, do: Callable[..., Any]
) -> None:
    do(deck.hold)
    try:
        status = SystemServiceStub(grpc_channel).GetStatus(GetStatusRequest(), timeout=5).status
    finally:
        do(deck.release)
    assert (status.mode, status.state, list(status.reasons)) == (MODE_DEMO, Status.STATE_SAFE, ["the feed is silent"])
    assert (status.journal_id, status.head_sequence) == (deck.journal_id, deck.events.head)
    assert status.market_data_age.ToSeconds() == 300
    assert not status.HasField("exchange_age")


def test_plugins_are_listed_by_kind_and_name(grpc_channel: grpc.Channel) -> None:
    stub = SystemServiceStub(grpc_channel)
    assert [plugin.name for plugin in stub.ListPlugins(ListPluginsRequest()).plugins] == ["paper", "sma-cross"]
    strategies = stub.ListPlugins(ListPluginsRequest(kind=Plugin.KIND_STRATEGY)).plugins
    assert [(plugin.name, plugin.enabled) for plugin in strategies] == [("sma-cross", True)]
