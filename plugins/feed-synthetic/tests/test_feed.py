from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path

import pytest

from quarterdeck.domain.amounts import from_observation, is_multiple
from quarterdeck.domain.market import DAY, MINUTE, Candle, MarketEvent
from quarterdeck.plugin import ConfigError, replay
from quarterdeck.plugin.loader import build, load
from quarterdeck.testing.checks import check_settings_table
from quarterdeck.testing.views import BTCUSDT, PEPEUSDT_SPOT
from quarterdeck_feed_synthetic import SyntheticFeed, SyntheticSettings
from quarterdeck_feed_synthetic.walk import BLOCK, STORM, Walk

START = 1_735_689_600_000_000_000


async def opened(**settings: object) -> SyntheticFeed:
    feed = SyntheticFeed(SyntheticSettings.model_validate({"speed": "max", **settings}))
    await feed.open([BTCUSDT, PEPEUSDT_SPOT])
    return feed


async def taken(feed: SyntheticFeed, most: int, after: int = 0) -> list[MarketEvent]:
    events = []
    async for event in feed.stream(after):
        events.append(event)
        if len(events) == most:
            break
    return events


def walk(seed: int = 1, price: float = 60_000.0, interval: int = MINUTE) -> Walk:
    return Walk(BTCUSDT, price, seed, 0, interval, None)


def refusal(table: Mapping[str, object]) -> str:
    (loaded,) = load(modules=["quarterdeck_feed_synthetic"], only=()).feeds.values()
    with pytest.raises(ConfigError) as refused:
        build(loaded, table, "[feed.settings]")
    return str(refused.value)


async def test_the_same_candles_on_every_machine() -> None:
    """Pinned: a change here changes everybody's demo and every recorded run."""
    first, second, *_, last = await taken(await opened(), 10_000)
    assert first == Candle("btcusdt", MINUTE, START, 60000.0, 60124.8, 59956.7, 59956.7, 64.567)
    assert second == Candle("btcusdt", MINUTE, START + MINUTE, 59956.7, 60053.2, 59956.7, 60024.9, 82.074)
    assert last == Candle("btcusdt", MINUTE, START + 9_999 * MINUTE, 57700.9, 57714.0, 57671.3, 57709.6, 54.351)


def test_prices_are_on_the_tick_and_volumes_on_the_lot() -> None:
    for candle in walk().candles(0, 2 * BLOCK):
        for price in (candle.open, candle.high, candle.low, candle.close):
            assert is_multiple(from_observation(price), BTCUSDT.tick_size)
        assert is_multiple(from_observation(candle.volume), BTCUSDT.lot_size)
        assert candle.volume > 0


def test_a_candle_opens_where_the_last_one_closed() -> None:
    for before, candle in pairwise(walk().candles(0, 3 * BLOCK)):
        assert candle.open == before.close
        assert candle.open_time == before.time


@pytest.mark.parametrize("first", [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 7])
def test_any_part_can_be_made_on_its_own(first: int) -> None:
    whole = list(walk().candles(0, 3 * BLOCK))
    assert list(walk().candles(first, 3 * BLOCK)) == whole[first:]
    assert list(islice(walk().candles(first), 50)) == whole[first : first + 50]


def test_seeds_and_symbols_are_different_markets() -> None:
    assert list(walk(seed=1).candles(0, 10)) != list(walk(seed=2).candles(0, 10))
    other = Walk(replace(BTCUSDT, symbol="ethusdt"), 60_000.0, 1, 0, MINUTE, None)
    assert [candle.close for candle in other.candles(0, 10)] != [candle.close for candle in walk().candles(0, 10)]


@pytest.mark.parametrize("seed", range(5))
def test_the_market_moves_and_comes_back(seed: int) -> None:
    closes = [candle.close for candle in walk(seed).candles(0, 50 * BLOCK)]
    assert max(closes) > 1.1 * min(closes)
    assert min(closes) > 6_000
    assert max(closes) < 600_000


