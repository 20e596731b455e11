from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quarterdeck.testing.feed_suite import FeedSuite
from quarterdeck.testing.views import BTCUSDT, PEPEUSDT_SPOT
from quarterdeck_feed_file import quarterdeck_feeds


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    """Ten thousand minutes, of which a few are missing."""
    minutes = [number for number in range(10_000) if number % 997]
    path = tmp_path / "candles.parquet"
    closes = [100.0 + number % 13 for number in minutes]
    columns = {"open": 100.0, "high": 113.0, "low": 99.0, "volume": 1.5}
    table = {
        "ts": pa.array([1_735_689_600_000 + number * 60_000 for number in minutes], pa.timestamp("ms", "UTC")),
        **{name: pa.array([value] * len(minutes)) for name, value in columns.items()},
        "close": pa.array(closes),
    }
    pq.write_table(pa.table(table), path)
    return path


@pytest.fixture
def trades(tmp_path: Path) -> Path:
    """Three trades at each of five hundred moments."""
    path = tmp_path / "trades.csv"
    lines = [
        f"{1_735_689_600 + number // 3},{100 + number % 7},0.5,{'buy' if number % 2 else 'sell'}"
        for number in range(1_500)
    ]
    path.write_text("\n".join(["ts,price,size,side", *lines]))
    return path


class TestCandles(FeedSuite):
    factory = quarterdeck_feeds()[0]

    @pytest.fixture(autouse=True)
    def _file(self, candles: Path) -> None:
        self.settings = MappingProxyType({"path": str(candles), "on_gap": "allow"})


class TestPartOfTheCandles(FeedSuite):
    factory = quarterdeck_feeds()[0]

    @pytest.fixture(autouse=True)
    def _file(self, candles: Path) -> None:
        period = {"start": "2025-01-02T00:00:00Z", "end": "2025-01-02T06:00:00Z"}
        self.settings = MappingProxyType({"path": str(candles), "on_gap": "allow", **period})


class TestSeveralInstruments(FeedSuite):
    factory = quarterdeck_feeds()[0]
    instruments = (BTCUSDT, PEPEUSDT_SPOT)

    @pytest.fixture(autouse=True)
    def _file(self, candles: Path) -> None:
        files = {"pepeusdt-spot": str(candles), "btcusdt": [str(candles)]}
        self.settings = MappingProxyType({"path": files, "on_gap": "allow"})


class TestTrades(FeedSuite):
    factory = quarterdeck_feeds()[0]
    sample = 2_000

    @pytest.fixture(autouse=True)
    def _file(self, trades: Path) -> None:
        self.settings = MappingProxyType({"path": str(trades), "kind": "trades", "time_unit": "s"})
