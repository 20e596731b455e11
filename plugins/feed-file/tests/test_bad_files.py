"""Every way a file can be wrong, and the text its owner gets."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quarterdeck.plugin import ConfigError
from quarterdeck.testing.views import BTCUSDT
from quarterdeck_feed_file import FileFeed, FileSettings

CANDLES = """\
ts,open,high,low,close,volume
2025-01-01T00:00:00Z,100,110,90,105,1
2025-01-01T00:05:00Z,105,111,95,106,2
2025-01-01T00:10:00Z,106,112,96,107,0
2025-01-01T00:15:00Z,107,113,97,108,4.5
2025-01-01T00:20:00Z,108,114,98,109,3
"""
TRADES = """\
ts,price,size,side
2025-01-01T00:00:00Z,100,0.5,buy
2025-01-01T00:00:00Z,101,0.5,SELL
2025-01-01T00:00:07Z,102,0.5,-1
"""


async def opened(*paths: Path, **settings: object) -> FileFeed:
    feed = FileFeed(FileSettings.model_validate({"path": [str(path) for path in paths], **settings}))
    await feed.open([BTCUSDT])
    return feed


async def refusal(path: Path, **settings: object) -> str:
    """The complaint, without the name of the folder; and nothing is delivered."""
    feed = FileFeed(FileSettings.model_validate({"path": str(path), **settings}))
    with pytest.raises(ConfigError) as refused:
        await feed.open([BTCUSDT])
    assert [event async for event in feed.stream(0)] == []
    return str(refused.value).replace(f"{path.parent}/", "")


def csv(folder: Path, text: str, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def parquet(folder: Path, **columns: Any) -> Path:
    count = len(columns["ts"])
    prices = {name: pa.array([1.0] * count) for name in ("open", "high", "low", "close", "volume")}
    path = folder / "file.parquet"
    pq.write_table(pa.table({**prices, **columns}), path)
    return path


MOMENTS = pa.array([1_735_689_600_000, 1_735_689_660_000], pa.timestamp("ms", "UTC"))


async def test_the_file_that_the_others_spoil_is_good(tmp_path: Path) -> None:
    feed = await opened(csv(tmp_path, CANDLES))
    assert len([event async for event in feed.stream(0)]) == 5
    feed = await opened(csv(tmp_path, TRADES), kind="trades")
    assert len([event async for event in feed.stream(0)]) == 3


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("96,107,0", "96,nan,0", "file.csv: row 3: close = nan: must be a finite number"),
        ("96,107,0", "96,inf,0", "file.csv: row 3: close = inf: must be a finite number"),
        ("96,107,0", "96,,0", "file.csv: row 3: close is missing; every row needs a number"),
        ("96,107,0", "96,many,0", "file.csv: row 3: close = 'many': must be a number"),
        ("96,107,0", "96,1_0,0", "file.csv: row 3: close = '1_0': must be a number"),
        ("96,107,0", "96,0,0", "file.csv: row 3: close = 0.0: must be above zero"),
        ("96,107,0", "-96,107,0", "file.csv: row 3: low = -96.0: must be above zero"),
        ("96,107,0", "96,107,-1", "file.csv: row 3: volume = -1.0: must not be negative"),
        ("106,112,96", "106,95,96", "file.csv: row 3: high = 95.0: must not be below low"),
        ("106,112,96", "113,112,96", "file.csv: row 3: open = 113.0: must be between low and high"),
        ("96,107,0", "96,95,0", "file.csv: row 3: close = 95.0: must be between low and high"),
        ("00:10:00Z", "00:05:00Z", "file.csv: row 3: ts = 2025-01-01T00:05:00Z: is there twice; remove one"),
        (
            "00:10:00Z",
            "00:02:00Z",
            "file.csv: row 3: ts = 2025-01-01T00:02:00Z: is before the row above it (2025-01-01T",
        ),
        (
            "00:10:00Z",
            "00:10:01Z",
            "file.csv: row 3: ts = 2025-01-01T00:10:01Z: must be a multiple of the interval (5m)",
        ),
        ("2025-01-01T00:10:00Z", "", "file.csv: row 3: ts is missing; every row needs a time"),
        ("2025-01-01T00:10:00Z", "soon", "file.csv: row 3: ts = 'soon': must be a timestamp with a time zone"),
        ("2025-01-01T00:10:00Z", "2025-01-01T00:10:00", "file.csv: row 3: ts = '2025-01-01T00:10:00': must be a time"),
        ("2025-01-01T00:00:00Z", "2025-01-01T00:00:00", "file.csv: row 2: ts = '2025-01-01T00:05:00Z': must be a time"),
        ("2025-01-01T00:00:00Z", "1735689600", "file.csv: row 2: ts = '2025-01-01T00:05:00Z': must be a whole number"),
        (
            "2025-01-01T00:15:00Z",
            "2225-01-01T00:15:00Z",
            "file.csv: row 4: ts = 8047037700000000000 ns since 1970: must be",
        ),
        ("2025-01-01T00:15:00Z", "9999-01-01T00:15:00Z", "file.csv: row 4: ts = '9999-01-01T00:15:00Z': must be a"),
        ("ts,open", "time,open", "file.csv: column ts is missing; it has time, open, high, low, close, volume"),
        (",high,low", ",hi,lo", "file.csv: column high, low is missing; it has ts, open, hi, lo, close, volume"),
        ("low,close", "low,low", "file.csv: column low is there 2 times"),
        ("111,95", "111,95,7", "file.csv: CSV parse error: Row #3: Expected 6 columns, got 7"),
        (CANDLES, "", "file.csv: Empty CSV file"),
        (CANDLES, CANDLES.splitlines()[0] + "\n", "file.csv: has no rows"),
        (
            CANDLES,
            TRADES,
            "open, high, low, close, volume is missing; it has ts, price, size, side; it looks like kind = 't",
        ),
    ],
)
async def test_a_bad_candle_is_refused_by_file_row_column_and_value(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    assert old in CANDLES
    assert complaint in await refusal(csv(tmp_path, CANDLES.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("101,0.5", "0,0.5", "file.csv: row 2: price = 0.0: must be above zero"),
        ("101,0.5", "101,-0.5", "file.csv: row 2: size = -0.5: must be above zero"),
        ("101,0.5", "nan,0.5", "file.csv: row 2: price = nan: must be a finite number"),
        ("SELL", "short", "file.csv: row 2: side = 'short': must be the taker's, 'buy' or 'sell', or 1 or -1"),
        ("SELL", "", "file.csv: row 2: side is missing; must be the taker's"),
        ("00:00:07", "00:00:00", None),
        ("01T00:00:07", "02T00:00:07", None),
        ("2025-01-01T00:00:07", "2024-01-01T00:00:07", "row 3: ts = 2024-01-01T00:00:07Z: is before the row above it"),
        (",side", ",taker", "file.csv: column side is missing; it has ts, price, size, taker"),
        (
            TRADES,
            CANDLES,
            "column price, size, side is missing; it has ts, open, high, low, close, volume; it looks like",
        ),
    ],
)
async def test_a_bad_trade_is_refused_by_file_row_column_and_value(
    tmp_path: Path, old: str, new: str, complaint: str | None
) -> None:
    assert old in TRADES
    path = csv(tmp_path, TRADES.replace(old, new, 1))
    if complaint is None:
        await opened(path, kind="trades")
    else:
        assert complaint in await refusal(path, kind="trades")


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        (
            {"ts": pa.array([1.5, 2.5])},
            "column ts has type double; must be a timestamp, or a whole number and time_unit",
        ),
        ({"ts": pa.array([1, 2])}, "ts is a number; set time_unit to 's', 'ms', 'us' or 'ns'"),
        ({"ts": MOMENTS, "open": pa.array(["1", "1"])}, "column open has type string; must be a number"),
        ({"ts": MOMENTS, "volume": pa.array([True, False])}, "column volume has type bool; must be a number"),
        ({"ts": MOMENTS, "high": pa.array([1.0, None])}, "row 2: high is missing; every row needs a number"),
        (
            {"ts": pa.array([2**62, 2**62], pa.timestamp("ms"))},
            "row 1: ts = 4611686018427387904 ms since 1970: must be between the years 1971 and 2200",
        ),
    ],
)
async def test_a_column_of_another_type_is_refused(tmp_path: Path, columns: dict[str, Any], complaint: str) -> None:
    unit = {"time_unit": "ms"} if columns["ts"].type == pa.uint64() else {}
    assert complaint in await refusal(parquet(tmp_path, **columns), **unit)


async def test_sides_of_another_type_are_refused(tmp_path: Path) -> None:
    path = parquet(
        tmp_path, ts=MOMENTS, price=pa.array([1.0, 1.0]), size=pa.array([1.0, 1.0]), side=pa.array([1.0, -1.0])
    )
    complaint = "file.parquet: column side has type double; must be 'buy' and 'sell', or 1 and -1"
    assert await refusal(path, kind="trades") == complaint


@pytest.mark.parametrize("kind", [pa.float32(), pa.int32(), pa.decimal128(20, 8)])
async def test_any_number_will_do(tmp_path: Path, kind: pa.DataType) -> None:
    feed = await opened(parquet(tmp_path, ts=MOMENTS, close=pa.array([Decimal(1), Decimal(1)]).cast(kind)))
    assert len([event async for event in feed.stream(0)]) == 2


@pytest.mark.parametrize(("unit", "told"), [("s", "1735689600000 s"), ("us", "1735689600000 us"), ("ns", "00000 ns")])
async def test_a_wrong_unit_is_noticed(tmp_path: Path, unit: str, told: str) -> None:
    path = parquet(tmp_path, ts=MOMENTS.cast(pa.int64()))
    complaint = await refusal(path, time_unit=unit)
    assert f"{told} since 1970: must be between the years 1971 and 2200; is it another unit?" in complaint
    assert (await opened(path, time_unit="ms")).start_time == 1_735_689_600_000_000_000


async def test_a_unit_for_what_has_one_is_refused(tmp_path: Path) -> None:
    complaint = await refusal(csv(tmp_path, CANDLES), time_unit="ms")
    assert complaint == "file.csv: ts is a timestamp, which has its own unit; remove time_unit = 'ms'"


async def test_gaps_are_refused_unless_allowed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [f"{1_735_689_600 + number * 60},1,1,1,1,1" for number in range(20) if number not in {5, 11, 12, 13}]
    path = csv(tmp_path, "\n".join(["ts,open,high,low,close,volume", *lines]))
    told = "4 candles of 1m are missing in 2 places, 3 of them before file.csv: row 11 (ts = 2025-01-01T00:14:00Z)"
    assert await refusal(path, time_unit="s") == f"file.csv: {told}. Set on_gap = 'allow' to trade across them"
    feed = await opened(path, time_unit="s", on_gap="allow")
    assert len([event async for event in feed.stream(0)]) == 16
    assert told in caplog.text.replace(f"{tmp_path}/", "")


async def test_an_interval_that_is_not_the_files_is_refused(tmp_path: Path) -> None:
    complaint = await refusal(csv(tmp_path, CANDLES), interval="1m")
    assert complaint == "file.csv: candles are 5m apart, but interval = '1m'; correct or remove interval"


async def test_one_row_needs_an_interval(tmp_path: Path) -> None:
    path = csv(tmp_path, "\n".join(CANDLES.splitlines()[:2]))
    assert await refusal(path) == "file.csv: one row does not tell the interval; set interval"
    assert len([event async for event in (await opened(path, interval="5m")).stream(0)]) == 1


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nothing.csv", "nothing.csv: no such file"),
        ("nothing.parquet", "nothing.parquet: no such file"),
        ("nothing.feather", "nothing.feather: unknown format; the name must end in one of .parquet, .csv, .csv.gz"),
    ],
)
async def test_a_file_that_is_not_there_is_refused(tmp_path: Path, name: str, complaint: str) -> None:
    assert complaint in await refusal(tmp_path / name)


async def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    assert "file.parquet: " in await refusal(csv(tmp_path, CANDLES, "file.parquet"))
    assert "file.csv.gz: " in await refusal(csv(tmp_path, CANDLES, "file.csv.gz"))
    assert ": " in await refusal(tmp_path.with_suffix(".csv"))


async def test_files_must_continue_one_another(tmp_path: Path) -> None:
    first, second = csv(tmp_path, CANDLES, "a.csv"), csv(tmp_path, CANDLES, "b.csv")
    with pytest.raises(ConfigError, match=r"b.csv: row 1: ts = 2025-01-01T00:00:00Z: is before the row above it"):
        await opened(first, second)


async def test_a_row_is_counted_in_its_own_file(tmp_path: Path) -> None:
    first = csv(tmp_path, CANDLES, "a.csv")
    second = tmp_path / "b.csv.gz"
    second.write_bytes(gzip.compress(CANDLES.replace("01T00:", "01T01:").replace("96,107,0", "96,-107,0").encode()))
    with pytest.raises(ConfigError, match=r"b.csv.gz: row 3: close = -107.0: must be above zero"):
        await opened(first, second, on_gap="allow")


async def test_a_period_without_rows_is_refused(tmp_path: Path) -> None:
    complaint = await refusal(csv(tmp_path, CANDLES), start="2026-01-01T00:00:00Z")
    assert complaint == (
        "file feed: no row of btcusdt is between start and end; its files go from "
        "2025-01-01T00:00:00Z to 2025-01-01T00:20:00Z"
    )
