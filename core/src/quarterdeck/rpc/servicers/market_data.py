"""Owns MarketDataService: what can be traded, and what the market does.

The streams are conflated: a reader gets the newest state, at most every `pace` seconds, and never what it missed. They
share nothing with the stream of events: no queue, no order, no limit but the number of streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from typing_extensions import override

from quarterdeck.domain.errors import NotFound
from quarterdeck.domain.market import Candle, OrderBook
from quarterdeck.rpc import names, pages
from quarterdeck.rpc.convert.market import (
    candle_message,
    instrument_message,
    order_book_message,
    quote_message,
    ticker_message,
)
from quarterdeck.rpc.convert.values import span_of, time_of
from quarterdeck.rpc.facade import Deck
from quarterdeck.rpc.servicers.base import Context, Servicer
from quarterdeck.rpc.stall import Stall
from quarterdeck.v1.market_data_service_pb2 import (
    GetInstrumentRequest,
    GetInstrumentResponse,
    ListCandlesRequest,
    ListCandlesResponse,
    ListInstrumentsRequest,
    ListInstrumentsResponse,
    StreamCandlesRequest,
    StreamCandlesResponse,
    StreamOrderBooksRequest,
    StreamOrderBooksResponse,
    StreamQuotesRequest,
    StreamQuotesResponse,
    StreamTickersRequest,
    StreamTickersResponse,
)
from quarterdeck.v1.market_data_service_pb2_grpc import MarketDataServiceServicer

T = TypeVar("T")
_Response = StreamQuotesResponse | StreamCandlesResponse | StreamOrderBooksResponse | StreamTickersResponse

#: Levels of each side of an order book, unless asked for others, and at most.
DEFAULT_DEPTH, LARGEST_DEPTH = 10, 1000


class MarketDataServicer(Servicer, MarketDataServiceServicer):
    """Instruments, candles, quotes, order books and tickers."""

    def __init__(self, deck: Deck, listings: pages.Listings, pace: float, patience: float) -> None:
        super().__init__(deck)
        self._listings = listings
        self._pace = pace
        self._patience = patience

    @override
    async def GetInstrument(self, request: GetInstrumentRequest, context: Context) -> GetInstrumentResponse:
        symbol = self._known(request.name)
        sequence = await self._settled()
        message = instrument_message(self._deck.instruments[symbol])
        return GetInstrumentResponse(instrument=message, snapshot_sequence=sequence)

    @override
    async def ListInstruments(self, request: ListInstrumentsRequest, context: Context) -> ListInstrumentsResponse:
        sequence = await self._settled()
        page = self._listings.page(
            request,
            sequence,
            lambda: [instrument_message(each) for _, each in sorted(self._deck.instruments.items())],
        )
        return ListInstrumentsResponse(
            instruments=page.items, next_page_token=page.next_page_token, snapshot_sequence=page.snapshot_sequence
        )

    @override
    async def ListCandles(self, request: ListCandlesRequest, context: Context) -> ListCandlesResponse:
        symbol = self._known(request.instrument)
        sequence = await self._settled()
        token = pages.read_token(request)
        start = time_of(request.start_time) if request.HasField("start_time") else None
        if token is not None:
            start, sequence = token.number, token.sequence
        end = time_of(request.end_time) if request.HasField("end_time") else None
        found = [
            candle
            for candle in self._deck.market_data.candles(symbol, span_of(request.interval))
            if (start is None or candle.open_time >= start) and (end is None or candle.open_time < end)
        ]
        size = pages.size_of(request)
        more = ""
        if len(found) > size:
            more = pages.make_token(request, pages.Token(sequence, str(found[size].open_time)))
        return ListCandlesResponse(
            candles=[candle_message(candle) for candle in found[:size]],
            next_page_token=more,
            snapshot_sequence=sequence,
        )

    @override
    async def StreamQuotes(  # type: ignore[override]  # it writes to the context itself
        self, request: StreamQuotesRequest, context: Context
    ) -> None:
        await self._latest(
            context,
            request.instruments,
            self._deck.market_data.quote,
            lambda quote: StreamQuotesResponse(quote=quote_message(quote)),
        )

    @override
    async def StreamTickers(  # type: ignore[override]  # it writes to the context itself
        self, request: StreamTickersRequest, context: Context
    ) -> None:
        await self._latest(
            context,
            request.instruments,
            self._deck.market_data.ticker,
            lambda ticker: StreamTickersResponse(ticker=ticker_message(ticker)),
        )

    @override
    async def StreamOrderBooks(  # type: ignore[override]  # it writes to the context itself
        self, request: StreamOrderBooksRequest, context: Context
    ) -> None:
        depth = min(request.depth or DEFAULT_DEPTH, LARGEST_DEPTH)

        def message(book: OrderBook) -> StreamOrderBooksResponse:
            return StreamOrderBooksResponse(order_book=order_book_message(book, depth))

        await self._latest(context, request.instruments, self._deck.market_data.order_book, message)

    async def _latest(
        self,
        context: Context,
        instruments: Sequence[str],
        read: Callable[[str], T | None],
        message: Callable[[T], _Response],
    ) -> None:
        """Write what is newest of each instrument, and again when it is another."""
        symbols = self._followed(instruments)
        seen: dict[str, T] = {}
        market = self._deck.market_data
        with Stall(self._patience) as stall:
            while True:
                version = market.version
                for symbol in symbols:
                    found = read(symbol)
                    if found is not None and found != seen.get(symbol):
                        seen[symbol] = found
                        await _write(context, message(found), stall)
                await self._next(version)

    @override
    async def StreamCandles(  # type: ignore[override]  # it writes to the context itself
        self, request: StreamCandlesRequest, context: Context
    ) -> None:
        symbols = frozenset(self._followed(request.instruments))
        interval = span_of(request.interval) if request.HasField("interval") else None
        seen: dict[tuple[str, int], Candle] = {}
        market = self._deck.market_data
        with Stall(self._patience) as stall:
            while True:
                version = market.version
                for series in sorted(market.series()):
                    if series[0] not in symbols or interval not in (None, series[1]):
                        continue
                    candle = market.latest_candle(*series)
                    if candle is not None and candle is not seen.get(series):
                        seen[series] = candle
                        await _write(context, StreamCandlesResponse(candle=candle_message(candle)), stall)
                await self._next(version)

    async def _next(self, version: int) -> None:
        """Wait for a change, and for the pace: however fast the market is, watching it costs the same."""
        await asyncio.sleep(self._pace)
        await self._deck.market_data.changed(version)

    def _followed(self, instruments: Sequence[str]) -> Sequence[str]:
        if not instruments:
            return sorted(self._deck.instruments)
        return [self._known(name) for name in instruments]

    def _known(self, name: str) -> str:
        symbol = names.symbol_of(name)
        if symbol not in self._deck.instruments:
            raise NotFound("instrument", name)
        return symbol


async def _write(context: Context, message: _Response, stall: Stall) -> None:
    stall.is_writing = True
    await context.write(message)
    stall.written += 1
    stall.is_writing = False
