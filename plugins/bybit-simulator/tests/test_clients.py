"""Clients that nobody here wrote work against the simulator unchanged: pybit and ccxt."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ccxt
import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP, WebSocket

from quarterdeck_bybit_simulator import SimulatorServer


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def pybit_session(server: SimulatorServer) -> None:
    class Redirected(WebSocket):  # type: ignore[misc]  # pybit has no types
        def _connect(self, url: str) -> None:
            super()._connect(server.socket_url + url[url.index("/v5/") :])

        def _on_message(self, message: str) -> None:
            if "subscribe" in message:
                time.sleep(0.2)  # it notes what it asked for after asking, and hangs if the answer is there before
            super()._on_message(message)

    http = HTTP(testnet=True, api_key="key", api_secret="secret")
    http.endpoint = server.rest_url
    told: list[dict[str, Any]] = []
    # Its log-in is good for a second unless it is told otherwise, and it waits for ever where that was too short.
    private = Redirected(
        testnet=True, channel_type="private", api_key="key", api_secret="secret", private_auth_expire=60
    )
    for subscribe in (private.order_stream, private.execution_stream, private.position_stream, private.wallet_stream):
        subscribe(callback=told.append)
    public = Redirected(testnet=True, channel_type="linear")
    books: list[dict[str, Any]] = []
    public.orderbook_stream(50, "BTCUSDT", callback=books.append)
    wait_for(lambda: books)

    order = {"category": "linear", "symbol": "BTCUSDT", "qty": "0.1"}
    taken = http.place_order(
        **order, side="Buy", orderType="Market", orderLinkId="p1", stopLoss="49000", tpslMode="Partial"
    )
    assert taken["result"]["orderLinkId"] == "p1"
    resting = http.place_order(**order, side="Buy", orderType="Limit", price="40000", orderLinkId="p2")
    http.amend_order(category="linear", symbol="BTCUSDT", orderId=resting["result"]["orderId"], price="41000")
    found = http.get_open_orders(category="linear", symbol="BTCUSDT", orderLinkId="p2")["result"]["list"]
    assert [row["price"] for row in found] == ["41000"]
    http.cancel_order(category="linear", symbol="BTCUSDT", orderLinkId="p2")
    (position,) = http.get_positions(category="linear", settleCoin="USDT")["result"]["list"]
    assert (position["side"], position["size"]) == ("Buy", "0.1")
    far = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.1"}
    rests = [{**far, "price": price, "orderLinkId": f"p-{price}"} for price in ("30000", "31000", "32000")]
    made = http.place_batch_order(category="linear", request=[*rests, {**far, "qty": "x"}])
    assert [leg["code"] for leg in made["retExtInfo"]["list"]] == [0, 0, 0, 10001]
    named = [{"symbol": "BTCUSDT", "orderLinkId": "p-30000"}]
    changed = http.amend_batch_order(category="linear", request=[{**named[0], "price": "30001"}])
    assert changed["result"]["list"][0]["orderLinkId"] == "p-30000"
    assert http.cancel_batch_order(category="linear", request=named)["retExtInfo"]["list"] == [{"code": 0, "msg": "OK"}]
    swept = http.cancel_all_orders(category="linear", symbol="BTCUSDT", orderFilter="Order")["result"]
    assert {row["orderLinkId"] for row in swept["list"]} == {"p-31000", "p-32000"}
    stops = http.get_open_orders(category="linear", symbol="BTCUSDT", orderFilter="StopOrder")["result"]["list"]
    assert [row["stopOrderType"] for row in stops] == ["PartialStopLoss"]
    http.set_leverage(category="linear", symbol="BTCUSDT", buyLeverage="20", sellLeverage="20")
    http.set_trading_stop(category="linear", symbol="BTCUSDT", tpslMode="Full", positionIdx=0, takeProfit="60000")
    assert len(http.get_executions(category="linear", symbol="BTCUSDT")["result"]["list"]) == 1
    assert http.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]["coin"]
    assert http.get_api_key_information()["result"]["userID"] == 10_000_001
    with pytest.raises(InvalidRequestError, match="110072"):
        http.place_order(**order, side="Buy", orderType="Limit", price="40000", orderLinkId="p2")
    assert http.get_kline(category="linear", symbol="BTCUSDT", interval="1")["retCode"] == 0
    assert http.get_instruments_info(category="spot")["result"]["list"][0]["symbol"] == "BTCUSDT"
    wait_for(lambda: {message["topic"] for message in told} == {"order", "execution", "position", "wallet"})
    private.exit()
    public.exit()


def ccxt_session(server: SimulatorServer) -> None:
    client = ccxt.bybit({"apiKey": "key", "secret": "secret"})
    client.urls["api"] = dict.fromkeys(client.urls["api"], server.rest_url)
    client.options |= {"fetchMarkets": {"types": ["linear", "spot"]}, "enableUnifiedAccount": True}
    client.has["fetchCurrencies"] = False
    perpetual = "BTC/USDT:USDT"
    assert set(client.load_markets()) == {"BTC/USDT", perpetual}
    before = client.fetch_balance()["USDT"]["total"]
    resting = client.create_order(perpetual, "limit", "buy", 0.01, 40_000)
    assert [each["id"] for each in client.fetch_open_orders(perpetual)] == [resting["id"]]
    assert client.cancel_order(resting["id"], perpetual)["id"] == resting["id"]
    rests = [
        {"symbol": perpetual, "type": "limit", "side": "buy", "amount": 0.01, "price": each} for each in (1e4, 2e4)
    ]
    made = client.create_orders(rests)
    assert {each["id"] for each in client.fetch_open_orders(perpetual)} == {each["id"] for each in made}
    client.cancel_orders([made[0]["id"]], perpetual)
    client.cancel_all_orders(perpetual)
    assert client.fetch_open_orders(perpetual) == []
    client.create_order(perpetual, "market", "sell", 0.01)
    (position,) = client.fetch_positions([perpetual])
    assert (position["side"], position["contracts"]) == ("short", 0.01)
    (trade,) = client.fetch_my_trades(perpetual)
    assert trade["amount"] == 0.01
    assert client.fetch_balance()["USDT"]["total"] < before
    assert client.fetch_order_book(perpetual)["bids"][0][0] == 50_000.0
    assert client.fetch_ticker(perpetual)["bid"] == 50_000.0


async def test_pybit(server: SimulatorServer) -> None:
    await asyncio.to_thread(pybit_session, server)


async def test_ccxt(server: SimulatorServer) -> None:
    await asyncio.to_thread(ccxt_session, server)
