"""Owns instruments and observations on the wire."""

from __future__ import annotations

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import Candle, Quote
from quarterdeck.rpc import names
from quarterdeck.rpc.convert.values import numbers, set_span, set_time, text
from quarterdeck.v1 import instrument_pb2, market_pb2

KINDS = numbers(InstrumentKind, instrument_pb2.Instrument.Kind, "KIND")


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
    return message


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
