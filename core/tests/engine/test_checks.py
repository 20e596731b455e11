"""Each check of the state sees the damage it is there for."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from core.tests.engine.desk import INSTRUMENTS, Desk, d
from quarterdeck.domain import report as r
from quarterdeck.domain.ledger import Book
from quarterdeck.domain.order import OrderState, OrderType
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine import inputs as i
from quarterdeck.engine.checks import SHOWN, Finding, Verdict, check_state, unprotected
from quarterdeck.engine.state import State


@pytest.fixture
def desk() -> Desk:
    """A position with its stop, and one entry that works."""
    desk = Desk()
    desk.protect(desk.hold(stop_loss=d("49000")))
    desk.work(desk.submit("0.02", type=OrderType.LIMIT, limit_price=d("48000"), stop_loss=d("47000"), order_id="low"))
    return desk


def found(state: State) -> dict[str, Finding]:
    findings = check_state(state, INSTRUMENTS)
    assert len({each.check for each in findings}) == len(findings)
    return {each.check: each for each in findings}


def test_a_good_state_passes_every_check(desk: Desk) -> None:
    verdicts = {name: each.verdict for name, each in found(desk.state).items()}
    assert verdicts.pop("kill-switch") is Verdict.NOT_APPLICABLE
    assert set(verdicts.values()) == {Verdict.OK}


def _lose_a_share(state: State) -> None:
    state.shares["btcusdt"][""].quantity -= 1


def _lose_money(state: State) -> None:
    state.ledger.totals["USDT"][Book.WALLET] -= 1


def _leak_a_reservation(state: State) -> None:
    state.exposures["btcusdt"].pending_risk += Decimal("0.01")


def _forget_an_unknown(state: State) -> None:
    state.open_orders["low"].state = OrderState.UNKNOWN


def _reopen_a_closed_order(state: State) -> None:
    next(iter(state.closed_orders.values())).state = OrderState.OPEN


def _overfill(state: State) -> None:
    state.open_orders["low"].filled_quantity = Decimal(1)


def _miscount_a_bot(state: State) -> None:
    state.bots["sma"].working += 1


def _swap_a_link(state: State) -> None:
    state.links[state.open_orders["low"].link_id] = "another"


def _book_twice(state: State) -> None:
    ids = next(iter(state.trades.values()))
    ids.append(ids[0])


def _leave_the_tick(state: State) -> None:
    terms = state.open_orders["low"].terms
    object.__setattr__(terms, "limit_price", Decimal("48000.00001"))


@pytest.mark.parametrize(
    ("harm", "check"),
    [
        (_lose_a_share, "shares"),
        (_lose_money, "ledger"),
        (_leak_a_reservation, "exposure"),
        (_forget_an_unknown, "exposure"),
        (_reopen_a_closed_order, "orders"),
        (_overfill, "orders"),
        (_miscount_a_bot, "orders"),
        (_swap_a_link, "link-ids"),
        (_book_twice, "trades"),
        (_leave_the_tick, "exact-terms"),
    ],
)
def test_each_harm_fails_its_check(desk: Desk, harm: Callable[[State], None], check: str) -> None:
    desk.bot()
    harm(desk.state)
    finding = found(desk.state)[check]
    assert finding.verdict is Verdict.FAILED, finding
    assert finding.invariants


def test_an_entry_approved_after_the_halt_fails(desk: Desk) -> None:
    desk.take(i.EngageKillSwitch("enough"))
    assert found(desk.state)["kill-switch"].verdict is Verdict.OK
    desk.state.trading_state = TradingState.ACTIVE
    desk.submit("0.01", order_id="late")
    desk.state.trading_state = TradingState.HALTED
    finding = found(desk.state)["kill-switch"]
    assert finding.verdict is Verdict.FAILED
    assert "late" in finding.detail


def test_an_entry_that_could_not_be_canceled_is_named(desk: Desk) -> None:
    desk.take(i.EngageKillSwitch("enough"))
    desk.take(r.CancelRejected(desk.order("low").link_id, "busy", desk.now))
    finding = found(desk.state)["kill-switch"]
    assert (finding.verdict, finding.detail) == (Verdict.WARNING, "low still works")


def test_a_position_without_its_stop_is_named(desk: Desk) -> None:
    desk.hold("0.05")
    assert list(unprotected(desk.state)) == ["btcusdt"]
    finding = found(desk.state)["protection"]
    assert (finding.verdict, finding.detail) == (Verdict.WARNING, "btcusdt")


def test_unknown_orders_are_named_a_few_and_counted(desk: Desk) -> None:
    sent = [desk.send(desk.submit("0.001", order_id=f"lost{number}")) for number in range(SHOWN + 2)]
    for each in sent:
        desk.take(r.Unknown(each.link_id, "no answer", desk.now))
    finding = found(desk.state)["unknown-orders"]
    assert finding.verdict is Verdict.WARNING
    assert finding.detail.endswith("and 2 more")
    assert finding.data == {"count": str(SHOWN + 2)}
