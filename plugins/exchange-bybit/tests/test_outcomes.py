"""What came of a request, told in three values, whatever stands between us and Bybit."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderState, OrderType
from quarterdeck.domain.report import Acked, Canceled, CancelRejected, ChildOpened, Filled, NotSent, Rejected, Unknown
from quarterdeck.plugin import CancelOrder, unnamed_link
from quarterdeck_bybit_simulator import Member, Simulator, SimulatorSettings
from quarterdeck_bybit_simulator.catalog import BTC
from quarterdeck_bybit_simulator.fixtures import API_KEY, API_SECRET
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_exchange_bybit import BybitExchange, BybitFeed, BybitFeedSettings, BybitSettings
from quarterdeck_exchange_bybit.budget import Banned
from quarterdeck_exchange_bybit.codec import codes
from quarterdeck_exchange_bybit.settings import Site

CREATE = "/v5/order/create"
AMBIGUOUS = [429, 10000, 10006, 10014, 10016, 10019, 10403, 10429, 170001, 170005, 170007, 170032, 170146, 170147,
             20003, 20006, 500000]  # fmt: skip


async def test_taken_and_filled(desk: Any, wait: Any) -> None:
    outcome = await desk.place("a1-x")
    assert isinstance(outcome, Acked)
    await wait(lambda: desk.of(Filled, "a1-x"))
    (fill,) = desk.of(Filled, "a1-x")
    assert (fill.quantity, fill.price) == (Decimal("0.01"), Decimal("50000.1"))
    assert fill.exchange_order_id == outcome.exchange_order_id


async def test_refused_for_certain(desk: Any) -> None:
    outcome = await desk.place("a1-x", quantity=Decimal(1_000))
    assert isinstance(outcome, Rejected)
    assert "110007" in outcome.reason


async def test_the_answer_is_lost_and_the_order_is_there(desk: Any, wait: Any) -> None:
    desk.fault(match={"path": CREATE}, do="accept_then_drop", count=1)
    assert isinstance(await desk.place("a1-x"), Unknown)
    assert [row["orderLinkId"] for row in desk.creates()] == ["a1-x"]
    found = await desk.exchange.find_order("a1-x", "btcusdt")
    assert found is not None
    assert found.state is OrderState.FILLED
    assert [fill.quantity for fill in await desk.exchange.fills("a1-x", "btcusdt")] == [Decimal("0.01")]


async def test_the_request_is_lost(desk: Any) -> None:
    desk.fault(match={"path": CREATE}, do="drop_request", count=1)
    assert isinstance(await desk.place("a1-x"), Unknown)
    assert await desk.exchange.find_order("a1-x", "btcusdt") is None
    assert desk.creates() == []


async def test_taken_after_we_gave_up(desk: Any, wait: Any) -> None:
    desk.fault(match={"path": CREATE}, do="delay_accept", ms=1_200, count=1)
    assert isinstance(await desk.place("a1-x"), Unknown)
    capabilities = desk.exchange.capabilities
    assert capabilities.admission_window == 1_000_000_000  # nothing signed then is taken later than that


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("code", AMBIGUOUS)
async def test_ambiguous_codes(desk: Any, code: int, after: bool) -> None:
    desk.fault(match={"path": CREATE}, do="code", code=code, after=after, count=1)
    assert isinstance(await desk.place("a1-x"), Unknown)
    assert len(desk.creates()) == int(after)


@pytest.mark.parametrize(
    ("status", "body"),
    [(502, "<html>Bad Gateway</html>"), (503, ""), (200, "<html>busy</html>"), (200, ""), (200, '{"retCode": 0, "res')],
)
async def test_answers_that_are_none(desk: Any, status: int, body: str) -> None:
    desk.fault(match={"path": CREATE}, do="http", status=status, body=body, count=1)
    assert isinstance(await desk.place("a1-x"), Unknown)


async def test_a_duplicate_id_is_doubt_not_refusal(desk: Any) -> None:
    await desk.place("a1-x", OrderType.LIMIT, limit_price=Decimal(40_000))
    again = await desk.place("a1-x", OrderType.LIMIT, limit_price=Decimal(41_000))
    assert isinstance(again, Unknown)
    assert len(desk.creates()) == 1


async def test_nobody_there_means_not_sent(desk: Any) -> None:
    desk.running.__exit__()
    outcome = await desk.place("a1-x")
    assert isinstance(outcome, NotSent | Unknown)
    with pytest.raises(Exception, match="get_positions"):
        await desk.exchange.positions()


async def test_an_address_that_is_turned_away_sends_nothing_more(desk: Any) -> None:
    desk.fault(match={"path": CREATE}, do="http", status=403, count=1)
    await desk.place("a1-x")
    began = time.monotonic()
    outcome = await desk.place("a1-y")
    assert isinstance(outcome, NotSent)
    assert "refuses this address" in outcome.detail
    assert time.monotonic() - began < 1


async def test_what_turns_one_account_away_turns_all_away_that_call_the_same_host(
    desk: Any, settings: BybitSettings
) -> None:
    other = Simulator([BTC], SimulatorSettings(members=(Member(API_KEY, API_SECRET),)))
    with RunningSimulator(other) as elsewhere:
        urls = {"rest": elsewhere.server.rest_url, "private": elsewhere.server.socket_url}
        there = Site.model_validate(urls | {"public": elsewhere.server.socket_url})
        neighbour, stranger = BybitExchange(settings), BybitExchange(settings.model_copy(update={"simulator": there}))
        market = BybitFeed(
            BybitFeedSettings(environment=settings.environment, symbols=("btcusdt",), simulator=settings.simulator)
        )
        desk.fault(match={"path": CREATE}, do="http", status=403, count=1)
        await desk.place("a1-x")
        with pytest.raises(Banned):
            await neighbour.instruments()
        with pytest.raises(Banned):
            await market.open(await stranger.instruments())
        for each in (neighbour, stranger, market):
            await each.close()


async def test_a_full_budget_refuses_entries_and_lets_exits_through(desk: Any, wait: Any) -> None:
    outcomes = [await desk.place(f"a1-{n}", OrderType.LIMIT, limit_price=Decimal(40_000)) for n in range(12)]
    assert [type(one) for one in outcomes[:8]] == [Acked] * 8
    assert any(isinstance(one, NotSent) and "rate budget" in one.detail for one in outcomes[8:])
    assert 10006 not in {entry.data["code"] for entry in desk.running.simulator.truth.of("request")}
    await desk.exchange.cancel(CancelOrder("a1-0", "btcusdt"))
    await wait(lambda: desk.of(Canceled, "a1-0"))


async def test_a_clock_that_was_set_signs_nothing(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    clock = desk.exchange._clock
    monkeypatch.setattr(clock, "_wall", lambda: real() + 3_600_000_000_000)
    assert isinstance(await desk.place("a1-x"), NotSent)
    assert desk.creates() == []


async def test_a_server_with_another_time_is_no_matter(desk: Any, wait: Any) -> None:
    desk.running.simulator.settings.clock_offset = 30_000_000_000
    await desk.exchange._account.sample_clock()
    assert isinstance(await desk.place("a1-x"), Acked)


async def test_cancel_of_what_is_gone(desk: Any, wait: Any) -> None:
    await desk.place("a1-x")
    await wait(lambda: desk.of(Filled, "a1-x"))
    await desk.exchange.cancel(CancelOrder("a1-x", "btcusdt"))
    (rejected,) = desk.of(CancelRejected, "a1-x")
    assert rejected.reason.startswith("110001")


async def test_protection_is_opened_by_bybit_and_can_be_canceled_by_its_own_id(desk: Any, wait: Any) -> None:
    await desk.place("a1-x", stop_loss=Decimal(49_000))
    await wait(lambda: desk.of(ChildOpened, "a1-x-sl"))
    assert [order.link_id for order in await desk.exchange.open_orders()] == ["a1-x-sl"]
    await desk.exchange.cancel(CancelOrder("a1-x-sl", "btcusdt"))
    await wait(lambda: desk.of(Canceled, "a1-x-sl"))


async def test_what_others_do_is_told_with_their_role(desk: Any, wait: Any) -> None:
    desk.running.call(lambda: desk.running.simulator.trade_elsewhere(10_000_001, "btcusdt", "Buy", Decimal("0.2")))
    await wait(lambda: desk.of(Filled))
    (fill,) = desk.of(Filled)
    assert fill.link_id == unnamed_link(fill.exchange_order_id)
    assert desk.of(ChildOpened) == []  # it was over when it was first heard of
    (position,) = await desk.exchange.positions()
    assert position.quantity == Decimal("0.2")


async def test_pages_are_read_to_the_end_or_not_at_all(desk: Any) -> None:
    simulator = desk.running.simulator
    simulator.settings.limits_apply = False

    def many() -> None:
        for number in range(101):
            params = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.001",
                      "price": "40000", "orderLinkId": f"a1-{number}"}  # fmt: skip
            simulator.api.writes[CREATE](simulator.accounts[10_000_001], params)

    desk.running.call(many)
    assert len(await desk.exchange.open_orders()) == 101
    desk.fault(match={"path": "/v5/order/realtime", "nth": 2}, do="http", status=502)
    desk.fault(match={"path": "/v5/order/realtime"}, do="http", status=502)
    with pytest.raises(Exception, match="get_open_orders"):
        await desk.exchange.open_orders()


async def test_history_tells_fills_transfers_and_what_others_did(desk: Any, wait: Any) -> None:
    since = time.time_ns() - 10**9
    await desk.place("a1-x")
    await wait(lambda: desk.of(Filled, "a1-x"))
    desk.running.call(lambda: desk.running.simulator.accounts[10_000_001].adjust("USDT", Decimal(500)))
    activity = await desk.exchange.history(since)
    assert [type(one).__name__ for one in activity] == ["Filled", "BalanceChanged"]
    assert (await desk.exchange.balances())["USDT"] > Decimal(100_400)


def test_refusals_and_doubts_do_not_overlap() -> None:
    assert not codes.REFUSALS & codes.DUPLICATES
    assert not codes.REFUSALS & codes.LIMITED
    assert all(codes.verdict(code) is codes.Verdict.UNKNOWN for code in AMBIGUOUS)


async def test_an_exit_goes_first(desk: Any, wait: Any) -> None:
    await desk.place("a1-x")
    outcome = await desk.place("a1-y", side=Side.SELL, reduce_only=True)
    assert isinstance(outcome, Acked)
    await wait(lambda: desk.of(Filled, "a1-y"))
    assert await desk.exchange.positions() == []
