"""The order book: whatever is told in order adds up, and whatever is missing, twice or out of order is noticed."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.domain.market import OrderBook
from quarterdeck_exchange_bybit.codec.frames import Topic, read_frame
from quarterdeck_exchange_bybit.codec.orderbook import LiveBook, OutOfStep
from quarterdeck_exchange_bybit.codec.row import Malformed, Row

DATA = Path(os.environ.get("QUARTERDECK_DATA", Path(__file__).parents[4] / "shared" / "data")) / "bybit_v5"
DEPTH = 5

Levels = dict[int, int]
History = tuple[list[tuple[Levels, Levels]], list[Row]]
Message = dict[str, Any]


def message(kind: str, update: int, bids: list[list[str]], asks: list[list[str]], **more: object) -> Row:
    data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": update, "seq": update * 7} | more
    return Row({"topic": "orderbook.50.BTCUSDT", "type": kind, "ts": 1_700_000_000_000, "data": data}, "book")


def test_it_follows_its_changes() -> None:
    book = LiveBook("btcusdt")
    book.take(message("snapshot", 10, [["99", "1"], ["98", "2"]], [["101", "1"]]))
    book.take(message("delta", 11, [["99", "0"], ["97", "0"]], [["100.5", "3"]]))
    quote = book.quote()
    assert quote is not None
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (98.0, 2.0, 100.5, 3.0)
    assert book.book() == OrderBook("btcusdt", quote.time, ((98.0, 2.0),), ((100.5, 3.0), (101.0, 1.0)), 11)


def test_what_sinks_below_the_depth_is_forgotten() -> None:
    book = LiveBook("btcusdt", 2)
    book.take(message("snapshot", 10, [["99", "1"], ["98", "2"]], [["101", "1"], ["102", "1"]]))
    book.take(message("delta", 11, [["99.5", "1"]], [["100", "1"]]))
    assert [price for price, _ in book.book().bids] == [99.5, 99.0]
    assert [price for price, _ in book.book().asks] == [100.0, 101.0]


def test_a_hole_or_a_crossed_book_empties_it() -> None:
    book = LiveBook("btcusdt")
    with pytest.raises(OutOfStep, match="before any snapshot"):
        book.take(message("delta", 1_000, [["99", "1"]], []))
    book.take(message("snapshot", 10, [["99", "1"]], [["101", "1"]]))
    with pytest.raises(OutOfStep, match="12 does not follow 10"):
        book.take(message("delta", 12, [["99", "1"]], []))
    assert not book.is_ready
    assert book.quote() is None
    assert not book.book().bids
    book.take(message("delta", 1, [["99", "1"]], [["101", "1"]]))  # the service began anew
    with pytest.raises(OutOfStep, match="meets"):
        book.take(message("delta", 2, [["101", "1"]], []))
    book.take(message("snapshot", 20, [["99", "1"]], [["101", "1"]]))
    with pytest.raises(OutOfStep, match="sequence 139 is before 140"):
        book.take(message("delta", 21, [["99", "2"]], [], seq=139))


@pytest.mark.parametrize(
    "level",
    [["0", "1"], ["-1", "1"], ["99", "-1"], ["nan", "1"], ["99", "inf"], ["99", ""], ["99"], ["9_9", "1"], [99, 1],
     ["1e5", "1"], None, "99", ["99", "1", "1"], {"price": "99", "size": "1"}],
)  # fmt: skip
def test_a_level_that_can_not_be_empties_it(level: object) -> None:
    book = LiveBook("btcusdt")
    book.take(message("snapshot", 10, [["99", "1"]], [["101", "1"]]))
    with pytest.raises(Malformed):
        book.take(message("delta", 11, [level], []))  # type: ignore[list-item]  # that is the point
    assert not book.is_ready


# ---------------------------------------------------------------- laws


def told(levels: Levels) -> list[list[str]]:
    return [[str(price), str(size)] for price, size in levels.items()]


def changes(before: Levels, after: Levels) -> list[list[str]]:
    changed = {price: size for price, size in after.items() if before.get(price) != size}
    return told(changed | {price: 0 for price in before if price not in after})


def shown(levels: Levels, sign: int) -> tuple[tuple[float, float], ...]:
    return tuple((float(price), float(size)) for price, size in sorted(levels.items(), key=lambda x: sign * x[0]))


_SIDES = st.tuples(
    st.dictionaries(st.integers(1, 20), st.integers(1, 9), max_size=DEPTH),
    st.dictionaries(st.integers(21, 40), st.integers(1, 9), max_size=DEPTH),
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A market's books one after another, and what the topic tells of them: now and then whole, else as changes."""
    books = draw(st.lists(_SIDES, min_size=1, max_size=12))
    update = draw(st.integers(2, 1_000_000))
    rows = [message("snapshot", update, told(books[0][0]), told(books[0][1]))]
    for before, after in pairwise(books):
        update += 1
        if draw(st.integers(0, 9)) == 0:
            update = draw(st.sampled_from([1, update]))
            rows.append(message("snapshot", update, told(after[0]), told(after[1])))
        else:
            rows.append(message("delta", update, changes(before[0], after[0]), changes(before[1], after[1])))
    return books, rows


