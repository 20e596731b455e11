"""The gate: sizing, the core's hard limits, the rules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tests.engine.deciders import FactorScaler, RatioSizer, Rule, SizerThat
from core.tests.engine.desk import BTC, Desk, d, order
from quarterdeck.domain import report as r
from quarterdeck.domain.errors import InvalidRequest, NotFound
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderType, TimeInForce
from quarterdeck.domain.risk import Approved, OrderDraft, Refused
from quarterdeck.domain.sizing import Sized, SizingRefused
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.pipeline import Deciders, HardLimits, evaluate

ROOMY = HardLimits(max_risk_ratio=Decimal(1), max_leverage=Decimal(10_000))


def refusal(desk: Desk, command: i.SubmitOrder) -> Refused:
    """Submit an order that must be refused."""
    desk.take(command)
    assert isinstance(desk.journal[-1].event, e.OrderRefused), desk.journal[-1].event
    return desk.journal[-1].event.refusal


# ---------------------------------------------------------------- sizing


def test_the_smaller_of_wallet_and_equity_is_what_risk_is_a_part_of() -> None:
    desk = Desk(Deciders(sizer := RatioSizer(), rules=[Rule()], limits=ROOMY))
    desk.submit(None, stop_loss="49000")
    assert sizer.asked[-1].basis == 10_000
    desk.hold("0.1", price=50_000)
    desk.candle(60_000.0)  # 1 000 won and not realised: not risked
    desk.submit(None, stop_loss="49000")
    assert sizer.asked[-1].basis == 10_000
    desk.candle(45_000.0)  # 500 lost and not realised: counts already
    desk.submit(None, stop_loss="44000")
    assert sizer.asked[-1].basis == 9_500


def test_a_size_is_scaled_then_rounded_down_and_every_step_is_kept() -> None:
    desk = Desk(Deciders(RatioSizer(), [FactorScaler("half", d("0.5")), FactorScaler("third", d("0.33"))], [Rule()]))
    desk.submit(None, stop_loss="49300.1")
    sizing = desk.last(e.OrderPrepared).sizing
    assert sizing is not None
    # 100 / 699.9 = 0.142878…; a half of it, and a third of that, is 0.023574… or 23 lots.
    assert sizing.quantity == d("0.023")
    assert sizing.risk_amount == d("0.023") * d("699.9")
    assert (sizing.entry_price, sizing.stop_price, sizing.notional) == (d(50_000), d("49300.1"), d(1_150))
    assert [step.rule for step in sizing.steps] == ["scaler half", "scaler third", "round down to lot"]
    for before, after in zip(sizing.steps, sizing.steps[1:], strict=False):
        assert before.after == after.before
    assert sizing.steps[0].inputs == (("factor", d("0.5")),)
    assert sizing.steps[-1].after == sizing.quantity


def test_a_size_stops_at_the_venues_maximum() -> None:
    desk = Desk(Deciders(SizerThat(lambda: Sized(d("250.0005"), d(1), d("0.01"), "t")), rules=[Rule()], limits=ROOMY))
    found = evaluate(order(None, stop_loss="49000"), desk.machine.view, desk.machine.deciders)
    assert found.sizing is not None
    assert found.sizing.quantity == BTC.max_quantity
    assert [step.rule for step in found.sizing.steps] == ["round down to lot", "venue's maximum"]


def test_a_given_quantity_is_taken_as_it_is() -> None:
    desk = Desk(Deciders(SizerThat(lambda: pytest.fail("asked")), [FactorScaler("none", d(0))], [Rule()]))
    prepared = desk.take(order("0.1", stop_loss="49000"))[0]
    assert isinstance(prepared, e.OrderPrepared)
    assert (prepared.terms.quantity, prepared.sizing) == (d("0.1"), None)


def test_a_limit_order_is_sized_from_its_limit() -> None:
    desk = Desk()
    found = desk.submit(None, type=OrderType.LIMIT, limit_price="48000", stop_loss="47000")
    assert desk.sizer.asked[-1].entry_price == 48_000
    assert (found.terms.quantity, found.reference_price) == (d("0.1"), d(48_000))


def test_a_stop_order_is_sized_from_its_trigger() -> None:
    desk = Desk()
    found = desk.submit(None, type=OrderType.STOP, trigger_price="52000", stop_loss="51000")
    assert (found.terms.quantity, found.reference_price) == (d("0.1"), d(52_000))


def test_a_dry_run_gives_what_the_order_gets_and_records_nothing(desk: Desk) -> None:
    command = order(None, stop_loss="49300.1")
    before = desk.state.sequence
    dry = evaluate(command, desk.machine.view, desk.machine.deciders)
    assert desk.state.sequence == before
    prepared = desk.take(command)[0]
    assert isinstance(prepared, e.OrderPrepared)
    assert prepared.sizing == dry.sizing
    assert isinstance(dry.verdict, Approved)
    assert prepared.terms == dry.verdict.item.terms


def test_a_what_if_starts_from_another_basis(desk: Desk) -> None:
    found = evaluate(order(None, stop_loss="49000"), desk.machine.view, desk.machine.deciders, basis=d(5_000))
    assert found.sizing is not None
    assert (found.sizing.basis, found.sizing.quantity) == (d(5_000), d("0.05"))


def _raise(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (lambda: _raise(SizingRefused("STOP_AT_ENTRY", "no distance")), "STOP_AT_ENTRY: no distance"),
        (lambda: _raise(ZeroDivisionError("oh")), "SIZER_FAILED: ZeroDivisionError: oh"),
        (lambda: None, "SIZER_FAILED: AttributeError"),
        (lambda: Sized(Decimal("NaN"), d(1), d(1), ""), "SIZER_FAILED: Invalid"),
        (lambda: Sized(Decimal("Infinity"), d(1), d(1), ""), "SIZER_FAILED: ValueError: a quantity of Infinity"),
        (lambda: Sized(cast("Any", 0.1), d(1), d(1), ""), "SIZER_FAILED: AttributeError: 'float'"),
        (lambda: Sized(Decimal("1E+60"), d(1), d(1), ""), "SIZER_FAILED: InvalidOperation"),
    ],
)
def test_a_sizer_that_gives_no_size_refuses_the_order(answers: Callable[[], Sized], reason: str) -> None:
    desk = Desk(Deciders(SizerThat(answers), rules=[Rule()]))
    found = refusal(desk, order(None, stop_loss="49000"))
    assert found.rule == "sizing"
    assert found.reason.startswith(reason)


@pytest.mark.parametrize("factor", ["1.01", "-0.01", "NaN", "Infinity"])
def test_a_scaler_that_enlarges_refuses_the_order_and_is_named(factor: str) -> None:
    desk = Desk(Deciders(RatioSizer(), [FactorScaler("calm", d(1)), FactorScaler("wild", d(factor))], [Rule()]))
    found = refusal(desk, order(None, stop_loss="49000"))
    assert found.rule == "sizing"
    assert found.reason.startswith(("SCALER_OUT_OF_RANGE: wild", "SCALER_FAILED: wild: InvalidOperation"))


def test_a_float_of_a_scaler_is_not_taken_for_an_amount() -> None:
    desk = Desk(Deciders(RatioSizer(), [FactorScaler("half", cast("Any", 0.5))], [Rule()]))
    assert refusal(desk, order(None, stop_loss="49000")).reason.startswith("SCALER_FAILED: half: FloatOperation")


@given(
    ratio=st.decimals(min_value="0.0001", max_value="0.05", places=4),
    factor=st.decimals(min_value=0, max_value=1, places=6),
    stop=st.integers(1, 499_999).map(lambda ticks: ticks * d("0.1")),
)
def test_a_size_never_risks_more_than_was_asked_for(ratio: Decimal, factor: Decimal, stop: Decimal) -> None:
    desk = Desk(Deciders(RatioSizer(ratio), [FactorScaler("some", factor)], [Rule()], ROOMY))
    found = evaluate(order(None, stop_loss=str(stop)), desk.machine.view, desk.machine.deciders)
    assert found.sizing is not None
    assert found.sizing.risk_amount <= 10_000 * ratio * factor
    assert found.sizing.quantity % BTC.lot_size == 0
    at_the_maximum = found.sizing.quantity == BTC.max_quantity
    assert at_the_maximum or found.sizing.risk_amount + BTC.lot_size * (50_000 - stop) > 10_000 * ratio * factor


# ---------------------------------------------------------------- the core's own limits


def test_no_price_seen_no_order(desk: Desk) -> None:
    desk.machine.market.prices.clear()
    assert refusal(desk, order("0.1")) == Refused("core", "NO_MARK")
    assert refusal(desk, order(None, stop_loss="49000")) == Refused("core", "NO_MARK")


def test_a_size_below_the_minimum() -> None:
    desk = Desk(Deciders(RatioSizer(d("0.0000001")), rules=[Rule()]))
    assert refusal(desk, order(None, stop_loss="49000")) == Refused("core", "BELOW_MIN_QUANTITY", d("0.001"), d(0))


def test_a_quantity_above_the_venues_maximum(desk: Desk) -> None:
    assert refusal(desk, order("100.001")) == Refused("core", "ABOVE_MAX_QUANTITY", d(100), d("100.001"))


def test_a_notional_below_the_venues_minimum() -> None:
    desk = Desk(price=4_000.0)
    assert refusal(desk, order("0.001")) == Refused("core", "BELOW_MIN_NOTIONAL", d(5), d(4))


def test_halted_and_reducing_take_no_entries(desk: Desk) -> None:
    desk.hold("0.1")
    desk.take(i.EngageKillSwitch("enough"))
    assert refusal(desk, order("0.1")) == Refused("core", "TRADING_HALTED")
    desk.submit("0.1", Side.SELL, reduce_only=True)
    desk.take(i.ReleaseKillSwitch("go on"))
    desk.take(i.Disagreement("a position is another"))
    assert refusal(desk, order("0.1")) == Refused("core", "TRADING_REDUCING")


def test_an_order_in_limbo_blocks_its_instrument(desk: Desk) -> None:
    lost = desk.send(desk.submit("0.1"))
    desk.take(r.Unknown(lost.link_id, "timeout", desk.now))
    assert refusal(desk, order("0.1")) == Refused("core", "UNKNOWN_ORDER", d(0), d(1))
    desk.submit("0.1", symbol="btcusdt-spot")
    desk.take(r.Opened(lost.link_id, "x", desk.now))
    desk.submit("0.1")


def test_too_many_open_orders() -> None:
    desk = Desk(Deciders(RatioSizer(), rules=[Rule()], limits=replace(ROOMY, max_open_orders=2)))
    desk.submit("0.1")
    desk.submit("0.1")
    assert refusal(desk, order("0.1")) == Refused("core", "MAX_OPEN_ORDERS", d(2), d(2))


def test_no_entry_against_what_is_held(desk: Desk) -> None:
    desk.hold("0.1")
    assert refusal(desk, order("0.05", Side.SELL)) == Refused("core", "AGAINST_POSITION", d(0), d("0.1"))


def test_no_entry_against_an_entry_that_may_still_fill(desk: Desk) -> None:
    """Both would fill, and what is left would be nobody's."""
    desk.submit("0.1", type=OrderType.LIMIT, limit_price="49000")
    found = refusal(desk, order("0.1", Side.SELL, type=OrderType.LIMIT, limit_price="51000"))
    assert found == Refused("core", "AGAINST_POSITION", d(0), d("0.1"))


