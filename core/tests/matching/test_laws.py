"""What holds for every history of a venue."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given

from core.tests.matching.scenarios import INSTRUMENTS, Run, Step, histories
from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import InstrumentKind
from quarterdeck.domain.order import OrderState, OrderType
from quarterdeck.domain.report import BalanceChanged, FillCause
from quarterdeck.matching import Venue, VenueSettings

History = tuple[VenueSettings, Sequence[Step]]

_OPEN = {OrderState.ACKED, OrderState.OPEN, OrderState.PARTIALLY_FILLED}
_KIND = {instrument.symbol: instrument.kind for instrument in INSTRUMENTS}


@given(histories)
def test_money_is_conserved_and_reports_tell_the_whole_story(history: History) -> None:
    """The reader checks each report against the table of moves and the terms; its books then equal the venue's."""
    settings, steps = history
    run = Run(settings).take(steps, _books_agree)
    for currency in run.reader.ledger.totals:
        assert run.reader.ledger.balance(currency) == 0


def _books_agree(run: Run) -> None:
    venue, reader = run.venue, run.reader
    for currency, balance in venue.balances().items():
        assert balance == reader.ledger.wallet(currency)
    held = {position.symbol: (position.quantity, position.cost) for position in venue.positions()}
    assert held == {symbol: (p.quantity, p.cost) for symbol, p in reader.positions.items() if p.quantity}
    told = {
        link_id: (order.terms, order.state, order.filled_quantity)
        for link_id, order in reader.orders.items()
        if order.is_open
    }
    assert told == {shown.link_id: (shown.terms, shown.state, shown.filled_quantity) for shown in venue.open_orders()}


@given(histories)
def test_the_same_history_is_told_the_same_way(history: History) -> None:
    settings, steps = history
    assert Run(settings).take(steps).reports == Run(settings).take(steps).reports


@given(histories)
def test_sleeping_through_quiet_events_changes_nothing(history: History) -> None:
    settings, steps = history
    asleep, awake = Run(settings), Run(settings)
    asleep.take(steps)
    awake.take(steps, _wake)
    assert asleep.reports == awake.reports


def _wake(run: Run) -> None:
    for book in run.venue._books.values():
        book.wake_time = 0


@given(histories)
def test_a_restored_venue_goes_on_as_if_nothing_had_happened(history: History) -> None:
    settings, steps = history
    whole, broken = Run(settings), Run(settings)
    whole.take(steps)
    broken.take(steps, _restart)
    assert broken.reports == whole.reports


def _restart(run: Run) -> None:
    snapshot = run.venue.snapshot()
    run.venue = Venue(INSTRUMENTS, {}, run.settings)
    assert run.venue.restore(snapshot) == []
    assert run.venue.snapshot() == snapshot


@given(histories)
def test_what_may_only_reduce_is_never_more_than_the_position(history: History) -> None:
    settings, steps = history
    Run(settings).take(steps, _reduce_only_fits)


def _reduce_only_fits(run: Run) -> None:
    for shown in run.venue.open_orders():
        if shown.terms.reduce_only:
            closable = -shown.terms.side.sign * run.reader.quantity(shown.terms.symbol)
            arrived = shown.has_arrived
            assert not arrived or shown.terms.quantity - shown.filled_quantity <= closable


@given(histories)
def test_a_stop_never_trades_better_than_its_trigger(history: History) -> None:
    """Inside a candle it trades at the trigger, after a gap beyond it; only a want of volume makes it wait for more."""
    settings, steps = history
    if settings.participation is not None:
        return
    run = Run(settings).take(steps)
    for fill in run.reader.fills:
        terms = run.reader.orders[fill.link_id].terms
        if terms.type is OrderType.STOP and terms.trigger_price is not None:
            assert (fill.price - terms.trigger_price) * fill.side.sign >= 0


@given(histories)
def test_nobody_owes_the_venue_anything(history: History) -> None:
    """Spot balances never go below zero; after a liquidation nothing is held and the wallet is not below zero."""
    settings, steps = history
    run = Run(settings).take(steps)
    assert run.venue.balances().get("BTC", ZERO) >= 0
    last = run.reports[-1] if run.reports else None
    if isinstance(last, BalanceChanged):
        assert run.venue.balances()["USDT"] == 0
    liquidated = [fill for fill in run.reader.fills if fill.cause is FillCause.LIQUIDATION]
    if liquidated and liquidated[-1] is last:
        assert run.venue.balances()["USDT"] >= 0
        held = [position.symbol for position in run.venue.positions()]
        assert all(_KIND[symbol] is InstrumentKind.SPOT for symbol in held)


@given(histories)
def test_what_is_reserved_is_what_working_orders_need(history: History) -> None:
    settings, steps = history
    Run(settings).take(steps, _reserves_add_up)


def _reserves_add_up(run: Run) -> None:
    for book in run.venue._books.values():
        buys = sum((order.reserved for order in book.orders.values() if order.is_buy), ZERO)
        sells = sum((order.reserved for order in book.orders.values() if not order.is_buy), ZERO)
        assert (book.buys_reserved, book.sells_reserved) == (buys, sells)
        waiting = len(book.falling._rungs) + len(book.rising._rungs) + len(book.fresh)
        assert waiting == sum(order.has_arrived for order in book.orders.values())
        assert not book.starved
