"""What is believed of the market's data, in which order it goes on, and what has gone mute. No sockets, no clock."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.domain.market import MINUTE, SECOND, Candle, Quote, Side, Ticker, Trade
from quarterdeck_bybit_simulator.catalog import BTC
from quarterdeck_exchange_bybit.codec.frames import Topic
from quarterdeck_exchange_bybit.codec.orderbook import LiveBook
from quarterdeck_exchange_bybit.codec.row import Row
from quarterdeck_exchange_bybit.market.listener import Listener, Market
from quarterdeck_exchange_bybit.market.outbox import BACKLOG, Outbox
from quarterdeck_exchange_bybit.market.quarantine import KEPT_AT_ONCE, QUIET, Quarantine
from quarterdeck_exchange_bybit.market.series import Place, Series
from quarterdeck_exchange_bybit.market.sieve import (
    AHEAD,
    AHEAD_LIMIT,
    BACKWARDS,
    BAD_PRINT,
    CONFIRMED,
    OFF_GRID,
    Sieve,
    Times,
)
from quarterdeck_exchange_bybit.market.tape import Tape
from quarterdeck_exchange_bybit.market.watch import ANSWER_SECONDS, CONNECTIONS, NOW_AND_THEN, REPEATS, Watch

# ---------------------------------------------------------------- what is believed


@pytest.fixture
def sieve() -> Sieve:
    sieve = Sieve(BTC, 0.1)
    assert sieve.trade(50_000.0) == ""
    return sieve


def test_a_price_far_from_the_last_is_held_back_and_the_next_good_one_is_not(sieve: Sieve) -> None:
    assert sieve.trade(5_000.0) == BAD_PRINT
    assert sieve.trade(500_000.0) == BAD_PRINT
    assert sieve.trade(50_001.0) == ""
    assert sieve.quote(Quote("btcusdt", 1, 54_999.9, 1, 55_000.1, 1)) == ""


def test_a_market_that_has_really_moved_is_believed_after_some_prints_that_agree(sieve: Sieve) -> None:
    told = [sieve.trade(price) for price in (30_000.0, 29_000.0, 31_000.0, 30_500.0)]
    assert told == [BAD_PRINT] * (CONFIRMED - 1) + ["", ""]


def test_bad_prints_that_do_not_agree_are_never_believed(sieve: Sieve) -> None:
    assert {sieve.trade(price) for price in (5_000.0, 500_000.0) * 10} == {BAD_PRINT}


def test_a_price_off_the_grid_is_held_back_until_it_is_the_grid_that_has_changed(sieve: Sieve) -> None:
    assert sieve.trade(50_000.15) == OFF_GRID
    assert sieve.trade(50_000.2) == ""
    assert [sieve.trade(50_000.15) for _ in range(5)] == [OFF_GRID] * (CONFIRMED - 1) + [""] * 3
    assert [sieve.trade(price) for price in (50_000.1, 50_000.11, 50_000.2, 50_000.21)] == [""] * 4
    assert sieve.price(50_000.123) == ""  # a mark price has no grid


@given(st.integers(1, 10_000_000))
def test_every_multiple_of_the_tick_is_on_the_grid(ticks: int) -> None:
    assert Sieve(BTC, 1.0).trade(float(BTC.tick_size * ticks)) == ""


def test_a_candle_with_a_wick_nobody_can_believe_is_doubted(sieve: Sieve) -> None:
    good = Candle("btcusdt", MINUTE, MINUTE, 50_000.0, 50_100.0, 49_900.0, 50_050.0, 1.0)
    assert sieve.candle(good) == ""
    assert sieve.candle(replace(good, high=60_000.0)) == BAD_PRINT
    assert sieve.candle(replace(good, low=1.0)) == BAD_PRINT
    assert sieve.candle(replace(good, close=49_900.05)) == OFF_GRID
    sieve.believe(40_000.0)
    assert sieve.candle(good) == BAD_PRINT


def test_times_only_rise_unless_the_clock_was_set_back() -> None:
    times, now = Times(), 10**18
    assert [times.judge(now + at, now) for at in (0, 5, 5)] == ["", "", ""]
    assert times.judge(now + AHEAD_LIMIT + 1, now) == AHEAD
    assert [times.judge(now - at, now) for at in (3, 2, 1, 0)] == [BACKWARDS] * (CONFIRMED - 1) + ["", ""]
    assert times.judge(now + 6, now) == ""


def test_the_quarantine_counts_all_and_logs_and_keeps_some() -> None:
    now, kept = 0.0, []
    quarantine = Quarantine(lambda: now)
    quarantine.keep = lambda source, raw: kept.append((source, raw))
    for number in range(100):
        quarantine.note(BAD_PRINT, "price 5", "publicTrade.BTCUSDT", b"{%d}" % number)
    assert (quarantine.counts, len(kept)) == ({BAD_PRINT: 100}, KEPT_AT_ONCE)
    assert kept[0] == ("publicTrade.BTCUSDT bad-print", b"{0}")
    assert quarantine.last == "bad-print: price 5: {99}"
    now = QUIET
    quarantine.note(BAD_PRINT, "price 6", "publicTrade.BTCUSDT", b"")
    assert len(kept) == KEPT_AT_ONCE + 1


# ---------------------------------------------------------------- the order of candles


def candle(minute: int, close: float = 2.0) -> Candle:
    return Candle("btcusdt", MINUTE, minute * MINUTE, 1.0, 3.0, 0.5, close, 1.0)


def test_candles_have_one_place() -> None:
    series = Series(MINUTE, [candle(1), candle(2)], 3)
    assert [series.place(candle(minute)) for minute in (0, 1, 2, 3, 4)] == [
        Place.KNOWN, Place.KNOWN, Place.KNOWN, Place.NEXT, Place.LATER,
    ]  # fmt: skip
    assert series.place(candle(1, 2.5)) is Place.CORRECTED
    assert series.place(candle(1, 2.5)) is Place.KNOWN
    series.is_waiting = True
    assert series.place(candle(3)) is Place.LATER


def test_what_waits_behind_a_hole_goes_on_in_order_once_it_is_filled() -> None:
    series = Series(MINUTE, [candle(1)], 10)
    series.hold(candle(4))
    series.hold(candle(5))
    assert series.has_hole
    series.fill([candle(1), candle(2), candle(3)])
    assert not series.has_hole
    assert series.release() == ([candle(2), candle(3), candle(4), candle(5)], [])
    assert (series.next_open, series.is_waiting) == (6 * MINUTE, False)


def test_a_hole_nobody_can_fill_is_named() -> None:
    series = Series(MINUTE, [candle(1)], 10)
    series.hold(candle(5))
    series.fill([candle(3)])
    assert series.release() == ([candle(3), candle(5)], [(2 * MINUTE, 3 * MINUTE), (4 * MINUTE, 5 * MINUTE)])


def test_a_candle_that_was_not_believed_is_waited_for() -> None:
    series = Series(MINUTE, [candle(1)], 10)
    series.expect(candle(3))
    series.fill([candle(2)])
    assert series.has_hole
    series.fill([candle(3)])
    assert not series.has_hole


@given(st.lists(st.integers(1, 12)), st.lists(st.integers(1, 12)))
def test_each_candle_goes_on_once_and_in_order(told: list[int], fetched: list[int]) -> None:
    series, out = Series(MINUTE, [candle(0)], 20), []
    for minute in told:
        match series.place(candle(minute)):
            case Place.NEXT:
                series.add(candle(minute))
                out.append(minute)
            case Place.LATER:
                series.is_waiting = True
                series.hold(candle(minute))
            case _:
                pass
    series.fill([candle(minute) for minute in fetched])
    whole = not series.has_hole
    released, holes = series.release()
    out += [each.open_time // MINUTE for each in released]
    assert out == sorted(set(out))
    assert {*told, *fetched} == set(out)
    assert whole == (not holes)


# ---------------------------------------------------------------- what has gone mute


def heard(watch: Watch, now: float, *topics: str) -> None:
    for topic in topics:
        watch.heard(topic, now)


def test_a_silent_topic_is_asked_again_and_one_that_does_not_answer_costs_the_connection() -> None:
    watch = Watch({"a": 8.0, "b": 8.0})
    watch.begin(0.0)
    heard(watch, 0.1, "a", "b")
    assert watch.look(8.0) == ([], "")
    heard(watch, 8.0, "b")
    assert watch.look(8.2) == (["a"], "")
    assert watch.look(9.0) == ([], "")
    heard(watch, 9.0, "a")  # it was only quiet
    assert watch.look(8.2 + ANSWER_SECONDS + 0.1) == ([], "")
    heard(watch, 17.0, "b")
    assert watch.look(17.1) == (["a"], "")
    assert watch.look(17.1 + ANSWER_SECONDS + 0.1) == ([], "a does not answer")


def test_every_topic_has_to_answer_on_a_new_connection() -> None:
    watch = Watch({"a": 8.0, "b": 8.0})
    watch.begin(0.0)
    heard(watch, 0.1, "a")
    assert watch.look(ANSWER_SECONDS + 0.1) == ([], "b does not answer")


def test_a_mute_topic_is_noticed_within_fifteen_seconds_whatever_the_others_do() -> None:
    watch, now = Watch({"a": 8.0, "b": 8.0}), 0.0
    watch.begin(now)
    heard(watch, now, "a", "b")
    while not watch.look(now)[1]:
        now += 0.5
        heard(watch, now, "b")
    assert now < 13.0


def test_a_topic_that_never_speaks_does_not_cost_one_connection_after_another() -> None:
    watch, now = Watch({"a": 8.0, "b": 8.0}), 0.0
    for _ in range(CONNECTIONS):
        watch.end()
        watch.begin(now)
        heard(watch, now, "b")
        now += ANSWER_SECONDS + 0.1
        assert watch.look(now)[1]
    watch.end()
    watch.begin(now)
    asked = 0
    for _ in range(200):
        now += 0.5
        heard(watch, now, "b")
        topics, lost = watch.look(now)
        assert (lost, topics) in (("", []), ("", ["a"]))
        asked += len(topics)
    assert asked == int(100 / (NOW_AND_THEN + 0.5))


def test_a_book_that_is_broken_is_asked_for_at_once_but_not_for_ever() -> None:
    watch, now, lost = Watch({"a": 8.0}), 0.0, ""
    watch.begin(now)
    for number in range(1, REPEATS + 1):
        heard(watch, now, "a")
        watch.want("a", now)
        watch.want("a", now) if number == 1 else None
        topics, lost = watch.look(now)
        now += 1.0
        assert topics == ([] if lost else ["a"])
        if lost:
            break
    assert lost == "a is out of step again and again"


def test_trades_are_missed_when_candles_grow_without_them() -> None:
    tape = Tape()
    tape.counted("1", MINUTE, 5.0, 100.0)
    tape.traded(100.5)
    tape.counted("1", MINUTE, 6.0, 101.0)  # it lags behind the trade
    tape.counted("60", 0, 100.0, 101.0)
    tape.counted("1", MINUTE, 6.0, 120.0)
    tape.counted("1", 2 * MINUTE, 0.0, 150.0)  # nobody has traded
    assert not tape.is_mute
    tape.counted("1", 2 * MINUTE, 1.0, 151.0)
    assert not tape.is_mute
    tape.counted("1", 2 * MINUTE, 2.0, 152.0)
    assert tape.is_mute
    tape.traded(153.0)
    assert not tape.is_mute


@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.booleans()), min_size=1, max_size=60))
def test_no_tape_that_tells_its_trades_is_taken_for_mute(steps: list[tuple[float, bool]]) -> None:
    """However rarely there is a trade, and whichever candle tells of it first."""
    tape, now, volume = Tape(), 100.0, 0.0
    for wait, is_trade in steps:
        if is_trade:
            volume += 1.0
            tape.traded(now)
        now += wait
        tape.counted("1", 0, volume, now)
        assert not tape.is_mute


# ---------------------------------------------------------------- whatever comes

_NUMBERS = st.sampled_from(["50000", "50000.1", "0", "-1", "", "1e9", "nan", "9" * 70]) | st.integers(-5, 10**15)
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | _NUMBERS, lambda x: st.lists(x, max_size=4), max_leaves=8
)
_FIELDS = ["u", "seq", "s", "start", "open", "high", "low", "close", "volume", "confirm", "markPrice", "lastPrice",
           "fundingRate", "nextFundingTime", "openInterest", "T", "p", "v", "S", "i", "BT"]  # fmt: skip
_ROW = st.dictionaries(st.sampled_from(_FIELDS), _ANYTHING) | st.fixed_dictionaries(
    dict.fromkeys(("u", "seq", "start", "open", "high", "low", "close", "volume", "T", "p", "v"), _NUMBERS)
)
_LEVELS = st.lists(st.lists(_NUMBERS, max_size=3), max_size=3) | _ANYTHING
_BOOK = st.builds(lambda row, b, a: row | {"b": b, "a": a}, _ROW, _LEVELS, _LEVELS)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["orderbook.1", "orderbook.50", "kline.1", "tickers", "publicTrade", "liquidation"]),
            st.sampled_from(["snapshot", "delta"]) | _ANYTHING,
            st.integers(1, 2_000_000_000_000) | _ANYTHING,
            _ROW | _BOOK | st.lists(_ROW, max_size=3) | _ANYTHING,
        ),
        max_size=12,
    )
)
def test_whatever_a_topic_says_is_told_or_held_back(told: list[tuple[str, object, object, object]]) -> None:
    """And what is told can be: prices above zero, books that do not cross."""
    books = {1: LiveBook("btcusdt", 1), 50: LiveBook("btcusdt", 50)}
    market = Market(BTC, Sieve(BTC, 0.1), Sieve(BTC, 0.1), {"1": Series(MINUTE, [], 10)}, books, 0.0)
    outbox, quarantine, repairs = Outbox(), Quarantine(), list[str]()
    listener = Listener(
        {"BTCUSDT": market}.get, outbox, quarantine, Watch({"orderbook.1.BTCUSDT": 8.0}),
        lambda _, word: repairs.append(word), lambda: (1.0, 1_700_000_000 * SECOND),
    )  # fmt: skip
    for name, kind, time, data in told:
        topic = f"{name}.BTCUSDT"
        fields = {"topic": topic, "type": kind, "ts": time, "data": data}
        listener.keep("", repr(fields).encode())
        listener.hear(Topic(topic, Row(fields, topic)))
    for event in drained(outbox):
        match event:
            case Quote(bid=bid, ask=ask):
                assert 0 < bid < ask
            case Candle(low=low, high=high):
                assert 0 < low <= high
            case Trade(price=price):
                assert price > 0
            case Ticker(mark=mark, funding_rate=rate):
                assert mark is None or mark > 0
                assert abs(rate or 0.0) < 1
            case _:
                pass


def drained(outbox: Outbox) -> list[object]:
    """All that waits."""

    async def drain() -> list[object]:
        found: list[object] = []
        with suppress(TimeoutError):
            while True:
                found.append(await asyncio.wait_for(outbox.get(), 0.001))
        return found

    return asyncio.run(drain())


# ---------------------------------------------------------------- what goes on


async def taken(outbox: Outbox, count: int) -> list[object]:
    return [await asyncio.wait_for(outbox.get(), 1) for _ in range(count)]


def quote(number: int) -> Quote:
    return Quote("btcusdt", number, 1.0, 1.0, 2.0, 1.0)


async def test_candles_come_each_and_quotes_only_the_newest() -> None:
    outbox = Outbox()
    for number in range(1, 100):
        outbox.renew("quote", lambda number=number: quote(number))  # type: ignore[misc]  # bound early
        outbox.put(candle(number))
    assert await taken(outbox, 100) == [*(candle(number) for number in range(1, 100)), quote(99)]
    outbox.renew("nothing", lambda: None)
    waiting = asyncio.ensure_future(outbox.get())
    await asyncio.sleep(0)
    outbox.renew("quote", lambda: quote(100))
    assert await waiting == quote(100)


async def test_trades_nobody_fetches_are_dropped_and_counted() -> None:
    outbox = Outbox()
    for number in range(BACKLOG + 10):
        outbox.put_trade(Trade("btcusdt", number * SECOND, 1.0, 1.0, Side.BUY))
    outbox.put(candle(1))
    assert outbox.dropped == 10
    assert (await taken(outbox, BACKLOG + 1))[-1] == candle(1)
