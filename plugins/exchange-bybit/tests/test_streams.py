"""The private stream: it is up only when it tells everything, and whatever ails it, it comes back."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck.domain.market import Quote
from quarterdeck.domain.order import OrderType
from quarterdeck.domain.report import Filled, Opened, StreamDown, StreamUp
from quarterdeck.plugin import FrameSource
from quarterdeck_exchange_bybit import BybitExchange, line
from quarterdeck_exchange_bybit import exchange as exchange_module
from quarterdeck_exchange_bybit.rest import Unreachable
from quarterdeck_exchange_bybit.server_clock import ServerClock


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watchdogs that bite sooner; their order among each other stays."""
    monkeypatch.setattr(line, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(exchange_module, "MUTE_SECONDS", 1.0)
    monkeypatch.setattr(exchange_module, "CANARY_SECONDS", 0.3)


def connections(desk: Any) -> int:
    return int(desk.exchange._line.connections)


async def test_a_dropped_socket_is_built_anew(desk: Any, wait: Any) -> None:
    desk.running.call(desk.running.server.drop_all)
    await wait(lambda: connections(desk) == 2 and desk.exchange.is_live)
    assert [type(one) for one in desk.heard] == [StreamDown, StreamUp]
    await desk.place("a1-x")
    await wait(lambda: desk.of(Filled, "a1-x"))


async def test_a_mute_topic_is_noticed_though_pings_are_answered(desk: Any, wait: Any) -> None:
    desk.fault(match={"topic": "*"}, do="mute")
    began = time.monotonic()
    await desk.place("a1-x")
    await wait(lambda: connections(desk) >= 2, 15)
    assert time.monotonic() - began < 15
    desk.mend()


async def test_fills_nobody_here_asked_for_are_missed_too(desk: Any, wait: Any) -> None:
    """Somebody trades in the app while the stream is mute: only the comparison with REST can tell."""
    desk.fault(match={"topic": "*"}, do="mute")
    desk.running.call(lambda: desk.running.simulator.trade_elsewhere(10_000_001, "btcusdt", "Buy", Decimal("0.2")))
    await wait(lambda: connections(desk) >= 2, 15)
    desk.mend()


async def test_a_socket_that_freezes_is_given_up(desk: Any, wait: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "SILENCE_SECONDS", 1.0)
    for socket in desk.running.call(lambda: list(desk.running.server._live)):
        socket.is_frozen = True
    await wait(lambda: connections(desk) >= 2, 15)


@pytest.mark.parametrize("path", ["auth", "subscribe:execution"])
async def test_it_is_not_up_before_every_topic_is_granted(desk: Any, wait: Any, path: str) -> None:
    desk.fault(match={"path": path}, do="code", code=10003, count=2)
    desk.running.call(desk.running.server.drop_all)
    await wait(lambda: not desk.exchange.is_live)
    await wait(lambda: desk.exchange.is_live)
    assert connections(desk) == 2  # the two refused ones never were


async def test_without_a_stream_it_does_not_open(running: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    running.call(lambda: running.simulator.faults.add({"match": {"path": "auth"}, "do": "code", "code": 10003}))
    monkeypatch.setattr(exchange_module, "OPEN_SECONDS", 0.5)
    exchange = BybitExchange(settings)
    await exchange.instruments()
    with pytest.raises(Unreachable, match="did not come up"):
        await exchange.open(lambda report: None)
    await exchange.close()


async def test_a_storm_of_connections_is_slowed_down(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fault(match={"path": "auth"}, do="code", code=10003)
    desk.running.call(desk.running.server.drop_all)
    before = len(desk.running.simulator.truth.of("socket"))
    await asyncio.sleep(3)
    opened = [entry for entry in desk.running.simulator.truth.of("socket")[before:] if entry.data["open"]]
    assert len(opened) < 30


async def test_a_message_that_cannot_be_understood_is_kept_apart(desk: Any, wait: Any) -> None:
    desk.fault(match={"topic": "execution"}, do="corrupt", field="execQty", count=1)
    await desk.place("a1-x")
    await wait(lambda: desk.exchange._line.quarantined)
    assert "execQty: None is not a number" in desk.exchange._line.quarantined[0]
    await wait(lambda: connections(desk) >= 2)  # it may have been a fill, so both sides agree again
    assert len(await desk.exchange.fills("a1-x", "btcusdt")) == 1


async def test_what_the_stream_says_can_be_kept_as_it_came(desk: Any, wait: Any) -> None:
    assert isinstance(desk.exchange, FrameSource)
    desk.fault(match={"topic": "execution"}, do="corrupt", field="execQty", count=1)
    await desk.place("a1-x")
    await wait(lambda: connections(desk) >= 2)
    assert {source for source, _ in desk.frames} == {"private"}
    told = [json.loads(body) for _, body in desk.frames]
    assert all("topic" in each for each in told), "answers and pongs are not kept"
    (corrupt,) = [each for each in told if each["topic"] == "execution"]
    assert corrupt["data"][0]["orderLinkId"] == "a1-x"
    assert "execQty" not in corrupt["data"][0]


def test_what_is_no_message_at_all_is_kept_too() -> None:
    kept: list[bytes] = []
    heard = line.Line("x", "", "", (), ServerClock(), lambda _: None, keep=lambda _, body: kept.append(body))
    for text in ('{"op":"pong"}', "{", '{"op":"auth","retCode":"x"}', '{"topic":7}'):
        heard._take(text)
    assert kept == [b"{", b'{"op":"auth","retCode":"x"}', b'{"topic":7}']
    assert len(heard.quarantined) == 3


async def test_an_unknown_status_is_asked_about(desk: Any, wait: Any) -> None:
    desk.fault(match={"topic": "order"}, do="corrupt", field="orderStatus", value="Resting", count=1)
    await desk.place("a1-x", OrderType.LIMIT, limit_price=Decimal(40_000))
    await wait(lambda: connections(desk) >= 2)
    assert not desk.of(Opened, "a1-x")
    (working,) = await desk.exchange.open_orders()
    assert working.link_id == "a1-x"


async def test_copies_and_shuffled_messages_are_the_same_facts(desk: Any, wait: Any) -> None:
    desk.fault(match={"topic": "*"}, do="dup", times=4, shuffle_ms=300)
    for number in range(5):
        await desk.place(f"a1-{number}")
    await wait(lambda: len(desk.of(Filled)) >= 20)
    assert len({fill.trade_id for fill in desk.of(Filled)}) == 5


async def test_a_handler_that_raises_does_not_end_the_stream(desk: Any, wait: Any) -> None:
    calls = {"n": 0}
    hear = desk.exchange._line._hear

    def once(topic: Any) -> None:
        calls["n"] += 1
        if calls["n"] == 1:
            raise RuntimeError("a bug")
        hear(topic)

    desk.exchange._line._hear = once
    await desk.place("a1-x")
    await wait(lambda: connections(desk) >= 2)
    await desk.place("a1-y")
    await wait(lambda: desk.of(Filled, "a1-y"))


async def test_a_stream_that_is_quicker_than_the_answer_is_not_mute(desk: Any, wait: Any) -> None:
    desk.fault(match={"path": "/v5/order/create"}, do="delay_answer", ms=300, count=1)
    await desk.place("a1-x")
    await asyncio.sleep(2)  # twice as long as it may say nothing
    assert desk.of(Filled, "a1-x")
    assert connections(desk) == 1


async def test_what_happened_before_it_listened_is_not_missed(running: Any, settings: Any) -> None:
    quote = Quote("btcusdt", time.time_ns(), 50_000.0, 1e6, 50_000.1, 1e6)
    running.call(lambda: running.simulator.show(quote))
    running.call(lambda: running.simulator.trade_elsewhere(10_000_001, "btcusdt", "Buy", Decimal("0.2")))
    exchange = BybitExchange(settings)
    await exchange.instruments()
    await exchange.open(lambda report: None)
    await asyncio.sleep(2)
    assert exchange._line is not None
    assert exchange._line.connections == 1
    await exchange.close()
