"""Owns executions: what Bybit calls a trade, a funding payment, a liquidation, all in one kind of row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderTerms, OrderType
from quarterdeck.domain.report import ChildOpened, FillCause, Filled, FundingSettled, Liquidity, Report
from quarterdeck_exchange_bybit.codec import words
from quarterdeck_exchange_bybit.codec.listing import Listing
from quarterdeck_exchange_bybit.codec.row import Malformed, Row

#: Trades a participant made: by an order, in a block, as a leg of a spread, or moved from another account.
_TRADES = frozenset({"Trade", "BlockTrade", "FutureSpread", "MovePosition"})

#: Trades the venue made with the position, whoever held it.
_TAKEOVERS = frozenset({"BustTrade", "AdlTrade", "Delivery", "Settle", "CorporateAction"})

_FUNDING = "Funding"


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution. `link_id` is empty for what Bybit opened itself; `order_id` then says which order it was."""

    order_id: str
    link_id: str
    stop_type: str
    report: Filled | FundingSettled
    takeover: ChildOpened | None = None

    @property
    def reports(self) -> Iterator[Report]:
        """What it claims, in the order in which it has to be heard."""
        if self.takeover is not None:
            yield self.takeover
        yield self.report


def read_execution(row: Row, listing: Listing, category: str = "") -> Execution:
    """One row of the execution topic or of `/v5/execution/list`.

    Raises:
        Malformed: something is missing, or its kind is unknown: money moved in a way that has to be looked at.
    """
    kind = row.text("execType")
    instrument = listing.of(row, category)
    if kind == _FUNDING:
        return Execution("", "", "", _funding(row, instrument))
    if kind not in _TRADES and kind not in _TAKEOVERS:
        raise Malformed(f"{row.where}.execType", kind, f"one of {', '.join(sorted(_TRADES | _TAKEOVERS | {_FUNDING}))}")
    order_id, link_id = row.text("orderId"), row.text_or("orderLinkId")
    takeover = None
    cause = FillCause.ORDER
    side, time = words.side(row), row.time("execTime")
    if kind in _TAKEOVERS:
        cause = FillCause.LIQUIDATION
        link_id = link_id or f"liq-{order_id}"[:36]
        quantity = row.number_or("orderQty") or row.positive("execQty")
        terms = OrderTerms(instrument.symbol, side, OrderType.MARKET, quantity, reduce_only=True)
        takeover = ChildOpened(link_id, "", order_id, OrderRole.LIQUIDATION, terms, time)
    fill = Filled(
        link_id=link_id,
        trade_id=row.text("execId"),
        symbol=instrument.symbol,
        side=side,
        quantity=row.positive("execQty"),
        price=row.positive("execPrice"),
        fee=row.number_or("execFee") or ZERO,
        fee_currency=row.text_or("feeCurrency") or _fee_currency(instrument, side),
        liquidity=Liquidity.MAKER if row.flag("isMaker") else Liquidity.TAKER,
        time=time,
        cause=cause,
        exchange_order_id=order_id,
    )
    return Execution(order_id, link_id, row.text_or("stopOrderType"), fill, takeover)


def _fee_currency(instrument: Instrument, side: Side) -> str:
    """What a fee is taken in where the row does not say: of what was received on spot, of the margin on a contract."""
    if instrument.kind is InstrumentKind.LINEAR:
        return instrument.settle
    return instrument.base if side is Side.BUY else instrument.quote


def _funding(row: Row, instrument: Instrument) -> FundingSettled:
    """Bybit writes funding as a fee: positive is paid. The side is the one that would close the position."""
    held = row.number_or("execQty") or Decimal(0)
    return FundingSettled(
        funding_id=row.text("execId"),
        symbol=instrument.symbol,
        amount=-row.number("execFee"),
        rate=row.number_or("feeRate") or ZERO,
        position_quantity=-held * words.side(row).sign,
        time=row.time("execTime"),
    )