def test_spot_can_not_be_sold_short(desk: Desk) -> None:
    assert refusal(desk, order("0.1", Side.SELL, symbol="btcusdt-spot")) == Refused("core", "NO_SHORT_ON_SPOT")


def test_no_equity_no_entry() -> None:
    desk = Desk(balances=[("USDT", Decimal(0))])
    assert refusal(desk, order("0.1")) == Refused("core", "NO_EQUITY", d(0), d(0))


def test_leverage_counts_what_is_held_and_what_is_pending() -> None:
    desk = Desk(Deciders(RatioSizer(), rules=[Rule()], limits=HardLimits(max_leverage=Decimal(2))))
    desk.hold("0.1")
    desk.submit("0.2")
    assert refusal(desk, order("0.101")) == Refused("core", "MAX_LEVERAGE", d(2), d("2.005"))
    desk.submit("0.1")


def test_a_sizer_can_not_risk_more_than_the_core_allows() -> None:
    desk = Desk(Deciders(RatioSizer(d("0.051")), rules=[Rule()]))
    assert refusal(desk, order(None, stop_loss="49000")) == Refused("core", "MAX_RISK_RATIO", d("0.05"), d("0.051"))


def test_nothing_to_reduce(desk: Desk) -> None:
    assert refusal(desk, order("0.1", Side.SELL, reduce_only=True)) == Refused("core", "NOTHING_TO_REDUCE", d(0), d(0))
    desk.hold("0.1")
    assert refusal(desk, order("0.1", Side.BUY, reduce_only=True)).reason == "NOTHING_TO_REDUCE"


