"""Each guard of the suite is shown an exchange that breaks what it guards."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from core.tests.testing.guards import guards_of
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import IllegalTransition, OrderState, OrderTerms, OrderType, TimeInForce
from quarterdeck.domain.report import (
    Acked,
    Amended,
    AmendRejected,
    Canceled,
    CancelRejected,
    Filled,
    Liquidity,
    Opened,
    Outcome,
    Rejected,
    Report,
)
from quarterdeck.plugin import (
    Activity,
    AmendOrder,
    CancelOrder,
    Capabilities,
    Deliver,
    PlaceOrder,
    VenueAccount,
    VenueOrder,
    VenuePosition,
)
from quarterdeck.testing.exchange_stage import EmbeddedStage
from quarterdeck.testing.exchange_suite import ExchangeSuite
from quarterdeck_exchange_paper import PaperExchange, PaperSettings


class Honest(PaperExchange):
    def __init__(self) -> None:
        super().__init__(PaperSettings())


class Changes(Honest):
    """Changes what is asked of it before it takes it in."""

    def asked(self, terms: OrderTerms) -> OrderTerms:
        return terms

    async def place(self, order: PlaceOrder) -> Outcome:
        return await super().place(PlaceOrder(order.link_id, self.asked(order.terms)))

    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        return None


class Lies(Honest):
    """Changes what it reports."""

    def told(self, report: Report) -> Report | None:
        return report

    async def open(self, deliver: Deliver) -> None:
        def tell(report: Report) -> None:
            told = self.told(report)
            if told is not None:
                deliver(told)

        await super().open(tell)


class ListsTwice(Honest):
    async def instruments(self) -> Sequence[Instrument]:
        return [*await super().instruments()] * 2


class OffTheLot(Honest):
    async def instruments(self) -> Sequence[Instrument]:
        return [replace(one, min_quantity=one.lot_size / 2) for one in await super().instruments()]


class OnlyLimits(Honest):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(order_types=frozenset({OrderType.LIMIT}))


class RejectsMarketOrders(Honest):
    async def place(self, order: PlaceOrder) -> Outcome:
        if order.terms.type is OrderType.MARKET:
            return Rejected(order.link_id, "NO", 0)
        return await super().place(order)


class KeepsFillsToItself(Lies):
    def told(self, report: Report) -> Report | None:
        return None if isinstance(report, Filled) else report


class ForgetsFills(Honest):
    async def fills(self, link_id: str, symbol: str) -> Sequence[Filled]:
        return []


class ForgetsHistory(Honest):
    async def history(self, since: int) -> Sequence[Activity]:
        return []


class IgnoresSince(Honest):
    async def history(self, since: int) -> Sequence[Activity]:
        return await super().history(0)


class InventsBalances(Honest):
    async def balances(self) -> Mapping[str, Decimal]:
        return {name: amount * (1 + len(await self.positions())) for name, amount in (await super().balances()).items()}


class InventsPositions(Honest):
    async def positions(self) -> Sequence[VenuePosition]:
        return [VenuePosition("btcusdt", Decimal(1), Decimal(1))]


class HidesOpenOrders(Honest):
    async def open_orders(self) -> Sequence[VenueOrder]:
        return []


class WorseThanTheLimit(Lies):
    def told(self, report: Report) -> Report | None:
        return replace(report, price=report.price + report.side.sign * 5_000) if isinstance(report, Filled) else report


class NeverFills(Lies):
    def told(self, report: Report) -> Report | None:
        return None if isinstance(report, Filled | Canceled) else report


class KnowsEverybody(Honest):
    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        terms = OrderTerms(symbol, Side.BUY, OrderType.MARKET, Decimal(1))
        return VenueOrder(link_id, "", terms, OrderState.OPEN, Decimal(0))


class KnowsNobody(Honest):
    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        return None


class TakesRepeatsAsNew(Honest):
    async def place(self, order: PlaceOrder) -> Outcome:
        known = await super().find_order(order.link_id, order.terms.symbol)
        if known is None:
            return await super().place(order)
        outcome = await super().place(PlaceOrder(f"{order.link_id}-again", order.terms))
        return replace(outcome, link_id=order.link_id)


class TalksWhenClosed(Honest):
    async def close(self) -> None:
        pass


class TakesAnything(Honest):
    """Acknowledges what it ought to reject."""

    async def place(self, order: PlaceOrder) -> Outcome:
        return Acked(order.link_id, "x", 0)


class IgnoresPostOnly(Changes):
    def asked(self, terms: OrderTerms) -> OrderTerms:
        return replace(terms, time_in_force=TimeInForce.GTC)


class ChargesPostOnlyAsTaker(Lies):
    def told(self, report: Report) -> Report | None:
        return replace(report, liquidity=Liquidity.TAKER) if isinstance(report, Filled) else report


class IgnoresReduceOnly(Changes):
    def asked(self, terms: OrderTerms) -> OrderTerms:
        return replace(terms, reduce_only=False)


class TriggersAtOnce(Changes):
    def asked(self, terms: OrderTerms) -> OrderTerms:
        if terms.trigger_price is None and terms.trailing_distance is None:
            return terms
        kind = OrderType.MARKET if terms.limit_price is None else OrderType.LIMIT
        return replace(terms, type=kind, trigger_price=None, trailing_distance=None)


class IgnoresProtection(Changes):
    def asked(self, terms: OrderTerms) -> OrderTerms:
        return replace(terms, stop_loss=None, take_profit=None)


class SweepsAlways(Honest):
    """Takes off all that rests, whether or not something was to stay."""

    stops = False

    async def cancel_many(self, orders: Sequence[CancelOrder], emptied: Collection[str]) -> Sequence[CancelOrder]:
        for each in await self.open_orders():
            if self.stops or each.terms.trigger_price is None:
                await self.cancel(CancelOrder(each.link_id, each.terms.symbol))
        return []


class SweepsStops(SweepsAlways):
    """Takes off what waits for its trigger, too."""

    stops = True

    async def cancel_many(self, orders: Sequence[CancelOrder], emptied: Collection[str]) -> Sequence[CancelOrder]:
        if emptied:
            return await super().cancel_many(orders, emptied)
        for each in orders:
            await self.cancel(each)
        return []


class IgnoresCancels(Honest):
    async def cancel(self, order: CancelOrder) -> None:
        pass


class AcceptsEveryCancel(Lies):
    def told(self, report: Report) -> Report | None:
        return Canceled(report.link_id, "OK", 0) if isinstance(report, CancelRejected) else report


class IgnoresAmendments(Honest):
    async def amend(self, order: AmendOrder) -> None:
        pass


class AcceptsEveryAmendment(Lies):
    def told(self, report: Report) -> Report | None:
        return Amended(report.link_id, 0, quantity=Decimal(1)) if isinstance(report, AmendRejected) else report


class NeverShrinks(Lies):
    def told(self, report: Report) -> Report | None:
        return None if isinstance(report, Amended) else report


class RestoresNothing(Honest):
    def restore(self, account: VenueAccount) -> None:
        pass


class OpensTwice(Lies):
    """Says that an order works after it has ended."""

    def told(self, report: Report) -> Report | None:
        return Opened(report.link_id, "x", 0) if isinstance(report, Canceled) else report


BROKEN: dict[str, list[type[Honest]]] = {
    "test_instruments_are_well_formed": [ListsTwice, OffTheLot],
    "test_capabilities_are_stated": [OnlyLimits],
    "test_a_market_order_is_acknowledged_and_filled": [
        RejectsMarketOrders,
        KeepsFillsToItself,
        ForgetsFills,
        InventsBalances,
        InventsPositions,
    ],
    "test_a_limit_order_waits_and_trades_at_its_price_or_better": [HidesOpenOrders, WorseThanTheLimit, NeverFills],
    "test_a_limit_order_that_crosses_trades_at_once": [WorseThanTheLimit, NeverFills],
    "test_find_order_tells_what_became_of_it": [KnowsNobody, KnowsEverybody],
    "test_history_is_what_the_reports_told": [ForgetsHistory, IgnoresSince],
    "test_the_same_order_sent_twice_is_one": [TakesRepeatsAsNew],
    "test_nothing_is_delivered_once_closed": [TalksWhenClosed],
    "test_filters_are_enforced_exactly": [TakesAnything],
    "test_more_than_the_account_can_carry_is_rejected": [TakesAnything],
    "test_post_only_never_takes": [IgnoresPostOnly, ChargesPostOnlyAsTaker],
    "test_what_must_trade_at_once_does_or_ends": [IgnoresPostOnly],
    "test_reduce_only_never_opens": [IgnoresReduceOnly],
    "test_reduce_only_never_turns_the_position": [IgnoresReduceOnly],
    "test_reduce_only_ends_with_the_position": [IgnoresReduceOnly],
    "test_a_trigger_starts_a_market_order": [TriggersAtOnce, NeverFills],
    "test_a_trigger_starts_a_limit_order": [TriggersAtOnce],
    "test_a_trailing_stop_follows_the_market": [TriggersAtOnce],
    "test_protection_is_there_with_the_fill": [IgnoresProtection],
    "test_one_side_of_protection_ends_the_other": [IgnoresProtection, NeverFills],
    "test_protection_ends_with_the_position": [NeverFills],
    "test_a_cancelled_order_does_not_trade": [IgnoresCancels, OpensTwice],
    "test_cancelled_together_those_end_that_are_named": [IgnoresCancels, SweepsAlways, SweepsStops],
    "test_a_cancel_that_comes_too_late_is_rejected": [IgnoresCancels, AcceptsEveryCancel],
    "test_an_amended_order_trades_on_its_new_terms": [IgnoresAmendments],
    "test_an_amendment_that_can_not_be_is_rejected": [IgnoresAmendments, AcceptsEveryAmendment],
    "test_a_partial_close_shrinks_what_only_reduces": [IgnoresReduceOnly, NeverShrinks],
    "test_a_restored_exchange_goes_on": [RestoresNothing],
}


def _suite(exchange: type[Honest]) -> ExchangeSuite:
    class Suite(ExchangeSuite):
        def stage(self) -> EmbeddedStage:
            return EmbeddedStage(exchange)

    return Suite()


def _run(suite: ExchangeSuite, guard: str) -> None:
    """Run a guard with the first of each of its parameters."""
    test = getattr(suite, guard)
    first = {}
    for mark in getattr(test, "pytestmark", ()):
        names, values = mark.args
        if isinstance(names, str):
            first[names] = values[0]
        else:
            first |= dict(zip(names, values[0], strict=True))
    assert set(inspect.signature(test).parameters) == set(first)
    test(**first)


@pytest.mark.parametrize("guard", guards_of(ExchangeSuite))
def test_every_guard_lets_an_honest_exchange_pass(guard: str) -> None:
    _run(_suite(Honest), guard)


@pytest.mark.parametrize(
    ("guard", "exchange"), [(guard, exchange) for guard, exchanges in BROKEN.items() for exchange in exchanges]
)
def test_a_guard_stops_what_it_guards(guard: str, exchange: type[Honest]) -> None:
    with pytest.raises((AssertionError, IllegalTransition), match=r"\w"):
        _run(_suite(exchange), guard)


def test_every_guard_is_shown_something() -> None:
    assert BROKEN.keys() == set(guards_of(ExchangeSuite))


class WithoutTriggers(Honest):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(order_types=frozenset({OrderType.MARKET}), times_in_force=frozenset({TimeInForce.GTC}))


def test_what_is_not_claimed_is_skipped_by_name() -> None:
    suite = _suite(WithoutTriggers)
    with pytest.raises(pytest.skip.Exception, match="no capability order_types: TRAILING_STOP"):
        _run(suite, "test_a_trailing_stop_follows_the_market")
    with pytest.raises(pytest.skip.Exception, match="order_types: LIMIT, times_in_force: POST_ONLY"):
        _run(suite, "test_post_only_never_takes")
