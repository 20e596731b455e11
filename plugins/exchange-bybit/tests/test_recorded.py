"""Every recorded message and every example of Bybit's documentation is understood, or refused by name."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import MINUTE
from quarterdeck_exchange_bybit.codec import executions, frames, market, orders
from quarterdeck_exchange_bybit.codec.account import read_balances, read_key_info, read_position
from quarterdeck_exchange_bybit.codec.listing import Listing, read_instrument, symbol_of
from quarterdeck_exchange_bybit.codec.orderbook import LiveBook, OutOfStep
from quarterdeck_exchange_bybit.codec.row import Malformed, Row

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("QUARTERDECK_DATA", ROOT.parent / "shared" / "data")) / "bybit_v5"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set QUARTERDECK_DATA")


STEP = Decimal("0.001")


def instrument(venue_symbol: str, category: str = "linear") -> Instrument:
    """Whatever is asked for, listed."""
    kind = InstrumentKind.SPOT if category == "spot" else InstrumentKind.LINEAR
    return Instrument(symbol_of(category, venue_symbol), venue_symbol, kind, "BTC", "USDT", "USDT", STEP, STEP, STEP)


class Anything(Listing):
    """Lists whatever is asked for."""

    def __init__(self) -> None:
        super().__init__([])

    def find(self, category: str, venue_symbol: str) -> Any:
        return instrument(venue_symbol, category)


EVERYTHING = Anything()


def objects(value: object) -> Iterator[dict[str, Any]]:
    """Every JSON object within a value."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from objects(each)
    elif isinstance(value, list):
        for each in value:
            yield from objects(each)


def recorded() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(DATA.rglob("*.json*")):
        texts = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        for text in texts:
            for each in objects(json.loads(text)):
                yield str(path.relative_to(DATA)), each


def read(fields: dict[str, Any]) -> str:
    """Read a row by what it looks like; returns what it was, or an empty text for what is none of our business."""
    row = Row(fields, "row")
    category = fields.get("category") or "linear"
    if "execId" in fields and "execType" in fields:
        executions.read_execution(row, EVERYTHING, category)
        return "execution"
    if "orderStatus" in fields and "cumExecQty" in fields:
        list(orders.order_reports(orders.read_order(row, EVERYTHING, category)))
        return "order"
    if "positionIdx" in fields and "size" in fields and "markPrice" in fields:
        read_position(row, EVERYTHING, category)
        return "position"
    if "coin" in fields and "totalWalletBalance" in fields:
        list(read_balances(row))
        return "wallet"
    if "lotSizeFilter" in fields:
        read_instrument(row, "linear" if "contractType" in fields else "spot")
        return "instrument"
    if "permissions" in fields and "readOnly" in fields and "ips" in fields and "userID" in fields:
        read_key_info(row)
        return "key"
    if str(fields.get("topic", "")).startswith("orderbook."):
        with suppress(OutOfStep):  # one message alone may well be a change
            LiveBook("x").take(row)
        return "orderbook"
    if str(fields.get("topic", "")).startswith("kline.") and fields["topic"].split(".")[1] == "5":
        for each in row.rows("data"):
            market.read_live_kline(each, instrument("BTCUSDT"), 5 * MINUTE)
        return "kline"
    if str(fields.get("topic", "")).startswith("publicTrade."):
        list(market.read_trades(row.rows("data"), instrument("BTCUSDT")))
        return "trade"
    if "lastPrice" in fields and "symbol" in fields:
        market.read_ticker(row, "x", 1)
        return "ticker"
    return ""


def test_all_of_it() -> None:
    understood: Counter[str] = Counter()
    refused: dict[str, str] = {}
    for path, fields in recorded():
        try:
            understood[read(fields)] += 1
        except Malformed as error:
            refused[path] = str(error)
        except Exception as error:  # what is neither read nor refused by name
            raise AssertionError(f"{path}: {fields}") from error
    assert understood.total() > 1_000
    assert set(understood) > {"execution", "order", "position", "wallet", "instrument", "key", "orderbook", "ticker"}
    # Options among the instruments, a position's margin call without a side, and levels written by another library.
    assert refused == {
        "docs_examples/market/instrument.json": "row.lotSizeFilter.basePrecision: None is not a number",
        "docs_examples/position/manual-add-margin.json": "row.side: None is not a text",
        "recorded_testnet/ws/public-v5-orderbook.json": (
            "row.data.b[0]: {'price': '22975.10', 'size': '261.537'} is not a price and a size"
        ),
    }


def test_frames_and_answers() -> None:
    for path in sorted((DATA / "nautilus").glob("ws_*.json")):
        text = path.read_text()
        if "topic" in json.loads(text) or "op" in json.loads(text):
            frames.read_frame(text)
    for path in sorted((DATA / "nautilus").glob("http_*.json")):
        assert frames.read_answer(path.read_text()).code == 0