def test_nobody_reduces_more_than_is_theirs(desk: Desk) -> None:
    script = desk.bot()
    desk.wish(script)
    desk.hold("0.3", bot_id="sma")
    desk.hold("0.1")
    too_much = order("0.101", Side.SELL, reduce_only=True)
    assert refusal(desk, too_much) == Refused("core", "MORE_THAN_HELD", d("0.1"), d("0.101"))
    desk.submit("0.3", Side.SELL, reduce_only=True, bot_id="sma")


def test_orders_that_only_reduce_need_no_notional() -> None:
    desk = Desk(price=4_000.0)
    desk.hold("0.1", price=4_000)
    desk.submit("0.001", Side.SELL, reduce_only=True)


# ---------------------------------------------------------------- the rules


def test_no_rules_is_no() -> None:
    desk = Desk(Deciders(RatioSizer()))
    assert refusal(desk, order("0.1")) == Refused("core", "NO_RISK_RULES")


def test_every_rule_must_agree_and_those_that_did_are_named(desk: Desk) -> None:
    no = Refused("second", "TOO_MUCH", d(1), d(2))
    first, second, third = Rule("first"), Rule("second", lambda draft, view: no), Rule("third")
    desk = Desk(Deciders(RatioSizer(), rules=[first, second, third]))
    assert refusal(desk, order("0.1")) is no
    assert (len(first.seen), len(second.seen), len(third.seen)) == (1, 1, 0)
    second.answer = lambda draft, view: None
    desk.submit("0.1")
    assert desk.last(e.OrderPrepared).rules == ("first", "second", "third")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda draft, view: 1 / 0, "RULE_FAILED: ZeroDivisionError: division by zero"),
        (lambda draft, view: sys.exit(3), "RULE_FAILED: SystemExit: 3"),
        (lambda draft, view: True, "RULE_FAILED: answered bool"),
        (lambda draft, view: 0, "RULE_FAILED: answered int"),
        (lambda draft, view: "no", "RULE_FAILED: answered str"),
    ],
)
def test_a_broken_rule_is_a_no_by_its_name(answer: Callable[..., Any], reason: str) -> None:
    desk = Desk(Deciders(RatioSizer(), rules=[Rule("odd", answer)]))
    assert refusal(desk, order("0.1")) == Refused("odd", reason)


