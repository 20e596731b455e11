"""Owns real journals for tests: what an engine records while chance trades on it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random

from core.tests.engine.desk import MILLISECOND, Desk, order
from quarterdeck.daemon.journal import Entry, Journal
from quarterdeck.domain import report as r
from quarterdeck.domain.errors import QuarterdeckError
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import Order, OrderRole, OrderState, OrderType
from quarterdeck.engine import inputs as i
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.fold import fold
from quarterdeck.engine.state import State
from quarterdeck.rpc.convert.envelope import decode, encode, event_type


class Chance:
    """Trades at random on a desk: every kind of order, report and notice that a venue could send for it."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.desk = Desk()
        self.desk.bot()
        self._reports = 0
        self._moves = {
            self._submit: 40,
            self._submit_protected: 20,
            self._report: 160,
            self._signal: 10,
            self._cancel: 10,
            self._amend: 10,
            self._fund: 5,
            self._deposit: 5,
            self._tick: 10,
            self._halt: 1,
        }

    def trade(self, events: int) -> Sequence[Recorded]:
        """Make moves until the journal has so many events."""
        journal = self.desk.journal
        while len(journal) < events:
            try:
                self._random.choices(list(self._moves), list(self._moves.values()))[0]()
            except QuarterdeckError:
                continue  # refused: nothing was recorded
        return journal[:events]

    def _submit(self) -> None:
        side = self._random.choice(list(Side))
        quantity = f"0.{self._random.randint(1, 9):03}"
        symbol = self._random.choice(["btcusdt", "btcusdt", "btcusdt-spot"])
        if self._random.random() < 0.2:
            self.desk.now -= MILLISECOND  # at the moment of the event before
        if self._random.random() < 0.5:
            self._take(order(quantity, side, symbol=symbol))
        else:
            self._take(order(quantity, side, symbol=symbol, type=OrderType.LIMIT, limit_price="49000.5"))

    def _submit_protected(self) -> None:
        self._take(order("0.002", Side.BUY, stop_loss="48000.1", take_profit="52000"))

    def _take(self, item: i.Input) -> None:
        self._reports += 1
        self.desk.take(item, i.Request(f"request-{self._reports}", f"digest-{self._reports}"))

    def _signal(self) -> None:
        self.desk.candle(self._random.uniform(45_000, 55_000))

    def _any_order(self) -> Order | None:
        waiting = list(self.desk.state.open_orders.values())
        return self._random.choice(waiting) if waiting else None

    def _report(self) -> None:
        found = self._any_order()
        if found is None:
            return
        link, now, desk = found.link_id, self.desk.now, self.desk
        if found.state is OrderState.PREPARED:
            desk.take(i.Sending(link) if self._random.random() < 0.9 else r.NotSent(link, "no line", now))
            return
        kind = self._random.randrange(12)
        if found.state is OrderState.SENT:
            answers: list[r.Report] = [
                r.Unknown(link, "timeout", now),
                r.Rejected(link, "margin", now),
                r.Absent(link, "searched", now),
            ]
            if kind < len(answers):
                desk.take(answers[kind])
            else:
                desk.work(found)
        elif kind == 0:
            desk.take(r.Canceled(link, "asked", now))
        elif kind < 6:
            self._fill(found)

    def _fill(self, found: Order) -> None:
        left = found.terms.quantity - found.filled_quantity
        part = left if self._random.random() < 0.5 else max(Decimal("0.001"), (left / 2).quantize(Decimal("0.001")))
        price = Decimal(self._random.randint(480_000, 520_000)) / 10
        self.desk.fill(found, part, str(price), fee="0.0123")
        if found.terms.stop_loss is not None:
            self.desk.protect(found, self._random.choice([OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT]))

    def _cancel(self) -> None:
        found = self._any_order()
        if found is not None:
            self._take(i.CancelOrder(found.order_id))

    def _amend(self) -> None:
        found = self._any_order()
        if found is not None:
            self._take(i.AmendOrder(found.order_id, limit_price=Decimal("48999.9")))
            self.desk.take(r.Amended(found.link_id, self.desk.now, limit_price=Decimal("48999.9")))

    def _fund(self) -> None:
        self._reports += 1
        paid, rate, held = Decimal("-0.05"), Decimal("0.0001"), Decimal("0.01")
        self.desk.take(r.FundingSettled(f"f{self._reports}", "btcusdt", paid, rate, held, self.desk.now))

    def _deposit(self) -> None:
        self.desk.take(r.BalanceChanged(f"c{self._reports}", "USDT", Decimal("12.34"), "deposit", self.desk.now))

    def _tick(self) -> None:
        self.desk.now += self._random.choice([10**9, 600 * 10**9, 7_200 * 10**9])
        self.desk.take(i.Timer.TICK)

    def _halt(self) -> None:
        self._take(i.EngageKillSwitch("chance"))
        self._take(i.ReleaseKillSwitch("chance"))


def entries_of(events: Sequence[Recorded]) -> list[Entry]:
    """Events as the daemon writes them."""
    return [Entry(one.sequence, one.time, event_type(one.event), encode(one, "main")) for one in events]


def fold_entry(state: State, entry: Entry) -> Recorded:
    """How the daemon reads them back."""
    recorded = decode(entry.body)
    fold(state, recorded)
    return recorded


def write(journal: Journal, events: Sequence[Recorded]) -> None:
    """Make events durable."""
    journal.append_threadsafe(entries_of(events)).result()
