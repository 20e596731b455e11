"""A trader's desk for tests: one engine, its journal, and short words for what is done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from core.tests.engine.deciders import RatioSizer, Rule, Script
from quarterdeck.domain import report as r
from quarterdeck.domain.bot import BotSpec
from quarterdeck.domain.deciders import Strategy
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import MINUTE, Candle, Side
from quarterdeck.domain.order import Order, OrderRole, OrderTerms, OrderType
from quarterdeck.domain.signal import Signal
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.effects import Effect
from quarterdeck.engine.fold import fold
from quarterdeck.engine.ids import LinkIds
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.engine.state import State

E = TypeVar("E")

BTC = Instrument(
    "btcusdt",
    "BTCUSDT",
    InstrumentKind.LINEAR,
    "BTC",
    "USDT",
    "USDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(100),
    min_notional=Decimal(5),
    taker_fee_rate=Decimal("0.00055"),
)
SPOT = replace(BTC, symbol="btcusdt-spot", kind=InstrumentKind.SPOT)
INSTRUMENTS: Mapping[str, Instrument] = {each.symbol: each for each in (BTC, SPOT)}

#: Mints the link ids of these tests.
IDS = LinkIds(b"a test's journal", 1)

#: An early morning in UTC, ten minutes past the hour.
MORNING = 1_700_010_600_000_000_000 - 1_700_010_600_000_000_000 % (60 * MINUTE) + 10 * MINUTE
MILLISECOND = 1_000_000

#: An order that rests below the market.
LIMIT: dict[str, Any] = {"type": OrderType.LIMIT, "limit_price": "49000"}


def d(text: str | int) -> Decimal:
    """A decimal, short to write."""
    return Decimal(text)


class Desk:
    """Drives a machine and keeps everything that comes out of it."""

    def __init__(
        self,
        deciders: Deciders | None = None,
        balances: Sequence[tuple[str, Decimal]] = (("USDT", Decimal(10_000)),),
        price: float = 50_000.0,
    ) -> None:
        self.sizer = RatioSizer()
        self.machine = Machine(State(), dict(INSTRUMENTS), deciders or Deciders(self.sizer, rules=[Rule()]), IDS)
        self.now = MORNING
        self.journal: list[e.Recorded] = []
        self.effects: list[Effect] = []
        self.anomalies: list[str] = []
        self.take(i.OpenAccount("paper", "USDT", tuple(balances)))
        for symbol in INSTRUMENTS:
            self.candle(price, symbol)

    @property
    def state(self) -> State:
        return self.machine.state

    # ------------------------------------------------------------ in and out

    def take(self, item: i.Input, request: i.Request = i.NO_REQUEST) -> list[e.Event]:
        """Step the machine; returns the events it recorded."""
        self.now += MILLISECOND
        turn = self.machine.step(item, self.now, request)
        if turn is None:
            return []
        self.journal += turn.events
        self.effects += turn.effects
        self.anomalies += turn.anomalies
        return [recorded.event for recorded in turn.events]

    def replayed(self) -> State:
        """The state a restart would find."""
        state = State()
        for recorded in self.journal:
            fold(state, recorded)
        return state

    def events(self, kind: type[E]) -> list[E]:
        """All recorded events of one kind."""
        return [recorded.event for recorded in self.journal if isinstance(recorded.event, kind)]

    def last(self, kind: type[E]) -> E:
        """The latest event of one kind."""
        return self.events(kind)[-1]

    def took_effects(self) -> list[Effect]:
        """The effects since this was last asked."""
        effects, self.effects = self.effects, []
        return effects

    # ------------------------------------------------------------ market, orders

    def candle(self, close: float, symbol: str = "btcusdt", interval: int = MINUTE) -> list[e.Event]:
        """A closed candle that never moved."""
        return self.take(Candle(symbol, interval, self.now - interval, close, close, close, close, 1.0))

    def submit(self, quantity: str | None = "0.1", side: Side = Side.BUY, **terms: Any) -> Order:
        """Submit an order that must be approved; a MARKET order on the perpetual unless said otherwise."""
        event = self.take(order(quantity, side, **terms))[0]
        assert isinstance(event, e.OrderPrepared), event
        return self.order(event.order_id)

    def order(self, order_id: str) -> Order:
        """An order that is in memory."""
        found = self.state.order(order_id)
        assert found is not None, order_id
        return found

    def send(self, order: Order) -> Order:
        """Let the order link send an order."""
        self.take(i.Sending(order.link_id))
        return order

    def work(self, order: Order) -> Order:
        """Send an order and have the venue work it."""
        self.send(order)
        self.take(r.Acked(order.link_id, f"x-{order.link_id}", self.now))
        self.take(r.Opened(order.link_id, f"x-{order.link_id}", self.now))
        return order

    def fill(
        self,
        order: Order,
        quantity: str | Decimal | None = None,
        price: str | int = 50_000,
        trade_id: str = "",
        fee: str = "0",
        **changes: Any,
    ) -> list[e.Event]:
        """Report a trade of an order; all that is left of it unless a quantity is given."""
        report = r.Filled(
            order.link_id,
            trade_id or f"t{len(self.journal)}",
            order.terms.symbol,
            order.terms.side,
            order.terms.quantity - order.filled_quantity if quantity is None else Decimal(quantity),
            Decimal(price),
            Decimal(fee),
            "USDT",
            r.Liquidity.TAKER,
            self.now,
        )
        return self.take(replace(report, **changes))

    def hold(self, quantity: str = "0.1", side: Side = Side.BUY, price: str | int = 50_000, **terms: Any) -> Order:
        """Enter and be filled."""
        entry = self.work(self.submit(quantity, side, **terms))
        self.fill(entry, price=price)
        return entry

    def protect(self, parent: Order, role: OrderRole = OrderRole.STOP_LOSS, quantity: str | None = None) -> Order:
        """Have the venue open what an entry carries."""
        suffix, type_, price = {
            OrderRole.STOP_LOSS: ("sl", OrderType.STOP, parent.terms.stop_loss),
            OrderRole.TAKE_PROFIT: ("tp", OrderType.TAKE_PROFIT, parent.terms.take_profit),
        }[role]
        terms = OrderTerms(
            parent.terms.symbol,
            parent.terms.side.opposite,
            type_,
            parent.terms.quantity if quantity is None else Decimal(quantity),
            trigger_price=price,
            reduce_only=True,
        )
        link = f"{parent.link_id}-{suffix}"
        self.take(r.ChildOpened(link, parent.link_id, f"x-{link}", role, terms, self.now))
        child = self.state.order_by_link(link)
        assert child is not None
        return child

    # ------------------------------------------------------------ bots

    def bot(self, bot_id: str = "sma", symbol: str = "btcusdt") -> Script:
        """Create and start a bot that does as its script says."""
        script = Script()
        self.create_bot(bot_id, symbol)
        self.start_bot(bot_id, script)
        return script

    def create_bot(self, bot_id: str, symbol: str = "btcusdt", interval: int = MINUTE) -> list[e.Event]:
        return self.take(i.CreateBot(BotSpec(bot_id, "script", symbol, interval)))

    def start_bot(self, bot_id: str, strategy: Strategy | None) -> list[e.Event]:
        return self.take(i.StartBot(bot_id, strategy))

    def wish(self, script: Script, *wishes: Signal, price: float = 50_000.0, symbol: str = "btcusdt") -> list[e.Event]:
        """Have a bot signal on the next candle."""
        script.wishes = list(wishes)
        return self.candle(price, symbol)


def lost() -> str:
    """The link id of an order of ours that the journal does not know: it was restored from an old copy."""
    terms = OrderTerms("btcusdt", Side.BUY, OrderType.MARKET, d(1))
    return IDS.mint(1_000, OrderRole.ENTRY, terms)


def names(events: list[e.Event]) -> list[str]:
    """What was recorded, by name."""
    return [type(event).__name__ for event in events]


def order(quantity: str | None = "0.1", side: Side = Side.BUY, **terms: Any) -> i.SubmitOrder:
    """A command to submit; prices may be given as text."""
    exact = {
        name: Decimal(value)
        if name.endswith("_price") or name in ("stop_loss", "take_profit", "trailing_distance")
        else value
        for name, value in terms.items()
    }
    wanted: dict[str, Any] = {"order_id": "", "symbol": "btcusdt", "type": OrderType.MARKET} | exact
    return i.SubmitOrder(side=side, quantity=None if quantity is None else Decimal(quantity), **wanted)