def test_rules_are_not_asked_about_orders_that_only_reduce() -> None:
    rule = Rule()
    desk = Desk(Deciders(RatioSizer(), rules=[rule]))
    desk.hold("0.1")
    rule.answer = lambda draft, view: Refused("yes", "NEVER")
    desk.submit("0.1", Side.SELL, reduce_only=True)
    assert desk.last(e.OrderPrepared).rules == ()


def test_rules_see_the_order_and_the_account_as_they_are(desk: Desk) -> None:
    seen: list[tuple[OrderDraft, int, Decimal, Decimal | None]] = []

    def look(draft: OrderDraft, view: Any) -> None:
        seen.append((draft, view.now, view.equity, view.mark("btcusdt")))

    desk = Desk(Deciders(RatioSizer(), rules=[Rule("look", look)]))
    desk.submit(None, stop_loss="49000")
    draft, now, equity, mark = seen[0]
    assert (draft.terms.quantity, draft.notional, draft.reference_price) == (d("0.1"), d(5_000), d(50_000))
    assert (now, equity, mark) == (desk.now, d(10_000), d(50_000))


# ---------------------------------------------------------------- what is malformed

BAD = [
    ("order.limit_price", {"type": OrderType.LIMIT, "limit_price": "50000.05"}),
    ("order.limit_price", {"type": OrderType.LIMIT, "limit_price": "0"}),
    ("order.limit_price", {"type": OrderType.LIMIT, "limit_price": "-1"}),
    ("order.limit_price", {"type": OrderType.LIMIT}),
    ("order.limit_price", {"limit_price": "50000"}),
    ("order.limit_price", {"type": OrderType.STOP_LIMIT, "trigger_price": "51000"}),
    ("order.trigger_price", {"type": OrderType.STOP}),
    ("order.trigger_price", {"type": OrderType.STOP, "trigger_price": "50000.01"}),
    ("order.trigger_price", {"type": OrderType.LIMIT, "limit_price": "50000", "trigger_price": "50000"}),
    ("order.trigger_price", {"type": OrderType.TAKE_PROFIT_LIMIT, "limit_price": "50000"}),
    ("order.trailing_distance", {"type": OrderType.TRAILING_STOP}),
    ("order.trailing_distance", {"type": OrderType.TRAILING_STOP, "trailing_distance": "0.05"}),
    ("order.trailing_distance", {"trailing_distance": "10"}),
    ("order.time_in_force", {"time_in_force": TimeInForce.POST_ONLY}),
    ("order.stop_loss", {"stop_loss": "49000.01"}),
    ("order.stop_loss", {"stop_loss": "50000"}),
    ("order.stop_loss", {"stop_loss": "50000.1"}),
    ("order.stop_loss", {"side": Side.SELL, "stop_loss": "49999.9"}),
    ("order.stop_loss", {"type": OrderType.LIMIT, "limit_price": "48000", "stop_loss": "49000"}),
    ("order.take_profit", {"take_profit": "50000"}),
    ("order.take_profit", {"side": Side.SELL, "take_profit": "50000.1"}),
    ("order.quantity", {"quantity": None}),
    ("order.quantity", {"quantity": "0"}),
    ("order.quantity", {"quantity": "-0.1"}),
    ("order.quantity", {"quantity": "0.0005"}),
    ("order.reduce_only", {"reduce_only": True, "stop_loss": "49000"}),
    ("order.reduce_only", {"reduce_only": True, "take_profit": "51000"}),
]


@pytest.mark.parametrize(("field", "terms"), BAD)
def test_what_is_malformed_is_named_and_leaves_no_trace(desk: Desk, field: str, terms: dict[str, Any]) -> None:
    before = desk.state.sequence
    with pytest.raises(InvalidRequest) as refused:
        desk.take(order(**({"quantity": "0.1"} | terms)))
    assert refused.value.data == {"field": field}
    assert str(refused.value).startswith(f"{field}: ")
    assert desk.state.sequence == before
    assert desk.state == desk.replayed()


def test_an_unknown_instrument(desk: Desk) -> None:
    with pytest.raises(NotFound) as refused:
        desk.take(order("0.1", symbol="dogeusdt"))
    assert (refused.value.reason, refused.value.data) == ("INSTRUMENT_NOT_FOUND", {"name": "dogeusdt"})


@pytest.mark.parametrize("terms", [{"stop_loss": "49000"}, {"take_profit": "51000"}])
def test_protection_on_the_right_side_is_taken(desk: Desk, terms: dict[str, Any]) -> None:
    desk.submit("0.1", **terms)
