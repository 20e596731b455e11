"""Accounts, positions, risk and sizing: what is told is what the engine holds, once it is durable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import grpc
import pytest

from core.tests.rpc.calls import MAIN, amount, failure, rid
from core.tests.rpc.deck import FakeDeck
from quarterdeck.domain.errors import RefusedByState
from quarterdeck.domain.market import Quote, Side
from quarterdeck.domain.order import OrderRole, OrderTerms, OrderType
from quarterdeck.domain.report import ChildOpened
from quarterdeck.engine.inputs import SubmitOrder
from quarterdeck.v1 import order_pb2
from quarterdeck.v1.account_service_pb2 import GetAccountOverviewRequest, GetAccountRequest, ListAccountsRequest
from quarterdeck.v1.account_service_pb2_grpc import AccountServiceStub
from quarterdeck.v1.position_service_pb2 import GetPositionRequest, ListPositionsRequest
from quarterdeck.v1.position_service_pb2_grpc import PositionServiceStub
from quarterdeck.v1.risk_pb2 import TRADING_STATE_ACTIVE, TRADING_STATE_HALTED
from quarterdeck.v1.risk_service_pb2 import (
    EngageKillSwitchRequest,
    GetRiskStateRequest,
    ListRiskLimitsRequest,
    ReleaseKillSwitchRequest,
)
from quarterdeck.v1.risk_service_pb2_grpc import RiskServiceStub
from quarterdeck.v1.sizing_service_pb2 import ComputeSizeRequest, GetRiskRatioRequest
from quarterdeck.v1.sizing_service_pb2_grpc import SizingServiceStub


@pytest.fixture(scope="module")
def accounts(grpc_channel: grpc.Channel) -> AccountServiceStub:
    return AccountServiceStub(grpc_channel)


@pytest.fixture(scope="module")
def positions(grpc_channel: grpc.Channel) -> PositionServiceStub:
    return PositionServiceStub(grpc_channel)


@pytest.fixture(scope="module")
def risk(grpc_channel: grpc.Channel) -> RiskServiceStub:
    return RiskServiceStub(grpc_channel)


@pytest.fixture(scope="module")
def sizing(grpc_channel: grpc.Channel) -> SizingServiceStub:
    return SizingServiceStub(grpc_channel)


def hold(deck: FakeDeck) -> None:
    """A long position at 50 000 with its stop and target at the venue, now at 50 500."""
    quantity = Decimal("0.020")
    deck.step(SubmitOrder("entry", "btcusdt", Side.BUY, OrderType.MARKET, quantity, stop_loss=Decimal(49_000)))
    deck.fill("entry", "50000")
    link = deck.state.closed_orders["entry"].link_id
    for suffix, role, kind, price in (
        ("sl", OrderRole.STOP_LOSS, OrderType.STOP, 49_000),
        ("tp", OrderRole.TAKE_PROFIT, OrderType.TAKE_PROFIT, 53_000),
    ):
        terms = OrderTerms("btcusdt", Side.SELL, kind, quantity, trigger_price=Decimal(price), reduce_only=True)
        deck.step(ChildOpened(f"{link}-{suffix}", link, f"x-{suffix}", role, terms, deck.time))
    deck.step(Quote("btcusdt", deck.time, 50_500.0, 1.0, 50_500.0, 1.0))


@pytest.fixture(scope="module", autouse=True)
def _held(deck: FakeDeck, do: Callable[..., Any]) -> None:
    do(hold, deck)


# ---------------------------------------------------------------- account


def test_the_account_is_told(accounts: AccountServiceStub, deck: FakeDeck) -> None:
    answer = accounts.GetAccount(GetAccountRequest(name=MAIN))
    assert (answer.account.name, answer.account.settle) == (MAIN, "USDT")
    assert answer.snapshot_sequence == deck.events.head
    listed = accounts.ListAccounts(ListAccountsRequest())
    assert list(listed.accounts) == [answer.account]


def test_the_overview_adds_up(accounts: AccountServiceStub, deck: FakeDeck) -> None:
    overview = accounts.GetAccountOverview(GetAccountOverviewRequest(parent=MAIN)).overview
    assert overview.wallet_balance.value == "9999.45"  # the fee of 1 000 at 0.055 %
    assert overview.unrealized_pnl.value == "10"
    assert overview.equity.value == "10009.45"
    assert [(balance.currency, balance.wallet.value) for balance in overview.balances] == [("USDT", "9999.45")]
    assert (overview.tier, overview.risk_ratio.value, overview.max_risk_amount.value) == ("small", "0.02", "199.989")
    assert overview.max_position_notional.value == "20000"
    assert (overview.open_positions, overview.open_orders) == (1, 2)
    assert overview.trading_state == TRADING_STATE_ACTIVE
    assert overview.peak_equity.value == "10009.45"
    assert overview.drawdown.value == "0"


def test_a_read_waits_for_the_disk(accounts: AccountServiceStub, deck: FakeDeck, do: Callable[..., Any]) -> None:
    do(deck.hold)
    answered = threading.Event()
    call = accounts.GetAccountOverview.future(GetAccountOverviewRequest(parent=MAIN), timeout=10)
    call.add_done_callback(lambda _: answered.set())
    assert not answered.wait(0.1)
    do(deck.release)
    assert answered.wait(10)
    assert call.result().snapshot_sequence == deck.events.head


# ---------------------------------------------------------------- positions


def test_a_position_is_told_with_its_protection_and_shares(positions: PositionServiceStub) -> None:
    answer = positions.GetPosition(GetPositionRequest(name="accounts/main/positions/btcusdt")).position
    assert (answer.quantity.value, answer.average_price.value, answer.mark_price.value) == ("0.020", "50000", "50500")
    assert (answer.unrealized_pnl.value, answer.realized_pnl.value, answer.fees.value) == ("10", "0", "0.55")
    assert (answer.stop_loss.value, answer.take_profit.value) == ("49000", "53000")
    assert not answer.HasField("liquidation_price")
    assert [(share.bot, share.quantity.value) for share in answer.shares] == [("", "0.020")]
    assert answer.update_time.ToNanoseconds() > 0


def test_positions_are_listed(positions: PositionServiceStub) -> None:
    listed = positions.ListPositions(ListPositionsRequest(parent=MAIN))
    assert [position.instrument for position in listed.positions] == ["instruments/btcusdt"]
    found = failure(positions.GetPosition, GetPositionRequest(name="accounts/main/positions/ethusdt"))
    assert (found.code, found.reason) == ("NOT_FOUND", "POSITION_NOT_FOUND")
    assert found.metadata == {"name": "accounts/main/positions/ethusdt"}


# ---------------------------------------------------------------- sizing


def test_a_computed_size_is_what_an_order_gets(sizing: SizingServiceStub, deck: FakeDeck) -> None:
    ask = ComputeSizeRequest(
        parent=MAIN,
        instrument="instruments/btcusdt",
        side=order_pb2.Order.SIDE_BUY,
        entry_price=amount("50000"),
        stop_price=amount("49000"),
        balance=amount("5000"),
    )
    answer = sizing.ComputeSize(ask)
    assert answer.allowed
    assert (answer.sizing.quantity.value, answer.sizing.risk_amount.value) == ("0.1", "100")
    assert (answer.sizing.basis.value, answer.sizing.notional.value) == ("5000", "5000")
    assert [step.rule for step in answer.sizing.steps] == ["size", "round down to lot"]
    assert answer.snapshot_sequence == deck.events.head


def test_being_refused_is_an_answer(sizing: SizingServiceStub) -> None:
    ask = ComputeSizeRequest(
        parent=MAIN,
        instrument="instruments/btcusdt",
        side=order_pb2.Order.SIDE_BUY,
        stop_price=amount("50050"),
    )
    answer = sizing.ComputeSize(ask)
    assert not answer.allowed
    assert (answer.refusal.rule, answer.refusal.reason, answer.refusal.limit.value) == ("ceiling", "TOO_LARGE", "20000")
    assert answer.HasField("sizing")


@pytest.mark.parametrize(
    ("entry", "stop", "field"),
    [("50000.01", "49000", "entry_price"), ("50000", "49000.01", "stop_price"), ("50000", "51000", "stop_price")],
)
def test_a_size_names_its_own_fields(sizing: SizingServiceStub, entry: str, stop: str, field: str) -> None:
    ask = ComputeSizeRequest(
        parent=MAIN,
        instrument="instruments/btcusdt",
        side=order_pb2.Order.SIDE_BUY,
        entry_price=amount(entry),
        stop_price=amount(stop),
    )
    found = failure(sizing.ComputeSize, ask)
    assert (found.reason, found.fields) == ("INVALID_REQUEST", [field])
    assert found.text.startswith(field)


def test_the_risk_ratio_of_any_balance(sizing: SizingServiceStub) -> None:
    answer = sizing.GetRiskRatio(GetRiskRatioRequest(parent=MAIN, balance=amount("5000")))
    assert (answer.risk_ratio.value, answer.risk_amount.value, answer.tier) == ("0.02", "100", "small")
    assert answer.steps[0].rule == "two percent"
    own = sizing.GetRiskRatio(GetRiskRatioRequest(parent=MAIN))
    assert own.basis.value == "9999.45"


# ---------------------------------------------------------------- risk


def test_limits_tell_how_near_they_are(risk: RiskServiceStub) -> None:
    state = risk.GetRiskState(GetRiskStateRequest(parent=MAIN)).risk_state
    assert state.trading_state == TRADING_STATE_ACTIVE
    assert not state.HasField("since_time")
    by_name = {(limit.rule, limit.name): limit for limit in state.limits}
    assert by_name["ceiling", "max_notional"].headroom.value == "18990"
    assert not by_name["core", "max_leverage"].HasField("observed")
    first = risk.ListRiskLimits(ListRiskLimitsRequest(parent=MAIN, page_size=1))
    second = risk.ListRiskLimits(ListRiskLimitsRequest(parent=MAIN, page_size=1, page_token=first.next_page_token))
    assert [*first.risk_limits, *second.risk_limits] == list(state.limits)


def test_the_kill_switch_halts_and_releases(risk: RiskServiceStub, deck: FakeDeck) -> None:
    wish = EngageKillSwitchRequest(
        parent=MAIN, mode=EngageKillSwitchRequest.KILL_MODE_CANCEL_ONLY, reason="drill", request_id=rid(1)
    )
    answer = risk.EngageKillSwitch(wish)
    assert answer.risk_state.trading_state == TRADING_STATE_HALTED
    assert (answer.risk_state.reason, answer.sequence) == ("drill", deck.events.head)
    assert answer.risk_state.since_time.ToNanoseconds() == deck.time
    again = risk.EngageKillSwitch(
        EngageKillSwitchRequest(parent=MAIN, mode=wish.mode, reason="again", request_id=rid(2))
    )
    assert again.sequence == deck.events.head == answer.sequence
    released = risk.ReleaseKillSwitch(ReleaseKillSwitchRequest(parent=MAIN, reason="done", request_id=rid(3)))
    assert released.risk_state.trading_state == TRADING_STATE_ACTIVE
    assert released.sequence == answer.sequence + 1


# ---------------------------------------------------------------- another account


@pytest.mark.parametrize("other", ["accounts/other", "accounts/main-2"])
def test_another_account_is_not_here(grpc_channel: grpc.Channel, other: str) -> None:
    calls: list[tuple[Any, Any]] = [
        (AccountServiceStub(grpc_channel).GetAccount, GetAccountRequest(name=other)),
        (AccountServiceStub(grpc_channel).GetAccountOverview, GetAccountOverviewRequest(parent=other)),
        (PositionServiceStub(grpc_channel).ListPositions, ListPositionsRequest(parent=other)),
        (PositionServiceStub(grpc_channel).GetPosition, GetPositionRequest(name=f"{other}/positions/btcusdt")),
        (RiskServiceStub(grpc_channel).GetRiskState, GetRiskStateRequest(parent=other)),
        (SizingServiceStub(grpc_channel).GetRiskRatio, GetRiskRatioRequest(parent=other)),
    ]
    for method, request in calls:
        found = failure(method, request)
        assert (found.code, found.reason, found.metadata) == (
            "NOT_FOUND",
            "ACCOUNT_NOT_FOUND",
            {"name": other, "known": "accounts/main"},
        )


def test_a_failing_sizer_is_told(accounts: AccountServiceStub, deck: FakeDeck, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Decimal) -> None:
        raise RefusedByState("SIZING_REFUSED", "the sizer failed", {"rule": "sizing", "reason": "SIZER_FAILED"})

    monkeypatch.setattr(deck, "risk_ratio", broken)
    found = failure(accounts.GetAccountOverview, GetAccountOverviewRequest(parent=MAIN))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "SIZING_REFUSED")
