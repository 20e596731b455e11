"""Owns instruments and observations on the wire."""

from __future__ import annotations

from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import Candle, OrderBook, Quote, Ticker
from quarterdeck.rpc import names
from quarterdeck.rpc.convert.values import choices, numbers, read_amount, set_span, set_time, text
from quarterdeck.v1 import instrument_pb2, market_pb2

KINDS = numbers(InstrumentKind, instrument_pb2.Instrument.Kind, "KIND")
KIND_OF = choices(KINDS)


def instrument_message(instrument: Instrument) -> instrument_pb2.Instrument:
    """One tradable thing. A limit the venue does not state is absent."""
    message = instrument_pb2.Instrument(
        name=names.instrument(instrument.symbol),
        venue_symbol=instrument.venue_symbol,
        kind=KINDS[instrument.kind],
        base=instrument.base,
        quote=instrument.quote,
        settle=instrument.settle,
    )
    message.tick_size.value = text(instrument.tick_size)
    message.lot_size.value = text(instrument.lot_size)
    message.min_quantity.value = text(instrument.min_quantity)
    if instrument.max_quantity:
        message.max_quantity.value = text(instrument.max_quantity)
    if instrument.min_notional:
        message.min_notional.value = text(instrument.min_notional)
    message.max_leverage.value = text(instrument.max_leverage)
    message.maintenance_margin_rate.value = text(instrument.maintenance_margin_rate)
    message.maker_fee_rate.value = text(instrument.maker_fee_rate)
    message.taker_fee_rate.value = text(instrument.taker_fee_rate)
    message.reduce_only = instrument.reduce_only
    return message


def read_instrument(message: instrument_pb2.Instrument) -> Instrument:
    """What `instrument_message` wrote."""
    return Instrument(
        names.symbol_of(message.name),
        message.venue_symbol,
        KIND_OF[message.kind],
        message.base,
        message.quote,
        message.settle,
        Decimal(message.tick_size.value),
        Decimal(message.lot_size.value),
        Decimal(message.min_quantity.value),
        read_amount(message.max_quantity) or ZERO,
        read_amount(message.min_notional) or ZERO,
        Decimal(message.max_leverage.value),
        Decimal(message.maintenance_margin_rate.value),
        Decimal(message.maker_fee_rate.value),
        Decimal(message.taker_fee_rate.value),
        message.reduce_only,
    )


def candle_message(candle: Candle) -> market_pb2.Candle:
    """One closed candle."""
    message = market_pb2.Candle(
        instrument=names.instrument(candle.symbol),
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        closed=True,
    )
    set_span(message.interval, candle.interval)
    set_time(message.open_time, candle.open_time)
    return message


def quote_message(quote: Quote) -> market_pb2.Quote:
    """The best prices at one moment."""
    message = market_pb2.Quote(
        instrument=names.instrument(quote.symbol),
        bid=quote.bid,
        bid_size=quote.bid_size,
        ask=quote.ask,
        ask_size=quote.ask_size,
    )
    set_time(message.quote_time, quote.time)
    return message


def order_book_message(book: OrderBook, depth: int) -> market_pb2.OrderBook:
    """The best `depth` levels of each side."""
    message = market_pb2.OrderBook(
        instrument=names.instrument(book.symbol),
        bids=[market_pb2.BookLevel(price=price, size=size) for price, size in book.bids[:depth]],
        asks=[market_pb2.BookLevel(price=price, size=size) for price, size in book.asks[:depth]],
        update_id=book.update_id,
        usable=bool(book.bids or book.asks),
    )
    set_time(message.book_time, book.time)
    return message


def ticker_message(ticker: Ticker) -> market_pb2.Ticker:
    """What the venue says besides trades; what it does not say is absent."""
    message = market_pb2.Ticker(
        instrument=names.instrument(ticker.symbol),
        last_price=ticker.last,
        mark_price=ticker.mark,
        index_price=ticker.index,
        funding_rate=ticker.funding_rate,
        open_interest=ticker.open_interest,
    )
    if ticker.next_funding_time is not None:
        set_time(message.next_funding_time, ticker.next_funding_time)
    set_time(message.ticker_time, ticker.time)
    return message
