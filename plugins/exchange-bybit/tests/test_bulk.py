"""Many orders in few requests: books are swept, each leg of a batch answers, stops stay, and closes find room."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.market import Quote, Side
from quarterdeck.domain.order import OrderTerms, OrderType
from quarterdeck.domain.report import Acked, Canceled, CancelRejected, ChildOpened, Filled, Opened, Rejected, Unknown
from quarterdeck.plugin import BulkCancel, CancelOrder, PlaceOrder
from quarterdeck_bybit_simulator import Member, Simulator, SimulatorSettings
from quarterdeck_bybit_simulator.catalog import BTC, BTC_SPOT
from quarterdeck_bybit_simulator.fixtures import API_KEY, API_SECRET
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_exchange_bybit import BybitSettings
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.row import Row
from quarterdeck_exchange_bybit.legs import outcomes_of
from quarterdeck_exchange_bybit.written import NOTHING, Written

CREATE, CLOSE = "/v5/order/create", "/v5/order/create-batch"
CANCEL, BATCH, SWEEP = "/v5/order/cancel", "/v5/order/cancel-batch", "/v5/order/cancel-all"


def rows(*codes: int) -> Row:
    return Row({"list": [{"orderId": f"x{at}" if not code else ""} for at, code in enumerate(codes)]}, "result")


def legs(*codes: int) -> dict[str, Any]:
    return {"list": [{"code": code, "msg": "so it is"} for code in codes]}


@pytest.mark.parametrize(
    ("written", "outcomes"),
    [
        (Written(Verdict.TAKEN, True, 0, "OK", rows(0, 110001, 10016), extra=legs(0, 110001, 10016)), "TRU"),
        (Written(Verdict.TAKEN, True, 0, "OK", rows(0, 0), extra=legs(0, 0)), "UUU"),
        (Written(Verdict.TAKEN, True, 0, "OK", rows(0, 0, 0), extra=legs(0, 0)), "UUU"),
        (Written(Verdict.TAKEN, True, 0, "OK", rows(0, 0, 0), extra={}), "UUU"),
        (Written(Verdict.TAKEN, True, 0, "OK", NOTHING, extra=legs(0, 0, 0)), "UUU"),
        (Written(Verdict.TAKEN, True, 0, "OK", rows(0, 0, 0), extra={"list": [{}, {}, {}]}), "UUU"),
        (Written(Verdict.UNKNOWN, True, 0, "no answer", NOTHING), "UUU"),
        (Written(Verdict.REFUSED, True, 10001, "params error", NOTHING), "RRR"),
    ],
)
def test_each_leg_of_a_batch_has_an_outcome_or_all_are_in_doubt(written: Written, outcomes: str) -> None:
    assert [each.verdict[0] for each in outcomes_of(written, 3)] == list(outcomes)


def asked(desk: Any, *paths: str) -> list[dict[str, Any]]:
    """Bodies of the requests that reached Bybit."""
    found = desk.running.call(lambda: desk.running.simulator.truth.of("request"))
    return [json.loads(each.data["body"]) for each in found if each.data["path"] in paths]


def working(desk: Any) -> set[str]:
    """What works at Bybit, by link or, what Bybit opened, by kind."""
    account = desk.running.simulator.accounts[10_000_001]
    found: set[str] = desk.running.call(
        lambda: {each.link_id or each.row()["stopOrderType"] for each in account.open_orders()}
    )
    return found


def ends(*links: str) -> list[CancelOrder]:
    return [CancelOrder(link, "btcusdt") for link in links]


@pytest.fixture
async def full(desk: Any, wait: Any) -> Any:
    """A position with its stop, four orders that rest, and one that waits for its trigger."""
    assert isinstance(desk.exchange, BulkCancel)
    await desk.place("a1-held", stop_loss=Decimal(49_000))
    for number in range(4):
        await desk.place(f"a1-{number}", OrderType.LIMIT, limit_price=Decimal(40_000 + number))
    await desk.place("a1-stop", OrderType.STOP, trigger_price=Decimal(60_000))
    await wait(lambda: len(desk.of(Opened)) >= 5 and desk.of(ChildOpened) and desk.of(Filled, "a1-held"))
    return desk


RESTING = ("a1-0", "a1-1", "a1-2", "a1-3")


async def test_a_book_is_emptied_by_one_request_that_names_no_stop(full: Any, wait: Any) -> None:
    assert await full.exchange.cancel_many(ends(*RESTING, "a1-stop"), {"btcusdt"}) == []
    await wait(lambda: len(full.of(Canceled)) == 5)
    assert asked(full, SWEEP) == [{"category": "linear", "symbol": "BTCUSDT", "orderFilter": "Order"}]
    assert [each["orderLinkId"] for each in asked(full, CANCEL)] == ["a1-stop"]
    assert working(full) == {"PartialStopLoss"}


async def test_what_is_to_stay_in_the_book_stays(full: Any, wait: Any) -> None:
    """By name then: in batches, and the last few one by one."""
    assert await full.exchange.cancel_many(ends(*RESTING[1:], "a1-stop"), set()) == []
    await wait(lambda: len(full.of(Canceled)) == 4)
    assert asked(full, SWEEP) == []
    assert [len(each["request"]) for each in asked(full, BATCH)] == [4]
    assert working(full) == {"PartialStopLoss", "a1-0"}
    assert await full.exchange.cancel_many(ends("a1-0"), set()) == []
    await wait(lambda: len(full.of(Canceled)) == 5)
    assert [each["orderLinkId"] for each in asked(full, CANCEL)] == ["a1-0"]


@pytest.mark.parametrize(
    "rule",
    [
        {"do": "accept_then_drop"},
        {"do": "drop_request"},
        {"do": "http", "status": 502},
        {"do": "code", "code": 10016, "after": True},
    ],
)
async def test_a_sweep_in_doubt_is_repeated(full: Any, wait: Any, rule: dict[str, Any]) -> None:
    full.fault(match={"path": SWEEP}, count=1, **rule)
    assert await full.exchange.cancel_many(ends(*RESTING), {"btcusdt"}) == []
    await wait(lambda: len(full.of(Canceled)) == 4)
    assert working(full) == {"PartialStopLoss", "a1-stop"}


async def test_what_no_sweep_took_is_asked_for_by_name(full: Any, wait: Any) -> None:
    full.fault(match={"path": SWEEP}, do="http", status=502)
    assert await full.exchange.cancel_many(ends(*RESTING), {"btcusdt"}) == []
    await wait(lambda: len(full.of(Canceled)) == 4)
    assert asked(full, SWEEP) == []
    assert working(full) == {"PartialStopLoss", "a1-stop"}


async def test_each_leg_of_a_batch_is_told_by_itself(full: Any, wait: Any) -> None:
    """Legs one and three fail, one for certain; the second is done and comes without an id."""
    full.fault(match={"path": BATCH, "leg": 1}, do="code", code=10016)
    full.fault(match={"path": BATCH, "leg": 2}, do="code", code=0, after=True)
    full.fault(match={"path": BATCH, "leg": 3}, do="code", code=110001)
    orders = ends(*RESTING)
    assert await full.exchange.cancel_many(orders, set()) == orders[:1]
    await wait(lambda: {each.link_id for each in full.of(Canceled)} == {"a1-1", "a1-3"})
    (rejected,) = full.of(CancelRejected)
    assert (rejected.link_id, rejected.reason) == ("a1-2", "110001 faulty")
    assert working(full) == {"PartialStopLoss", "a1-stop", "a1-0", "a1-2"}


async def test_from_a_banned_address_they_leave_over_the_trade_socket(full: Any, wait: Any) -> None:
    simulator = full.running.simulator
    full.running.call(lambda: simulator.gate.ban("127.0.0.1", simulator.now()))
    assert await full.exchange.cancel_many(ends(*RESTING, "a1-stop"), {"btcusdt"}) == []
    await wait(lambda: len(full.of(Canceled)) == 5)
    operations = full.running.call(lambda: {each.data["op"] for each in simulator.truth.of("operation")})
    assert operations <= {"order.cancel", "order.cancel-batch"}
    assert working(full) == {"PartialStopLoss"}


async def test_from_a_banned_address_nobody_knows(full: Any) -> None:
    full.fault(match={"path": "auth"}, do="code", code=10003)  # the trade socket does not come back
    full.running.call(full.running.server.drop_all)
    simulator = full.running.simulator
    full.running.call(lambda: simulator.gate.ban("127.0.0.1", simulator.now()))
    orders = ends(*RESTING)
    left = await full.exchange.cancel_many(orders, {"btcusdt"})
    assert {each.link_id for each in left} == set(RESTING)
    assert not full.of(CancelRejected)


async def test_a_close_is_not_held_up_where_orders_are_too_many(full: Any, wait: Any) -> None:
    full.fault(match={"path": CREATE}, do="code", code=10006)
    assert isinstance(await full.place("a1-more"), Unknown)
    closing = await full.place("a1-close", side=Side.SELL, reduce_only=True)
    assert isinstance(closing, Acked)
    await wait(lambda: full.of(Filled, "a1-close"))
    assert [len(each["request"]) for each in asked(full, CLOSE)] == [1]
    assert "PartialStopLoss" not in working(full), "Bybit takes the stop off with the position"


async def test_a_close_has_three_outcomes_too(full: Any) -> None:
    wanted: dict[str, Any] = {"side": Side.SELL, "reduce_only": True}
    full.fault(match={"path": CLOSE, "leg": 1}, do="code", code=110017, count=1)
    assert isinstance(await full.place("a1-a", **wanted), Rejected)
    full.fault(match={"path": CLOSE, "leg": 1}, do="code", code=10016, count=1)
    assert isinstance(await full.place("a1-b", **wanted), Unknown)
    full.fault(match={"path": CLOSE}, do="accept_then_drop", count=1)
    assert isinstance(await full.place("a1-c", **wanted), Unknown)
    assert [row["orderLinkId"] for row in full.creates()].count("a1-c") == 1


class TestPairs:
    """On spot, which has no batches in the demo, so that none are used."""

    @pytest.fixture
    def running(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSimulator]:
        use_money_context()
        monkeypatch.setenv("SIMULATED_API_KEY", API_KEY)
        monkeypatch.setenv("SIMULATED_API_SECRET", API_SECRET)
        member = Member(API_KEY, API_SECRET, balances=(("USDT", Decimal(100_000)), ("BTC", Decimal(1))))
        with RunningSimulator(Simulator([BTC, BTC_SPOT], SimulatorSettings(members=(member,)))) as running:
            yield running

    @pytest.fixture
    def settings(self, settings: BybitSettings) -> BybitSettings:
        return BybitSettings.model_validate(settings.model_dump() | {"symbols": ["btcusdt", "btcusdt-spot"]})

    async def test_a_book_is_emptied_and_what_waits_for_its_trigger_stays(self, desk: Any, wait: Any) -> None:
        quote = Quote("btcusdt-spot", time.time_ns(), 50_000.0, 1e6, 50_000.1, 1e6)
        desk.running.call(lambda: desk.running.simulator.show(quote))

        async def place(link: str, kind: OrderType = OrderType.LIMIT, **terms: Any) -> None:
            wanted = OrderTerms("btcusdt-spot", terms.pop("side", Side.BUY), kind, Decimal("0.01"), **terms)
            assert isinstance(await desk.exchange.place(PlaceOrder(link, wanted)), Acked)

        for number in range(5):
            await place(f"a1-{number}", limit_price=Decimal(40_000))
        await place("a1-stop", OrderType.STOP, side=Side.SELL, trigger_price=Decimal(48_000))
        await wait(lambda: len(desk.of(Opened)) >= 6)
        named = [CancelOrder(link, "btcusdt-spot") for link in ("a1-3", "a1-4")]
        assert await desk.exchange.cancel_many(named, set()) == []
        await wait(lambda: len(desk.of(Canceled)) == 2)
        assert (len(asked(desk, CANCEL)), len(asked(desk, BATCH))) == (2, 0)
        rest = [CancelOrder(f"a1-{number}", "btcusdt-spot") for number in range(3)]
        assert await desk.exchange.cancel_many(rest, {"btcusdt-spot"}) == []
        await wait(lambda: len(desk.of(Canceled)) == 5)
        assert asked(desk, SWEEP) == [{"category": "spot", "symbol": "BTCUSDT", "orderFilter": "Order"}]
        assert working(desk) == {"a1-stop"}
