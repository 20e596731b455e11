"""Owns a small daemon for the servicers: the real engine, a journal in a list, and a market moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

from core.tests.engine.desk import IDS
from quarterdeck.domain import report as r
from quarterdeck.domain.deciders import AccountView
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import MINUTE, SECOND, Candle, OrderBook, Quote, Ticker
from quarterdeck.domain.order import Order
from quarterdeck.domain.risk import LimitStatus, OrderDraft, Refused
from quarterdeck.domain.signal import Holding, Signal
from quarterdeck.domain.sizing import RiskRatio, Sized, SizingRequest, SizingStep
from quarterdeck.engine.checks import Finding, Verdict
from quarterdeck.engine.events import Event, OrderFilled, Recorded
from quarterdeck.engine.inputs import NO_REQUEST, Command, Input, OpenAccount, Request, Sending, StartBot, SubmitOrder
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.pipeline import Deciders, Evaluation, evaluate
from quarterdeck.engine.state import State
from quarterdeck.engine.view import View
from quarterdeck.rpc.convert.envelope import decode, encode, event_type
from quarterdeck.rpc.facade import DaemonState, DaemonStatus, PluginInfo, Reconciled
from quarterdeck.testing.views import BTCUSDT

START = 1_700_000_000 * SECOND
ETHUSDT = replace(BTCUSDT, symbol="ethusdt", venue_symbol="ETHUSDT", base="ETH")
BTC_PRICE = 50_000.0
ETH_PRICE = 2_500.0


class TwoPercent:
    """Risks two percent, whatever the account."""

    def risk_ratio(self, basis: Decimal) -> RiskRatio:
        ratio = Decimal("0.02")
        return RiskRatio(ratio, "small", (SizingStep("two percent", basis, ratio * basis, (("ratio", ratio),)),))

    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        risk = Decimal("0.02") * request.basis
        quantity = risk / abs(request.entry_price - request.stop_price)
        return Sized(quantity, risk, Decimal("0.02"), "small", (SizingStep("size", risk, quantity),))


class Ceiling:
    """Refuses orders worth more than 20 000."""

    name = "ceiling"
    limit = Decimal(20_000)

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        return Refused("ceiling", "TOO_LARGE", self.limit, draft.notional) if draft.notional > self.limit else None

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        return (LimitStatus("ceiling", "max_notional", self.limit, view.exposure_notional),)


class Silent:
    """A strategy that never wants anything."""

    warmup = 0

    def on_candle(self, candle: Candle, holding: Holding) -> Sequence[Signal]:
        return ()


class Entry(NamedTuple):
    sequence: int
    time: int
    type: str
    body: bytes


class Fill(NamedTuple):
    sequence: int
    time: int
    event: OrderFilled


T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    rows: Sequence[T]
    sequence: int


class FakeLog:
    """A journal in memory that keeps only its newest `kept` events at hand, and forgets what is before `oldest`."""

    def __init__(self, kept: int = 100) -> None:
        self.entries: list[Entry] = []
        self.oldest = 1
        self.kept = kept
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def head(self) -> int:
        return len(self.entries)

    def hash_at(self, sequence: int) -> bytes:
        return b"h" * 32 if sequence == self.head else b""

    def append(self, entries: Sequence[Entry]) -> None:
        self.entries += entries
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def recent(self, after: int) -> Sequence[Entry] | None:
        behind = self.head - after
        if behind <= 0:
            return ()
        return None if behind > self.kept else self.entries[-behind:]

    async def read(self, after: int, limit: int) -> Sequence[Entry]:
        await asyncio.sleep(0)
        start = max(after, self.oldest - 1)
        return self.entries[start : start + limit]

    async def wait_beyond(self, sequence: int) -> None:
        while self.head <= sequence:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter


class FakeMarket:
    """What the market shows, set by hand."""

    def __init__(self) -> None:
        self.version = 0
        self.quotes: dict[str, Quote] = {}
        self.books: dict[str, OrderBook] = {}
        self.tickers: dict[str, Ticker] = {}
        self.series_of: dict[tuple[str, int], list[Candle]] = {}
        self._waiters: list[asyncio.Future[None]] = []

    def see(self, event: Quote | Candle | OrderBook | Ticker) -> None:
        if isinstance(event, Quote):
            self.quotes[event.symbol] = event
        elif isinstance(event, OrderBook):
            self.books[event.symbol] = event
        elif isinstance(event, Ticker):
            self.tickers[event.symbol] = event
        else:
            self.series_of.setdefault((event.symbol, event.interval), []).append(event)
        self.version += 1
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self, since: int) -> int:
        while self.version <= since:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return self.version

    def series(self) -> Collection[tuple[str, int]]:
        return self.series_of.keys()

    def candles(self, symbol: str, interval: int) -> Sequence[Candle]:
        return self.series_of.get((symbol, interval), ())

    def latest_candle(self, symbol: str, interval: int) -> Candle | None:
        found = self.candles(symbol, interval)
        return found[-1] if found else None

    def quote(self, symbol: str) -> Quote | None:
        return self.quotes.get(symbol)

    def order_book(self, symbol: str) -> OrderBook | None:
        return self.books.get(symbol)

    def ticker(self, symbol: str) -> Ticker | None:
        return self.tickers.get(symbol)


@dataclass
class FakeHistory:
    """What the tables beside a journal would answer."""

    deck: FakeDeck

    async def order(self, order_id: str) -> Order | None:
        return self.deck.archive.get(order_id)

    async def orders(
        self, limit: int, before: tuple[int, str] | None, *, symbol: str | None, bot_id: str | None
    ) -> Page[Order]:
        state = self.deck.state
        known = self.deck.archive | state.closed_orders | state.open_orders
        found = sorted(known.values(), key=lambda order: (order.create_time, order.order_id), reverse=True)
        wanted = [
            order
            for order in found
            if (before is None or (order.create_time, order.order_id) < before)
            and symbol in (None, order.terms.symbol)
            and bot_id in (None, order.bot_id)
        ]
        return Page(wanted[:limit], state.sequence)

    async def fills(
        self, limit: int, before: int | None, *, order_id: str | None, symbol: str | None, bot_id: str | None
    ) -> Page[Fill]:
        found = []
        for entry in reversed(self.deck.events.entries):
            recorded = decode(entry.body)
            event = recorded.event
            if not isinstance(event, OrderFilled) or (before is not None and entry.sequence >= before):
                continue
            about = (order_id, event.order_id), (symbol, event.symbol), (bot_id, event.bot_id)
            if all(wanted in (None, given) for wanted, given in about):
                found.append(Fill(recorded.sequence, recorded.time, event))
        return Page(found[:limit], self.deck.state.sequence)


@dataclass
class FakeDeck:
    """A daemon without a venue: what a venue would say is told to it by hand. Each input takes a second."""

    account_id: str = "main"
    journal_id: str = "6a5c2c1e-0000-4000-8000-000000000001"
    instruments: dict[str, Instrument] = field(
        default_factory=lambda: {"btcusdt": BTCUSDT, "ethusdt": ETHUSDT},
    )
    failure: Exception | None = None
    """Raised by every command and by the status, if set."""

    def __post_init__(self) -> None:
        self.deciders = Deciders(sizer=TwoPercent(), rules=(Ceiling(),))
        self.machine = Machine(State(), self.instruments, self.deciders, IDS)
        self.events = FakeLog()
        self.market_data = FakeMarket()
        self.history = FakeHistory(self)
        self.archive: dict[str, Order] = {}
        self.time = START
        self.confirmed = {"USDT": START}
        self._held: asyncio.Event | None = None
        self.step(OpenAccount("demo", "USDT", (("USDT", Decimal(10_000)),)))
        self.step(Quote("btcusdt", START, BTC_PRICE, 1.0, BTC_PRICE, 1.0))
        self.step(Quote("ethusdt", START, ETH_PRICE, 1.0, ETH_PRICE, 1.0))

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def view(self) -> View:
        return self.machine.view

    # ------------------------------------------------------------ what tests do to it

    def step(self, item: Input, request: Request = NO_REQUEST) -> list[Recorded]:
        self.time += SECOND
        turn = self.machine.step(item, self.time, request)
        events = turn.events if turn else []
        self.events.append([_entry(recorded, self.account_id) for recorded in events])
        return events

    def record(self, event: Event) -> Recorded:
        """Write an event that changes nothing, as if the engine had."""
        recorded = Recorded(self.events.head + 1, self.time, event)
        self.events.append([_entry(recorded, self.account_id)])
        self.state.sequence = recorded.sequence
        return recorded

    def fill(self, order_id: str, price: str, quantity: str | None = None) -> None:
        """Have the venue take an order in and trade it."""
        order = self.state.open_orders[order_id]
        link, terms = order.link_id, order.terms
        self.step(Sending(link))
        self.step(r.Opened(link, f"x-{order_id}", self.time))
        amount = Decimal(quantity) if quantity else terms.quantity
        fee = amount * Decimal(price) * Decimal("0.00055")
        trade = f"t-{self.events.head}"
        self.step(
            r.Filled(
                link, trade, terms.symbol, terms.side, amount, Decimal(price), fee, "USDT", r.Liquidity.TAKER, self.time
            )
        )

    def hold(self) -> None:
        """Pretend that a commit is under way."""
        self._held = asyncio.Event()

    def release(self) -> None:
        """The commit is done."""
        if self._held is not None:
            self._held.set()
            self._held = None

    # ------------------------------------------------------------ what servicers ask of it

    @property
    def is_settled(self) -> bool:
        return self._held is None

    async def settled(self) -> int:
        while self._held is not None:
            await self._held.wait()
        return self.state.sequence

    async def submit(self, command: Command, request: Request) -> Recorded | None:
        if self.failure is not None:
            raise self.failure
        done = self.machine.seen(request)
        if done is not None:
            return decode(self.events.entries[done - 1].body)
        events = self.step(command, request)
        await asyncio.sleep(0)
        return events[0] if events else None

    async def start_bot(self, bot_id: str, request: Request) -> Recorded | None:
        return await self.submit(StartBot(bot_id, Silent()), request)

    def evaluate(self, order: SubmitOrder, basis: Decimal | None = None) -> Evaluation:
        return evaluate(order, self.view, self.deciders, basis)

    def risk_ratio(self, basis: Decimal) -> RiskRatio:
        return self.deciders.sizer.risk_ratio(basis)

    def limits(self) -> Sequence[LimitStatus]:
        return (LimitStatus("core", "max_leverage", Decimal(20), None), *Ceiling().limits(self.view))

    def status(self) -> DaemonStatus:
        if self.failure is not None:
            raise self.failure
        return DaemonStatus(
            "demo",
            DaemonState.SAFE,
            ("the feed is silent",),
            "0.1.0",
            START,
            self.time,
            "paper",
            "synthetic",
            5 * MINUTE,
            None,
            reconcile_age=MINUTE,
            unknown_order_count=1,
            unknown_orders=("lost",),
            unprotected_positions=("btcusdt",),
            loop_lag=SECOND // 1000,
            queue_depth=2,
            journal_bytes=4096,
            wal_bytes=512,
            head_hash="ab12",
            kept_sequence=1,
            unclean_start=True,
            stale_instruments=("ethusdt",),
            quarantined_count=3,
            settle="USDT",
            journal_id=self.journal_id,
            head=self.events.head,
            balances_age=5 * SECOND,
            exchange_remarks=("the trade socket is down",),
        )

    async def reconcile(self) -> Reconciled:
        await asyncio.sleep(0)
        return Reconciled(("position btcusdt: 1 here, 2 at the venue",), 3, 2, 1, 0, 4, 6, self.time, 5 * SECOND)

    async def diagnose(self, *, full: bool) -> Sequence[Finding]:
        await asyncio.sleep(0)
        depth = "everything" if full else "a part"
        return (
            Finding("ledger", ("I04",), Verdict.OK, "adds up", {"currencies": "1"}, 5 * SECOND),
            Finding("replay", ("I06", "I25"), Verdict.FAILED, f"{depth} was folded"),
        )

    def plugins(self) -> Sequence[PluginInfo]:
        return (
            PluginInfo("strategy", "sma-cross", "quarterdeck-strategy-sma-cross", "0.1.0", "Crosses.", enabled=True),
            PluginInfo("exchange", "paper", "quarterdeck-exchange-paper", "0.1.0", "Simulates.", enabled=True),
        )


def _entry(recorded: Recorded, account: str) -> Entry:
    return Entry(recorded.sequence, recorded.time, event_type(recorded.event), encode(recorded, account))