def test_every_regime_occurs() -> None:
    moves = [abs(candle.close / candle.open - 1) for candle in walk().candles(0, 20 * BLOCK)]
    calm = Counter("storm" if move > STORM.volatility else "calm" for move in moves)
    assert 0.02 < calm["storm"] / len(moves) < 0.2


async def test_another_instrument_changes_nothing() -> None:
    alone = await taken(await opened(), 500)
    both = await taken(await opened(symbols={"pepeusdt-spot": 0.00001, "btcusdt": 60_000.0}), 1_000)
    assert [event for event in both if event.symbol == "btcusdt"] == alone
    assert [event.symbol for event in both[:4]] == ["btcusdt", "pepeusdt-spot"] * 2


async def test_there_is_history_before_the_start() -> None:
    feed = await opened(count=5)
    history = feed.history("btcusdt", MINUTE, START, 2_000)
    assert len(history) == BLOCK
    (first, *_) = events = await taken(feed, 100)
    assert len(events) == 5
    assert isinstance(first, Candle)
    assert history[-1].time == first.open_time == START
    assert history[-1].close == first.open == 60_000.0


async def test_speed_is_candles_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    monkeypatch.setattr(replay, "sleep", nap)
    await taken(await opened(speed=4.0, symbols={"pepeusdt-spot": 0.00001, "btcusdt": 60_000.0}), 4)
    assert [round(seconds, 1) for seconds in naps] == [0, 0, 0.2, 0.2]  # 0.25 s, less what this test took


async def test_a_symbol_the_venue_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"symbols.ethusdt: no such instrument; there are: btcusdt, pepeusdt-spot"):
        await opened(symbols={"ethusdt": 3_000.0})


async def test_a_price_of_too_few_ticks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"symbols.btcusdt = 99.9: must be at least 100.0 \(1000 ticks\)"):
        await opened(symbols={"btcusdt": 99.9})


@pytest.mark.parametrize("seed", range(3))
def test_a_coarse_tick_and_long_candles_keep_prices_above_zero(seed: int) -> None:
    coarse = replace(BTCUSDT, tick_size=Decimal(1))
    lows = [candle.low for candle in Walk(coarse, 1_000.0, seed, 0, DAY, None).candles(0, 10 * BLOCK)]
    assert min(lows) >= 1


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"symbols": {}}, "[feed.settings] symbols: "),
        ({"symbols": {"btcusdt": 0}}, "[feed.settings] symbols.btcusdt = 0: must be greater than 0"),
        ({"symbols": {"btcusdt": float("inf")}}, "[feed.settings] symbols.btcusdt = inf: must be a finite number"),
        ({"interval": "1x"}, "[feed.settings] interval = '1x': '1x' is not an interval such as '30s'"),
        ({"interval": "2d"}, "[feed.settings] interval = '2d': must be at most 1d"),
        ({"count": 0}, "[feed.settings] count = 0: must be greater than or equal to 1"),
        ({"speed": 0}, "[feed.settings] speed = 0: must be "),
        ({"speed": "fast"}, "[feed.settings] speed = 'fast': must be 'max' or must be a valid number (candles of"),
        ({"start": "2025-01-01"}, "[feed.settings] start = '2025-01-01': must have timezone info"),
        ({"start": "2025-01-01T00:00:30Z"}, "[feed.settings]: start (2025-01-01T00:00:30+00:00) must be a multiple of"),
        ({"sped": 1}, "[feed.settings] sped: unknown key (did you mean 'speed'?); known: count, interval, seed"),
    ],
)
def test_wrong_settings_are_refused_by_name(table: dict[str, object], text: str) -> None:
    assert refusal(table).startswith(text)


def test_the_readme_lists_the_settings() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    check_settings_table(readme.read_text(encoding="utf-8"), SyntheticSettings)
