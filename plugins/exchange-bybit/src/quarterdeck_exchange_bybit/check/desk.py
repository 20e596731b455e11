"""Owns what a check works with: one instrument of one account, its streams, and the orders that were placed."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderTerms, OrderType, TimeInForce
from quarterdeck.plugin import ConfigError
from quarterdeck_exchange_bybit.budget import Budget, address_at
from quarterdeck_exchange_bybit.codec.account import read_balances
from quarterdeck_exchange_bybit.codec.codes import NO_SUCH_ORDER, Verdict
from quarterdeck_exchange_bybit.codec.frames import Topic
from quarterdeck_exchange_bybit.codec.listing import LINEAR, SPOT, category_in, read_instrument, venue_symbol_of
from quarterdeck_exchange_bybit.codec.orders import create_params
from quarterdeck_exchange_bybit.codec.row import Row
from quarterdeck_exchange_bybit.credentials import load_credentials
from quarterdeck_exchange_bybit.line import Line
from quarterdeck_exchange_bybit.rest import Rest
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.settings import BybitSettings
from quarterdeck_exchange_bybit.written import Written

TOPICS = ("order", "execution", "position", "wallet")

#: Where resting orders stand, and where their triggers lie: far below the market.
FAR, FAR_TRIGGER = Decimal("0.85"), Decimal("0.9")

#: How much more than the least an order is worth, so that rounding does not make it too small.
_ROOM = Decimal("1.2")

_CLOCK_SAMPLES = 5

#: How often, a second apart, it is tried to take away what was placed.
_ATTEMPTS = 8

#: Between requests that change something: nothing here is in a hurry, and limits are not what is asked about.
_PAUSE = 0.12

_ENDED = frozenset({"Cancelled", "Rejected", "Filled", "Deactivated"})


@dataclass(frozen=True, slots=True)
class Heard:
    """One row of a private topic, and when it came, by the steady clock."""

    topic: str
    at: float
    row: Row


class Desk:
    """One account and one instrument on which nothing else goes on. The position of a pair is what was bought of it."""

    def __init__(self, settings: BybitSettings) -> None:
        self.settings = settings
        self.credentials = load_credentials(settings.credentials)
        self.clock = ServerClock()
        self.rest = Rest(settings, self.credentials, self.clock, Budget(address_at(settings.site.rest)))
        self.instrument: Instrument
        self.category = LINEAR
        self.last = Decimal(0)
        self.heard: list[Heard] = []
        self.dcp_window = 10
        """Seconds, where disconnection protection is tried."""
        self._line: Line | None = None
        self._task: asyncio.Task[None] | None = None
        self._links: set[str] = set()
        self._gone: set[str] = set()
        self._prefix = f"chk-{secrets.token_hex(4)}"
        self._has_traded = False
        self._had = Decimal(0)

    # ------------------------------------------------------------ life

    async def open(self, symbol: str) -> None:
        """See that the account can be asked and that nothing goes on in the instrument, and listen.

        Raises:
            ConfigError: something does; or the instrument can't be traded.
            Unreachable: Bybit did not answer.
        """
        for _ in range(_CLOCK_SAMPLES):
            sent = time.monotonic_ns()
            told = await self.rest.read("get_server_time")
            self.clock.sample(sent, told.integer("timeNano"), time.monotonic_ns())
        self.category = category_in(symbol)
        rows = await self.rest.pages("get_instruments_info", category=self.category, symbol=venue_symbol_of(symbol))
        read = [read_instrument(row, self.category) for row in rows]
        found = [one for one in read if one is not None and one.symbol == symbol]
        if not found:
            raise ConfigError(f"symbol: {symbol!r} is nothing that can be traded")
        self.instrument = found[0]
        self._had = await self._base() if self.is_spot else Decimal(0)
        orders = await self.open_orders()
        if orders or await self.position():
            raise ConfigError(
                f"{symbol} has {len(orders)} open orders or a position: check on an instrument that nobody trades, "
                "since the check cancels all orders in it"
            )
        (ticker,) = (await self.rest.read("get_tickers", **self.where)).rows("list")
        self.last = ticker.positive("lastPrice")
        await self.listen()

    async def close(self) -> Sequence[str]:
        """Take away what was placed; returns what could not be."""
        left: Sequence[str] = ()
        try:
            for _ in range(_ATTEMPTS):
                left = await self._remains()
                if not left:
                    break
                await asyncio.sleep(1)
            return left
        finally:
            await self.hang_up()
            self.rest.close()
        return left

    async def _remains(self) -> Sequence[str]:
        """Ask for the end of all that is still there; returns what that was."""
        told = {each.row.text_or("orderLinkId"): each.row for each in self.heard if each.topic == "order"}
        listed = {row.text_or("orderLinkId") for row in await self.open_orders()}
        ours = []
        for link in sorted(self._links - self._gone | self._links & listed):
            if link in listed or link not in told or told[link].text_or("orderStatus") not in _ENDED:
                written = await self.cancel(link)  # a list may not show yet what is there, so that is no proof
                ours.append(link)
                if written.verdict is Verdict.TAKEN or written.code in NO_SUCH_ORDER:
                    self._gone.add(link)
        held = await self.position() if self._has_traded else Decimal(0)
        if self.is_spot and held < self.instrument.min_quantity:
            held = Decimal(0)  # what fees have left of the last lot can't be sold
        if held:
            await self.trade(Side.SELL if held > 0 else Side.BUY, abs(held), reduce_only=True)
        return [f"order {link}" for link in ours] + ([f"a position of {held}"] if held else [])

    async def listen(self, *topics: str) -> bool:
        """Build the private stream; False if it did not come up."""
        up = asyncio.Event()
        wanted = (*TOPICS, *topics)
        self._line = Line(
            "check", self.settings.site.private, "private", wanted, self.clock, self._hear,
            credentials=self.credentials, up=up.set,
        )  # fmt: skip
        self._task = asyncio.create_task(self._line.run())
        try:
            async with asyncio.timeout(15):
                await up.wait()
        except TimeoutError:
            return False
        return True

    async def hang_up(self) -> None:
        """End the private stream."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def is_listening(self) -> bool:
        """Whether the private stream is up."""
        return self._line is not None and self._line.is_up

    def _hear(self, topic: Topic) -> None:
        now = time.monotonic()
        for row in topic.message.rows("data"):
            category = row.text_or("category", self.category)
            if topic.kind == "wallet" or (category, row.text_or("symbol")) == (
                self.category, self.instrument.venue_symbol,
            ):  # fmt: skip
                self.heard.append(Heard(topic.kind, now, row))

    async def told(self, topic: str, fits: Callable[[Row], bool], seconds: float = 10.0) -> Heard | None:
        """The first row of a topic that fits, as soon as it has come; None if none came."""
        end = time.monotonic() + seconds
        while True:
            found = next((each for each in self.heard if each.topic == topic and fits(each.row)), None)
            if found is not None or time.monotonic() > end:
                return found
            await asyncio.sleep(0.02)

    # ------------------------------------------------------------ asking

    @property
    def where(self) -> dict[str, str]:
        """What names the instrument in a request."""
        return {"category": self.category, "symbol": self.instrument.venue_symbol}

    @property
    def is_spot(self) -> bool:
        """Whether the instrument is a pair: there are no positions, and no protection of them."""
        return self.category == SPOT

    async def open_orders(self, **target: str) -> list[Row]:
        """What works in the instrument."""
        return await self.rest.pages("get_open_orders", **self.where, **target, openOnly=0, limit=50)

    async def position_row(self) -> Row | None:
        """The position in the instrument."""
        rows = await self.rest.pages("get_positions", **self.where)
        return rows[0] if rows else None

    async def position(self) -> Decimal:
        """Its size, with its sign."""
        if self.is_spot:
            lot = self.instrument.lot_size
            return (await self.gained() / lot).to_integral_value(ROUND_FLOOR) * lot
        row = await self.position_row()
        size = Decimal(0) if row is None else row.number_or("size") or Decimal(0)
        return -size if row is not None and row.text_or("side") == "Sell" else size

    async def gained(self) -> Decimal:
        """How much more of the base is held than at the start."""
        return await self._base() - self._had

    async def _base(self) -> Decimal:
        rows = (await self.rest.read("get_wallet_balance", accountType="UNIFIED", coin=self.instrument.base)).rows(
            "list"
        )
        return sum(
            (held for row in rows for coin, held in read_balances(row) if coin == self.instrument.base), Decimal(0)
        )

    # ------------------------------------------------------------ placing

    def price(self, part: Decimal) -> Decimal:
        """A part of the last price, on a tick."""
        tick = self.instrument.tick_size
        return (self.last * part / tick).to_integral_value(ROUND_FLOOR) * tick

    def quantity(self, price: Decimal) -> Decimal:
        """The least that can be traded at a price."""
        one = self.instrument
        lots = (one.min_notional * _ROOM / price / one.lot_size).to_integral_value(ROUND_CEILING)
        return max(one.min_quantity, lots * one.lot_size)

    def resting(self, time_in_force: TimeInForce = TimeInForce.GTC, part: Decimal = FAR) -> OrderTerms:
        """An order to buy, far below the market."""
        limit = self.price(part)
        return OrderTerms(
            self.instrument.symbol, Side.BUY, OrderType.LIMIT, self.quantity(limit), limit, time_in_force=time_in_force
        )

    def conditional(self) -> OrderTerms:
        """An order that waits for a price far below the market, to rest still further below it."""
        limit = self.price(FAR)
        return OrderTerms(
            self.instrument.symbol,
            Side.BUY,
            OrderType.TAKE_PROFIT_LIMIT,
            self.quantity(limit),
            limit,
            trigger_price=self.price(FAR_TRIGGER),
        )

    def new_link(self) -> str:
        """A name for an order that is taken away at the end."""
        link = f"{self._prefix}-{len(self._links)}"
        self._links.add(link)
        return link

    async def place(self, terms: OrderTerms, link: str) -> Written:
        """Place an order, once."""
        await asyncio.sleep(_PAUSE)
        return await self.rest.write("place_order", create_params(self.instrument, terms, link), reduces=True)

    async def trade(self, side: Side, quantity: Decimal, *, reduce_only: bool = False, link: str = "") -> Written:
        """Trade at the market; what opens a position is protected on both sides, where there are positions."""
        self._has_traded = True
        protection = (None, None) if reduce_only or self.is_spot else (self.price(FAR), self.price(2 - FAR))
        terms = OrderTerms(
            self.instrument.symbol, side, OrderType.MARKET, quantity, reduce_only=reduce_only,
            stop_loss=protection[0], take_profit=protection[1],
        )  # fmt: skip
        return await self.place(terms, link or self.new_link())

    async def cancel(self, link: str) -> Written:
        """Cancel an order."""
        await asyncio.sleep(_PAUSE)
        return await self.rest.write("cancel_order", {**self.where, "orderLinkId": link}, reduces=True)

    async def cancel_and_wait(self, link: str) -> bool:
        """Cancel an order; whether it is gone."""
        await self.cancel(link)
        for _ in range(50):
            rows = await self.open_orders(orderLinkId=link)  # asked for by name, those that have ended come too
            if all(row.text_or("orderStatus") in _ENDED for row in rows):
                return True
            await asyncio.sleep(0.1)
        return False
