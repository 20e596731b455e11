"""Owns questions about the market."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quarterdeck.client.calls import Feed, Pages, Stream, Unary, resource, resources
from quarterdeck.client.convert import Interval, Moment, interval_of, moment
from quarterdeck.client.names import instrument_name
from quarterdeck.client.resources import Candle, Instrument, OrderBook, Quote, Ticker
from quarterdeck.client.rpc import Group, L, rpc
from quarterdeck.v1 import market_data_service_pb2 as pb


class Market(Group[L]):
    """What can be traded, and what the market does.

    The streams are for looking: they are conflated and lossy, and nothing is sent again after a reconnect.
    """

    @rpc
    def instrument(self, instrument: str) -> Unary[Instrument]:
        """One instrument."""
        return Unary(
            pb.GetInstrumentRequest(name=instrument_name(instrument), account=self.chosen),
            resource(Instrument, "instrument"),
        )

    @rpc
    def instruments(self) -> Pages[Instrument]:
        """All instruments, by name."""
        return Pages(pb.ListInstrumentsRequest(account=self.chosen), resources(Instrument, "instruments"))

    @rpc
    def candles(
        self,
        instrument: str,
        interval: Interval,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
    ) -> Pages[Candle]:
        """Closed candles the daemon still remembers that open in `[start, end)`, oldest first; at most `limit`."""
        request = pb.ListCandlesRequest(
            instrument=instrument_name(instrument),
            interval=interval_of(interval),
            start_time=moment(start),
            end_time=moment(end),
            account=self.chosen,
        )
        return Pages(request, resources(Candle, "candles"), limit)

    @rpc
    def stream_quotes(self, instruments: Iterable[str] = ()) -> Stream[Quote]:
        """The newest quote of each of these instruments (of all, if none is named), and then its changes."""
        request = pb.StreamQuotesRequest(instruments=_names(instruments), account=self.chosen)
        return Feed(request, resource(Quote, "quote"))

    @rpc
    def stream_candles(self, instruments: Iterable[str] = (), interval: Interval | None = None) -> Stream[Candle]:
        """Candles as they grow and close, of these instruments and this interval; of all that is not named."""
        request = pb.StreamCandlesRequest(
            instruments=_names(instruments),
            interval=interval_of(interval),
            account=self.chosen,
        )
        return Feed(request, resource(Candle, "candle"))

    @rpc
    def stream_order_books(self, instruments: Iterable[str] = (), depth: int = 10) -> Stream[OrderBook]:
        """The order book of each of these instruments (of all, if none is named), whole, and again as it changes.

        At most `depth` levels of each side. One that is not `usable` takes the place of all that was told before.
        """
        request = pb.StreamOrderBooksRequest(instruments=_names(instruments), depth=depth, account=self.chosen)
        return Feed(request, resource(OrderBook, "order_book"))

    @rpc
    def stream_tickers(self, instruments: Iterable[str] = ()) -> Stream[Ticker]:
        """The newest ticker of each of these instruments (of all, if none is named), and then its changes."""
        request = pb.StreamTickersRequest(instruments=_names(instruments), account=self.chosen)
        return Feed(request, resource(Ticker, "ticker"))


def _names(instruments: Iterable[str]) -> Sequence[str]:
    return [instrument_name(each) for each in instruments]
