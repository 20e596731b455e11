"""Orders over the trade socket, told in three values like those over REST; and the other way, when one is closed."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderState, OrderType
from quarterdeck.domain.report import Acked, Canceled, CancelRejected, Filled, NotSent, Opened, Rejected, Unknown
from quarterdeck.plugin import CancelOrder
from quarterdeck_bybit_simulator.sockets import Kind
from quarterdeck_exchange_bybit import BybitSettings, line, trade
from quarterdeck_exchange_bybit.rest import Unreachable

FAR = Decimal(40_000)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "FIRST_WAIT", 0.05)


class ByWebSocket:
    """The desk's orders go over the trade socket."""

    @pytest.fixture
    def settings(self, settings: BybitSettings) -> BybitSettings:
        return BybitSettings.model_validate(settings.model_dump() | {"orders": "websocket"})


def came_by(desk: Any, of: str) -> list[str]:
    """Methods that change orders, as they reached Bybit by REST (`request`) or the socket (`operation`)."""
    entries = desk.running.call(lambda: desk.running.simulator.truth.of(of))
    paths = [each.data.get("path") or "/v5/" + each.data["op"].replace(".", "/") for each in entries]
    return [path.removeprefix("/v5/order/") for path in paths if path in _CHANGES]


_CHANGES = {f"/v5/order/{verb}{batch}" for verb in ("create", "amend", "cancel") for batch in ("", "-batch")}


async def close_the_socket(desk: Any, wait: Any) -> None:
    """It ends and is not let in again."""
    desk.fault(match={"path": "auth"}, do="code", code=10003)
    desk.running.call(lambda: desk.running.server.drop_all(Kind.TRADE))
    await wait(lambda: not desk.exchange._trade.is_up)


def ban(desk: Any) -> None:
    """Bybit turns this address away, on REST."""
    simulator = desk.running.simulator
    desk.running.call(lambda: simulator.gate.ban("127.0.0.1", simulator.now()))


class TestFirstWay(ByWebSocket):
    async def test_an_order_and_its_end(self, desk: Any, wait: Any) -> None:
        outcome = await desk.place("a1-x", OrderType.LIMIT, limit_price=FAR)
        assert isinstance(outcome, Acked)
        await wait(lambda: desk.of(Opened, "a1-x"))
        await desk.exchange.cancel(CancelOrder("a1-x", "btcusdt"))
        await wait(lambda: desk.of(Canceled, "a1-x"))
        assert came_by(desk, "operation") == ["create", "cancel"]
        assert came_by(desk, "request") == []

    async def test_refused_for_certain(self, desk: Any) -> None:
        outcome = await desk.place("a1-x", quantity=Decimal(1_000))
        assert isinstance(outcome, Rejected)
        assert "110007" in outcome.reason

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("code", [10000, 10006, 10016, 10019, 10403, 10404, 10429, 20003, 20006, 170007])
    async def test_ambiguous_codes(self, desk: Any, code: int, after: bool) -> None:
        desk.fault(match={"path": "order.create"}, do="code", code=code, after=after, count=1)
        assert isinstance(await desk.place("a1-x"), Unknown)
        assert len(desk.creates()) == int(after)
        assert came_by(desk, "request") == []

    async def test_the_socket_ends_before_the_answer(self, desk: Any, wait: Any) -> None:
        desk.fault(match={"path": "order.create"}, do="accept_then_drop", count=1)
        outcome = await desk.place("a1-x")
        assert isinstance(outcome, Unknown)
        assert "ended" in outcome.detail
        found = await desk.exchange.find_order("a1-x", "btcusdt")
        assert found is not None
        assert found.state is OrderState.FILLED
        assert [row["orderLinkId"] for row in desk.creates()] == ["a1-x"]
        await wait(lambda: desk.exchange._trade.is_up)
        assert isinstance(await desk.place("a1-y"), Acked)

    async def test_the_request_is_lost_and_not_repeated(self, desk: Any, wait: Any) -> None:
        desk.fault(match={"path": "order.create"}, do="drop_request", count=1)
        assert isinstance(await desk.place("a1-x"), Unknown)
        await wait(lambda: desk.exchange._trade.is_up)
        assert desk.creates() == []
        assert came_by(desk, "request") == came_by(desk, "operation") == []

    async def test_an_answer_that_is_late_is_doubt_and_a_new_connection(self, desk: Any, wait: Any) -> None:
        desk.fault(match={"path": "order.create"}, do="delay_answer", ms=1_500, count=1)
        outcome = await desk.place("a1-x", OrderType.LIMIT, limit_price=FAR)
        assert isinstance(outcome, Unknown)
        assert "no answer" in outcome.detail
        await wait(lambda: desk.exchange._trade.line.connections == 2)

    async def test_an_order_does_not_take_the_other_way(self, desk: Any, wait: Any) -> None:
        await close_the_socket(desk, wait)
        outcome = await desk.place("a1-x")
        assert isinstance(outcome, NotSent)
        assert "the trade socket is down" in outcome.detail
        assert came_by(desk, "request") == []

    async def test_exits_and_cancels_do(self, desk: Any, wait: Any) -> None:
        await desk.place("a1-x")
        await desk.place("a1-y", OrderType.LIMIT, limit_price=FAR)
        await wait(lambda: desk.of(Filled, "a1-x") and desk.of(Opened, "a1-y"))
        await close_the_socket(desk, wait)
        assert isinstance(await desk.place("a1-z", side=Side.SELL, reduce_only=True), Acked)
        await desk.exchange.cancel(CancelOrder("a1-y", "btcusdt"))
        await wait(lambda: desk.of(Filled, "a1-z") and desk.of(Canceled, "a1-y"))
        assert came_by(desk, "request") == ["create-batch", "cancel"]

    async def test_an_entry_does_not_leave_while_nothing_can_be_asked(self, desk: Any) -> None:
        desk.fault(match={"path": "/v5/order/realtime"}, do="http", status=403, count=1)
        with pytest.raises(Exception, match="refuses this address"):
            await desk.exchange.open_orders()
        assert isinstance(await desk.place("a1-x"), NotSent)
        assert came_by(desk, "operation") == []

    async def test_a_service_that_restarts_is_left(self, desk: Any, wait: Any) -> None:
        desk.running.call(desk.running.server.restart_trade_service)
        assert isinstance(await desk.place("a1-x"), Unknown)
        await wait(lambda: desk.exchange._trade.line.connections == 2)
        assert isinstance(await desk.place("a1-y"), Acked)

    async def test_nothing_piles_up_where_nobody_answers(self, desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trade, "MOST_UNANSWERED", 2)
        desk.fault(match={"path": "order.create"}, do="delay_answer", ms=500)
        asked = [desk.place(f"a1-{number}", OrderType.LIMIT, limit_price=FAR) for number in range(3)]
        outcomes = await asyncio.gather(*asked)
        assert [type(one) for one in outcomes] == [Acked, Acked, NotSent]

    async def test_the_budget_is_one(self, desk: Any) -> None:
        outcomes = [await desk.place(f"a1-{n}", OrderType.LIMIT, limit_price=FAR) for n in range(10)]
        assert [type(one) for one in outcomes[:8]] == [Acked] * 8
        assert any(isinstance(one, NotSent) and "rate budget" in one.detail for one in outcomes[8:])