@given(histories())
def test_whatever_is_told_in_order_adds_up_to_the_market(
    history: History,
) -> None:
    book = LiveBook("btcusdt", DEPTH)
    for (bids, asks), row in zip(*history, strict=True):
        book.take(row)
        seen = book.book()
        assert (seen.bids, seen.asks) == (shown(bids, -1), shown(asks, 1))


@given(histories(), st.data())
def test_what_is_lost_twice_or_out_of_order_is_noticed_or_changes_nothing(
    history: History, data: st.DataObject
) -> None:
    """A book that is ready is the market's at its update id: there is no way to be wrong and not know it."""
    books, rows = history
    order = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=2 * len(rows)))
    truth = {(row.row("data").integer("u"), at): pair for at, (row, pair) in enumerate(zip(rows, books, strict=True))}
    book = LiveBook("btcusdt", DEPTH)
    for at in order:
        with suppress(OutOfStep):
            book.take(rows[at])
        if book.is_ready:
            bids, asks = truth[book.update_id, at]
            assert (book.book().bids, book.book().asks) == (shown(bids, -1), shown(asks, 1))


@given(histories(), st.data())
def test_a_change_that_is_missing_is_always_noticed(history: History, data: st.DataObject) -> None:
    _, rows = history
    gone = data.draw(st.integers(0, len(rows) - 1))
    book = LiveBook("btcusdt", DEPTH)
    for row in rows[:gone]:
        book.take(row)
    for row in rows[gone + 1 :]:
        if row.text("type") == "snapshot":
            return  # which makes it good
        with pytest.raises(OutOfStep):
            book.take(row)
        assert not book.is_ready


# ---------------------------------------------------------------- recorded


def recorded() -> list[Topic]:
    """Every message of the order book topic that was recorded from Bybit or is in its documentation, one by one."""
    found: list[Topic] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            if str(value.get("topic", "")).startswith("orderbook."):
                found.append(read_frame(json.dumps(value)))  # type: ignore[arg-type]  # it has a topic
            for each in value.values():
                collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)

    for path in sorted(DATA.rglob("*.json*")):
        for text in path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]:
            collect(json.loads(text))
    return found


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set QUARTERDECK_DATA")
def test_recorded_messages() -> None:
    books: dict[str, LiveBook] = defaultdict(lambda: LiveBook("x"))
    snapshots = changed = apart = 0
    for topic in recorded():
        book = books[topic.name]
        try:
            book.take(topic.message)
        except OutOfStep:  # those of the documentation are years apart
            apart += 1
            continue
        except Malformed as error:
            assert "{'price'" in str(error)  # noqa: PT017 - written by another library, in its own way
            continue
        snapshots += topic.message.text("type") == "snapshot"
        changed += topic.message.text("type") == "delta"
        assert book.quote() is not None or not (book.book().bids and book.book().asks)
    assert (snapshots, changed) > (3, 2)
    assert apart < snapshots
