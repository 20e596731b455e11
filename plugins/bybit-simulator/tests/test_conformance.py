"""What the simulator writes has the fields of what was recorded from Bybit and of its documentation's examples."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.domain.market import HOUR, MINUTE, FundingRate, Side, Trade

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("QUARTERDECK_DATA", ROOT.parent / "shared" / "data")) / "bybit_v5"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set QUARTERDECK_DATA")

Fields = dict[str, Any]

#: How each kind of row is told from all others.
KINDS: dict[str, Callable[[Fields], object]] = {
    "order": lambda row: "orderStatus" in row and "cumExecQty" in row,
    "execution": lambda row: "execId" in row and "execType" in row,
    "position": lambda row: "positionIdx" in row and "size" in row and "markPrice" in row,
    "wallet": lambda row: "totalWalletBalance" in row and "coin" in row,
    "coin": lambda row: "walletBalance" in row and "coin" in row,
    "linear instrument": lambda row: "lotSizeFilter" in row and row.get("contractType") == "LinearPerpetual",
    "spot instrument": lambda row: "lotSizeFilter" in row and "contractType" not in row,
    "linear lots": lambda row: "qtyStep" in row,
    "spot lots": lambda row: "basePrecision" in row and "minOrderQty" in row,
    "linear ticker": lambda row: "bid1Price" in row and "openInterestValue" in row and "fundingRate" in row,
    "spot ticker": lambda row: "bid1Price" in row and "usdIndexPrice" in row,
    "key": lambda row: "permissions" in row and "readOnly" in row and "ips" in row,
    "permissions": lambda row: "ContractTrade" in row and "Spot" in row,
    "kline": lambda row: "confirm" in row and "interval" in row,
    "trade": lambda row: "BT" in row and "L" in row,
    "book": lambda row: {"s", "b", "a", "u"} <= set(row),
    "funding rate": lambda row: "fundingRateTimestamp" in row,
    "account": lambda row: "marginMode" in row and "unifiedMarginStatus" in row,
    "fee": lambda row: "takerFeeRate" in row and "symbol" in row and "lotSizeFilter" not in row,
    "transaction": lambda row: "transSubType" in row and "cashFlow" in row,
    "leg of a batch": lambda row: "createAt" in row and "category" in row,
    "code of a leg": lambda row: "code" in row and "msg" in row,
    "protection": lambda row: "dcpStatus" in row and "product" in row,
}

#: Fields that Bybit's documentation lists in its tables, and shows in no example.
LISTED: dict[str, set[str]] = {"order": {"marketUnit", "parentOrderLinkId"}}


def objects(value: object) -> Iterator[Fields]:
    """Every JSON object within a value."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from objects(each)
    elif isinstance(value, list):
        for each in value:
            yield from objects(each)


@cache
def recorded() -> list[tuple[bool, bool, Fields]]:
    """Every object there is: whether it is of the documentation, whether of a stream, and itself."""
    found = []
    for path in sorted(DATA.rglob("*.json*")):
        texts = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        name = str(path.relative_to(DATA))
        is_stream = "websocket" in name or "/ws" in name
        for text in texts:
            found += [(name.startswith("docs_examples"), is_stream, each) for each in objects(json.loads(text))]
    return found


def known(kind: str) -> set[str]:
    """Every field a kind of row has anywhere."""
    return {name for _, _, row in recorded() if KINDS[kind](row) for name in row}


def required(kind: str, *, is_stream: bool) -> set[str]:
    """The fields that every documented example of a kind has, on REST or in a stream."""
    rows = [
        set(row) for documented, stream, row in recorded() if documented and stream is is_stream and KINDS[kind](row)
    ]
    return set.intersection(*rows) if rows else set()


@pytest.fixture
def written(desk: Any) -> list[tuple[bool, Fields]]:
    """All that the simulator writes in a session in which everything happens: whether in a stream, and the row."""
    desk.simulator.settings.limits_apply = False
    desk.place(orderType="Market", orderLinkId="a1", stopLoss="49000", takeProfit="52000", tpslMode="Partial")
    desk.place(orderLinkId="a2")
    desk.call("/v5/order/cancel", category="linear", symbol="BTCUSDT", orderLinkId="a2")
    stop = {"category": "linear", "symbol": "BTCUSDT", "tpslMode": "Full", "positionIdx": 0, "trailingStop": "100"}
    desk.call("/v5/position/trading-stop", **stop)
    desk.place(category="spot", symbol="BTCUSDT", qty="0.01", orderType="Market", marketUnit="baseCoin")
    desk.now += 9 * HOUR
    desk.simulator.show(FundingRate("btcusdt", desk.now // HOUR * HOUR, 0.0001))
    for symbol in ("btcusdt", "btcusdt-spot"):
        desk.simulator.show(Trade(symbol, desk.now, 50_001.0, 0.5, Side.BUY))
        desk.now += MINUTE
        desk.simulator.show(Trade(symbol, desk.now, 50_002.0, 0.5, Side.SELL))
    desk.simulator.accounts[10_000_001].adjust("USDT", Decimal(5))
    desk.call("/v5/order/disconnected-cancel-all", product="DERIVATIVES", timeWindow=10)
    answers = [
        desk.call(path, **params)
        for category in ("linear", "spot")
        for path in ("/v5/order/realtime", "/v5/order/history", "/v5/execution/list", "/v5/market/instruments-info",
                     "/v5/market/tickers", "/v5/account/fee-rate", "/v5/market/orderbook")
        for params in [{"category": category, "symbol": "BTCUSDT"}]
    ]  # fmt: skip
    linear = {"category": "linear", "symbol": "BTCUSDT"}
    for path, params in (
        ("/v5/position/list", linear),
        ("/v5/market/funding/history", linear),
        (
            "/v5/order/create-batch",
            {"category": "linear", "request": [{"symbol": "BTCUSDT", "side": "Buy", "qty": "1"}]},
        ),
        ("/v5/account/wallet-balance", {"accountType": "UNIFIED"}),
        ("/v5/account/info", {}),
        ("/v5/account/transaction-log", {}),
        ("/v5/account/query-dcp-info", {}),
        ("/v5/user/query-api", {}),
    ):
        answers.append(desk.call(path, **params))
    assert {answer["retCode"] for answer in answers} == {0}
    streams = [(True, row) for _, message in desk.told for row in objects(message["data"])]
    shown = [answer[part] for answer in answers for part in ("result", "retExtInfo")]
    return streams + [(False, row) for part in shown for row in objects(part)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_fields(written: list[tuple[bool, Fields]], kind: str) -> None:
    rows = [(stream, row) for stream, row in written if KINDS[kind](row)]
    assert rows, f"the session made no {kind}"
    unknown = {name for _, row in rows for name in row} - known(kind) - LISTED.get(kind, set())
    missing = {name for stream, row in rows for name in required(kind, is_stream=stream) - set(row)}
    assert not unknown, f"Bybit has no {kind} with {sorted(unknown)}"
    assert not missing, f"every {kind} of Bybit has {sorted(missing)}"


def test_the_same_candles(desk: Any) -> None:
    desk.simulator.show(Trade("btcusdt", desk.now, 50_000.0, 0.5, Side.BUY))
    (row,) = desk.call("/v5/market/kline", category="linear", symbol="BTCUSDT", interval="1")["result"]["list"]
    documented = json.loads((DATA / "nautilus" / "http_get_klines_linear.json").read_text())["result"]["list"]
    assert {len(each) for each in documented} == {len(row)}
    assert all(isinstance(each, str) for each in row)