class TestSecondWay:
    """Orders go over REST."""

    async def test_from_a_banned_address_cancels_and_exits_leave_over_the_socket(self, desk: Any, wait: Any) -> None:
        await desk.place("a1-x")
        await desk.place("a1-y", OrderType.LIMIT, limit_price=FAR)
        await wait(lambda: desk.of(Filled, "a1-x") and desk.of(Opened, "a1-y"))
        ban(desk)
        await desk.exchange.cancel(CancelOrder("a1-y", "btcusdt"))
        await wait(lambda: desk.of(Canceled, "a1-y"))
        assert isinstance(await desk.place("a1-z", side=Side.SELL, reduce_only=True), Acked)
        assert isinstance(await desk.place("a1-w"), NotSent)
        assert came_by(desk, "operation") == ["cancel", "create-batch"]
        assert len(desk.creates()) == 3

    async def test_a_cancel_in_doubt_is_asked_for_by_both(self, desk: Any, wait: Any) -> None:
        await desk.place("a1-x", OrderType.LIMIT, limit_price=FAR)
        desk.fault(match={"path": "/v5/order/cancel"}, do="http", status=502, count=1)
        await desk.exchange.cancel(CancelOrder("a1-x", "btcusdt"))
        await wait(lambda: desk.of(Canceled, "a1-x"))
        assert not desk.of(CancelRejected)
        assert came_by(desk, "operation") == ["cancel"]

    async def test_a_cancel_that_both_leave_in_doubt_stays_so(self, desk: Any) -> None:
        await desk.place("a1-x", OrderType.LIMIT, limit_price=FAR)
        desk.fault(match={"path": "/v5/order/cancel"}, do="http", status=502, after=True, count=1)
        with pytest.raises(Unreachable, match="not known"):  # the socket knows no such order: the first took it
            await desk.exchange.cancel(CancelOrder("a1-x", "btcusdt"))
        assert not desk.of(CancelRejected)

    async def test_an_exit_in_doubt_is_not_asked_for_again(self, desk: Any, wait: Any) -> None:
        await desk.place("a1-x")
        await wait(lambda: desk.of(Filled, "a1-x"))
        desk.fault(match={"path": "/v5/order/create-batch"}, do="http", status=502, count=1)
        assert isinstance(await desk.place("a1-y", side=Side.SELL, reduce_only=True), Unknown)
        assert came_by(desk, "operation") == []

    async def test_it_works_without_a_socket(self, desk: Any, wait: Any) -> None:
        await close_the_socket(desk, wait)
        assert isinstance(await desk.place("a1-x", OrderType.LIMIT, limit_price=FAR), Acked)


def test_the_demo_has_no_trade_socket() -> None:
    base = {"environment": "demo", "symbols": ["btcusdt"]}
    assert not BybitSettings.model_validate(base).has_trade_socket
    with pytest.raises(ValidationError, match="orders: 'websocket' is not offered in the demo"):
        BybitSettings.model_validate(base | {"orders": "websocket"})
