"""Owns the compliance suite for exchanges: what the daemon relies on, whoever wrote the exchange.

A plugin's tests subclass it and build the stage: the exchange, and a way to move its market. For an exchange that is
embedded the stage is there already; for another, derive from `Stage` and move the market of its simulator.

    class TestMyExchange(ExchangeSuite):
        def stage(self):
            return EmbeddedStage(lambda: MyExchange(MySettings()))

What an exchange does not claim among its `capabilities` is skipped, by name.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from functools import wraps
from inspect import signature
from typing import ClassVar, Concatenate, ParamSpec

import pytest

from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderState, OrderType, TimeInForce
from quarterdeck.domain.report import Liquidity, Rejected
from quarterdeck.plugin import Capabilities, EmbeddedExchange, VenueAccount, VenueOrder, VenuePosition
from quarterdeck.testing.checks import money_arithmetic
from quarterdeck.testing.exchange_stage import Stage, Trader

BUY, SELL = Side.BUY, Side.SELL
MARKET, LIMIT, STOP, TRAILING = OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.TRAILING_STOP
_ENDED_UNFILLED = {OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED}
_SYMBOL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


_P = ParamSpec("_P")
_Scenario = Callable[Concatenate["ExchangeSuite", Trader, _P], Awaitable[None]]


def staged(scenario: _Scenario[_P]) -> Callable[Concatenate[ExchangeSuite, _P], None]:
    """Make a scenario with a trader a test without one: the suite builds the stage and plays it there."""

    @wraps(scenario)
    def test(self: ExchangeSuite, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        with money_arithmetic():
            asyncio.run(self.play(lambda trader: scenario(self, trader, *args, **kwargs)))

    told = signature(scenario)
    asked = [parameter for name, parameter in told.parameters.items() if name != "trader"]
    test.__signature__ = told.replace(parameters=asked)  # type: ignore[attr-defined]  # pytest reads it
    return test


class ExchangeSuite:
    """Tests for one exchange. Each test has a stage of its own, and its market begins at `price`."""

    symbol: ClassVar[str] = "btcusdt"
    """The perpetual to trade with."""
    price: ClassVar[Decimal] = Decimal(50_000)
    """Where the market begins, on the tick. The suite moves it by no more than a tenth."""
    quantity: ClassVar[Decimal] = Decimal("0.02")
    """The usual quantity of an order, on the lot. The account can carry five times as much."""
    prefix: ClassVar[str] = "suite-"
    """What the suite's link ids begin with. Change it for each run if the exchange remembers them."""

    def stage(self) -> Stage:
        """The stage for one test."""
        raise NotImplementedError("a subclass builds the stage")

    async def play(self, scenario: Callable[[Trader], Awaitable[None]]) -> None:
        """Run a scenario on a fresh stage; afterwards exchange and reports must agree and every order have ended."""
        stage = self.stage()
        exchange = stage.exchange
        listed = {instrument.symbol: instrument for instrument in await exchange.instruments()}
        assert self.symbol in listed, f"{self.symbol} is not among its instruments: {sorted(listed)}"
        balances = await exchange.balances()
        trader = Trader(stage, listed[self.symbol], balances, self.price, self.quantity, self.prefix)
        await exchange.open(trader.deliver)
        try:
            await trader.move(0)
            await scenario(trader)
            await trader.wind_up()
        finally:
            await trader.exchange.close()

    # --- what it says of itself

    @staged
    async def test_instruments_are_well_formed(self, trader: Trader) -> None:
        """Symbols are ids, filters are exact and fit each other."""
        listed = await trader.exchange.instruments()
        symbols = [instrument.symbol for instrument in listed]
        assert len(set(symbols)) == len(symbols), f"a symbol is listed twice: {sorted(symbols)}"
        for instrument in listed:
            assert _SYMBOL.fullmatch(instrument.symbol), f"{instrument.symbol!r} is not an id such as 'btcusdt-spot'"
            assert instrument.min_quantity % instrument.lot_size == 0, f"{instrument}: min_quantity is off the lot"
            assert instrument.max_leverage >= 1, f"{instrument}: max_leverage is below 1"

    @staged
    async def test_capabilities_are_stated(self, trader: Trader) -> None:
        """Market orders at least, and the same answer every time."""
        able = trader.capabilities
        assert isinstance(able, Capabilities), f"{able!r} states no capabilities"
        assert MARKET in able.order_types, "it can't even trade at the market"
        assert TimeInForce.GTC in able.times_in_force, "it can't even let an order wait"
        assert trader.exchange.capabilities == able, "asked again, it says something else"

    # --- the life of an order

    @staged
    async def test_a_market_order_is_acknowledged_and_filled(self, trader: Trader) -> None:
        """Placed, acknowledged, filled at the market it meets; position, balance and fills follow."""
        order = await trader.place(BUY)
        assert order.state is not OrderState.REJECTED, f"it was rejected: {trader.heard[-1]}"
        await trader.move(1)
        trader.price_of(order)
        trader.holds(trader.quantity)
        await trader.agree()

    @staged
    async def test_a_limit_order_waits_and_trades_at_its_price_or_better(self, trader: Trader) -> None:
        """It works until the market passes its limit."""
        trader.needs(LIMIT)
        order = await trader.place(BUY, LIMIT, limit_price=-2)
        await trader.move(0, -1)
        assert order.state is OrderState.OPEN, f"it does not work: {trader.heard_of(order.link_id)}"
        await trader.agree()
        await trader.move(-3)
        trader.traded(order, no_worse_than=trader.at(-2))

    @staged
    async def test_a_limit_order_that_crosses_trades_at_once(self, trader: Trader) -> None:
        """Never worse than its limit, and no worse than the market."""
        trader.needs(LIMIT)
        order = await trader.place(SELL, LIMIT, limit_price=-3)
        await trader.move(0)
        trader.traded(order, no_worse_than=trader.at(-3))

    @staged
    async def test_find_order_tells_what_became_of_it(self, trader: Trader) -> None:
        """Unknown ids are None; known ones have their state."""
        symbol = trader.instrument.symbol
        unknown = await trader.exchange.find_order(f"{self.prefix}nobody", symbol)
        assert unknown is None, f"it knows an order nobody placed: {unknown}"
        order = await trader.place(BUY)
        found = await trader.exchange.find_order(order.link_id, symbol)
        assert found is not None, "it does not know an order it has acknowledged"
        assert (found.link_id, found.terms) == (order.link_id, order.terms), (
            f"it found {found}, placed was {order.terms}"
        )
        await trader.move(0)
        found = await trader.exchange.find_order(order.link_id, symbol)
        assert found is not None, "it forgot an order that was just filled"
        assert found.state is OrderState.FILLED, f"it is filled, and found as {found.state}"
        assert found.filled_quantity == trader.quantity, f"found with {found.filled_quantity} filled"

    @staged
    async def test_history_is_what_the_reports_told(self, trader: Trader) -> None:
        """All that moved the account, once, oldest first, from the time that was asked for on."""
        await trader.place(BUY)
        await trader.move(0)
        await trader.place(SELL)
        await trader.move(0)
        told = trader.reader.activity
        assert told, f"nothing traded: {trader.heard}"
        for since in (told[0].time, told[-1].time):
            due = [activity for activity in told if activity.time >= since]
            listed = list(await trader.exchange.history(since))
            assert listed == due, f"history({since}) says {listed}, the reports {due}"

    @staged
    async def test_the_same_order_sent_twice_is_one(self, trader: Trader) -> None:
        """A request that is repeated because its answer was lost trades once."""
        order = await trader.place(BUY)
        await trader.repeat(order)
        await trader.move(0)
        trader.holds(trader.quantity)

    @staged
    async def test_nothing_is_delivered_once_closed(self, trader: Trader) -> None:
        """After `close` nobody is called."""
        trader.needs(LIMIT)
        await trader.place(BUY, LIMIT, limit_price=-2)
        heard = len(trader.heard)
        await trader.leave()
        await trader.move(-3)
        assert trader.heard[heard:] == [], "it delivered after it was closed"

    # --- filters

    @pytest.mark.parametrize("fault", ["lot", "least", "most", "tick", "trigger", "notional"])
    @staged
    async def test_filters_are_enforced_exactly(self, trader: Trader, fault: str) -> None:
        """An order that breaks a filter is rejected with a reason, and leaves no trace."""
        trader.needs(LIMIT, STOP)
        instrument, price = trader.instrument, trader.at(-1)
        off_tick = price + instrument.tick_size / 2
        terms = trader.terms(BUY, LIMIT, limit_price=-1)
        if fault == "lot":
            terms = replace(terms, quantity=terms.quantity + instrument.lot_size / 2)
        elif fault == "least":
            terms = replace(terms, quantity=_required(instrument.min_quantity, "min_quantity") / 2)
        elif fault == "most":
            terms = replace(terms, quantity=_required(instrument.max_quantity, "max_quantity") + instrument.lot_size)
        elif fault == "tick":
            terms = replace(terms, limit_price=off_tick)
        elif fault == "trigger":
            terms = replace(trader.terms(SELL, STOP, trigger_price=-1), trigger_price=off_tick)
        else:
            least = _required(instrument.min_notional, "min_notional") / price
            too_few = max(instrument.min_quantity, least // instrument.lot_size * instrument.lot_size)
            if too_few * price >= instrument.min_notional:
                pytest.skip("the least quantity is worth more than min_notional")
            terms = replace(terms, quantity=too_few)
        outcome = await trader.place_as(f"{self.prefix}faulty", terms)
        assert isinstance(outcome, Rejected), f"it took {terms}: {outcome}"

    @staged
    async def test_more_than_the_account_can_carry_is_rejected(self, trader: Trader) -> None:
        """The largest order there is needs more margin than a test account has."""
        trader.needs(LIMIT)
        instrument = trader.instrument
        terms = trader.terms(BUY, LIMIT, limit_price=-1, quantity=_required(instrument.max_quantity, "max_quantity"))
        outcome = await trader.place_as(f"{self.prefix}huge", terms)
        assert isinstance(outcome, Rejected), f"it took {terms}: {outcome}"

    # --- time in force

    @staged
    async def test_post_only_never_takes(self, trader: Trader) -> None:
        """It ends without trading if it would cross, and otherwise makes."""
        trader.needs(LIMIT, time_in_force=TimeInForce.POST_ONLY)
        crossing = await trader.place(BUY, LIMIT, limit_price=2, time_in_force=TimeInForce.POST_ONLY)
        resting = await trader.place(BUY, LIMIT, limit_price=-2, time_in_force=TimeInForce.POST_ONLY)
        await trader.move(-1, -3)
        assert crossing.state in _ENDED_UNFILLED, f"it crossed and is {crossing.state}"
        assert not crossing.filled_quantity, "it took"
        trader.traded(resting, no_worse_than=trader.at(-2))
        made = [fill.liquidity for fill in trader.reader.fills if fill.link_id == resting.link_id]
        assert set(made) == {Liquidity.MAKER}, f"it paid as {made}"

    @pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
    @staged
    async def test_what_must_trade_at_once_does_or_ends(self, trader: Trader, time_in_force: TimeInForce) -> None:
        """IOC and FOK never wait."""
        trader.needs(LIMIT, time_in_force=time_in_force)
        away = await trader.place(BUY, LIMIT, limit_price=-3, time_in_force=time_in_force)
        crossing = await trader.place(BUY, LIMIT, limit_price=3, time_in_force=time_in_force)
        await trader.move(0, -4)
        assert away.state in _ENDED_UNFILLED, f"it waited: {trader.heard_of(away.link_id)}"
        trader.traded(crossing, no_worse_than=trader.at(3))

    # --- reduce-only

    @staged
    async def test_reduce_only_never_opens(self, trader: Trader) -> None:
        """Without a position it does nothing."""
        order = await trader.place(SELL, reduce_only=True)
        await trader.move(0)
        assert order.state in _ENDED_UNFILLED, f"it is {order.state}"
        trader.holds(0)

    @staged
    async def test_reduce_only_never_turns_the_position(self, trader: Trader) -> None:
        """More than the position closes it and no more."""
        await trader.place(BUY)
        await trader.move(0)
        await trader.place(SELL, quantity=3 * trader.quantity, reduce_only=True)
        await trader.move(0)
        trader.holds(0)

    @staged
    async def test_reduce_only_ends_with_the_position(self, trader: Trader) -> None:
        """What nothing is left for does not wait for the next position."""
        trader.needs(LIMIT)
        await trader.place(BUY)
        await trader.move(0)
        exit_order = await trader.place(SELL, LIMIT, limit_price=2, reduce_only=True)
        await trader.place(SELL)
        await trader.move(0)
        assert exit_order.state is OrderState.CANCELED, f"it is {exit_order.state}"

    # --- triggers

    @pytest.mark.parametrize(
        ("kind", "side", "trigger"),
        [
            (OrderType.STOP, SELL, -2),
            (OrderType.STOP, BUY, 2),
            (OrderType.TAKE_PROFIT, BUY, -2),
            (OrderType.TAKE_PROFIT, SELL, 2),
        ],
    )
    @staged
    async def test_a_trigger_starts_a_market_order(
        self, trader: Trader, kind: OrderType, side: Side, trigger: int
    ) -> None:
        """Nothing before the trigger; then reported as triggered, and filled."""
        trader.needs(kind)
        order = await trader.place(side, kind, trigger_price=trigger)
        await trader.move(trigger / 2)
        assert order.state is OrderState.OPEN, f"it is {order.state} before its trigger"
        assert not order.triggered, "it was triggered by half of the way"
        await trader.move(trigger * 1.5)
        trader.price_of(order)

    @pytest.mark.parametrize("kind", [OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT])
    @staged
    async def test_a_trigger_starts_a_limit_order(self, trader: Trader, kind: OrderType) -> None:
        """Triggered and not marketable, it waits at its limit."""
        trader.needs(kind)
        trigger = -2 if kind is OrderType.STOP_LIMIT else 2
        order = await trader.place(SELL, kind, trigger_price=trigger, limit_price=4)
        await trader.move(trigger / 2)
        assert not order.triggered, "it was triggered by half of the way"
        await trader.move(trigger * 1.5)
        assert order.triggered, "it was not triggered"
        assert order.state is OrderState.OPEN, f"it is {order.state}"
        await trader.move(5)
        trader.traded(order, no_worse_than=trader.at(4))

    @staged
    async def test_a_trailing_stop_follows_the_market(self, trader: Trader) -> None:
        """It starts when the price has come back by its distance from the best one seen."""
        trader.needs(TRAILING)
        distance = trader.at(2) - trader.at(0)
        reduces = TRAILING in trader.capabilities.reducing_types
        if reduces:
            await trader.place(BUY)
            await trader.move(0)
        order = await trader.place(SELL, TRAILING, trailing_distance=distance, reduce_only=reduces)
        await trader.move(-1, 3, 2)
        assert not order.triggered, "it was triggered before the price came back by its distance"
        await trader.move(0.5)
        trader.price_of(order)

    # --- attached protection

    @staged
    async def test_protection_is_there_with_the_fill(self, trader: Trader) -> None:
        """The entry's fill is followed by its stop-loss and take-profit, reduce-only and of the filled quantity."""
        trader.needs(MARKET, protection=True)
        entry = await trader.place(BUY, stop_loss=-3, take_profit=3)
        await trader.move(0)
        children = [order for order in trader.reader.orders.values() if order.parent_id == entry.link_id]
        roles = {child.role: child.terms.trigger_price for child in children}
        due = {OrderRole.STOP_LOSS: trader.at(-3), OrderRole.TAKE_PROFIT: trader.at(3)}
        assert roles == due, f"the children that were reported are {roles}"
        quantities = {child.terms.quantity for child in children}
        assert quantities == {trader.quantity}, f"they cover {quantities}, filled was {trader.quantity}"

    @pytest.mark.parametrize("percent", [-4, 4])
    @pytest.mark.parametrize("side", [BUY, SELL])
    @staged
    async def test_one_side_of_protection_ends_the_other(self, trader: Trader, side: Side, percent: int) -> None:
        """Whichever is reached first closes the position; nothing is left behind."""
        trader.needs(MARKET, protection=True)
        sign = side.sign
        await trader.place(side, stop_loss=-3 * sign, take_profit=3 * sign)
        await trader.move(0, percent)
        trader.holds(0)
        assert not any(order.is_open for order in trader.reader.orders.values()), "protection is left behind"

    @staged
    async def test_protection_ends_with_the_position(self, trader: Trader) -> None:
        """Closed by hand, nothing is left behind."""
        trader.needs(MARKET, protection=True)
        await trader.place(BUY, stop_loss=-3, take_profit=3)
        await trader.move(0)
        await trader.place(SELL, reduce_only=True)
        await trader.move(0)
        assert not any(order.is_open for order in trader.reader.orders.values()), "protection is left behind"

    # --- cancel and amend

    @staged
    async def test_a_cancelled_order_does_not_trade(self, trader: Trader) -> None:
        """Cancelled in time, it is reported cancelled and never filled."""
        trader.needs(LIMIT)
        order = await trader.place(BUY, LIMIT, limit_price=-2)
        await trader.move(0)
        await trader.cancel(order.link_id)
        await trader.move(-3)
        assert order.state is OrderState.CANCELED, f"it is {order.state}"
        assert not order.filled_quantity, "it traded"

    @staged
    async def test_cancelled_together_those_end_that_are_named(self, trader: Trader) -> None:
        """Of what rests in a book, as long as that is not to be empty; what waits for a trigger stays either way."""
        trader.needs(LIMIT, STOP, protection=True)
        await trader.place(BUY, stop_loss=-6)
        await trader.move(0)
        stop = await trader.place(SELL, STOP, trigger_price=-5, reduce_only=True)
        orders = [await trader.place(BUY, LIMIT, limit_price=-at) for at in (1, 2, 3, 4)]
        await trader.move(0)
        await trader.cancel_many(*orders[:2], empties=False)
        assert [each.is_open for each in orders] == [False, False, True, True], "two of four were to end"
        await trader.cancel_many(*orders[2:], empties=True)
        assert {each.state for each in orders} == {OrderState.CANCELED}, "all were to end"
        children = [each for each in trader.reader.orders.values() if each.parent_id and each.is_open]
        assert stop.is_open and children, "a stop was taken off"  # noqa: PT018 - either is one

    @staged
    async def test_a_cancel_that_comes_too_late_is_rejected(self, trader: Trader) -> None:
        """So is the cancel of an order nobody knows."""
        order = await trader.place(BUY)
        await trader.move(0)
        await trader.cancel(order.link_id)
        trader.heard_last(order.link_id, "CancelRejected")
        await trader.cancel(f"{self.prefix}nobody")
        trader.heard_last(f"{self.prefix}nobody", "CancelRejected")

    @staged
    async def test_an_amended_order_trades_on_its_new_terms(self, trader: Trader) -> None:
        """Price and quantity change in place."""
        trader.needs(LIMIT, amend=True)
        order = await trader.place(BUY, LIMIT, limit_price=-5)
        await trader.amend(order.link_id, limit_price=trader.at(-2), quantity=2 * trader.quantity)
        await trader.move(-1)
        trader.heard_last(order.link_id, "Amended")
        await trader.move(-3)
        trader.traded(order, no_worse_than=trader.at(-2))
        trader.holds(2 * trader.quantity)

    @staged
    async def test_an_amendment_that_can_not_be_is_rejected(self, trader: Trader) -> None:
        """Off the tick, of an order that has ended, or of one nobody knows: nothing changes."""
        trader.needs(LIMIT, amend=True)
        order = await trader.place(BUY, LIMIT, limit_price=-2)
        await trader.move(0)
        await trader.amend(order.link_id, limit_price=trader.at(-2) + trader.instrument.tick_size / 2)
        trader.heard_last(order.link_id, "AmendRejected")
        await trader.cancel(order.link_id)
        await trader.amend(order.link_id, quantity=2 * trader.quantity)
        trader.heard_last(order.link_id, "AmendRejected")
        await trader.amend(f"{self.prefix}nobody", quantity=trader.quantity)
        trader.heard_last(f"{self.prefix}nobody", "AmendRejected")

    @staged
    async def test_a_partial_close_shrinks_what_only_reduces(self, trader: Trader) -> None:
        """A stop of the whole position is not more than what is left of it."""
        trader.needs(STOP)
        await trader.place(BUY, quantity=2 * trader.quantity)
        await trader.move(0)
        stop = await trader.place(SELL, STOP, trigger_price=-3, quantity=2 * trader.quantity, reduce_only=True)
        await trader.place(SELL)
        await trader.move(0, -4)
        assert stop.filled_quantity == trader.quantity, f"of what was left, it traded {stop.filled_quantity}"
        trader.holds(0)

    # --- embedded exchanges

    @staged
    async def test_a_restored_exchange_goes_on(self, trader: Trader) -> None:
        """Given the account its reports add up to, a new instance holds the same and goes on trading."""
        trader.needs(LIMIT, STOP, protection=True)
        heir = trader.stage.another()
        if heir is None:
            pytest.skip("the exchange is not embedded")
        await trader.place(BUY, stop_loss=-3, take_profit=3)
        await trader.place(BUY, LIMIT, limit_price=-2)
        await trader.move(0, 0.5)
        assert isinstance(trader.exchange, EmbeddedExchange), "it can be restored, but does not see the market"
        heir.restore(_account_of(trader))
        await trader.hand_over(heir)
        await trader.agree()
        await trader.move(-2.5)
        trader.holds(2 * trader.quantity)
        await trader.move(-4)
        trader.holds(trader.quantity)


def _required(value: Decimal, name: str) -> Decimal:
    if not value:
        pytest.skip(f"the instrument states no {name}")
    return value


def _account_of(trader: Trader) -> VenueAccount:
    """The account as the reports tell it, which is what a journal would give back."""
    reader = trader.reader
    return VenueAccount(
        balances={currency: reader.ledger.wallet(currency) for currency in reader.ledger.totals},
        positions=[
            VenuePosition(symbol, position.quantity, position.cost / position.quantity)
            for symbol, position in reader.positions.items()
            if position.quantity
        ],
        orders=[
            VenueOrder(
                link_id, order.exchange_order_id, order.terms, order.state, order.filled_quantity, order.parent_id
            )
            for link_id, order in reader.orders.items()
            if order.is_open
        ],
        next_trade_number=len(reader.fills) + 1,
    )
