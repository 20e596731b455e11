"""How long positions wait for their stop, by what the journal says of it."""

from __future__ import annotations

from typing import Any

import pytest

from core.tests.engine.desk import Desk, d
from quarterdeck.daemon.stop_waits import StopWaits
from quarterdeck.domain import report as r
from quarterdeck.domain.market import SECOND, Side
from quarterdeck.domain.order import OrderRole
from quarterdeck.engine.checks import Verdict

STOP: dict[str, Any] = {"stop_loss": "49000"}


@pytest.fixture
def desk() -> Desk:
    return Desk()


class Watched:
    """Waits, and the desk whose news they hear."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.waits = StopWaits(desk.state)
        self._heard = len(desk.journal)

    def hear(self) -> StopWaits:
        """Tell of all that happened since."""
        news, self._heard = self.desk.journal[self._heard :], len(self.desk.journal)
        if news:
            self.waits.hear(news)
        return self.waits

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.desk.now += int(seconds * SECOND)


def test_from_the_first_trade_to_the_stop(desk: Desk) -> None:
    watched = Watched(desk)
    entry = desk.work(desk.submit("0.2", **STOP))
    watched.later(60)
    desk.fill(entry, "0.1")
    watched.hear()
    watched.later(0.3)
    desk.fill(entry)
    desk.protect(entry)
    waits = watched.hear()
    assert waits.counts == [0, 0, 1, 0, 0, 0, 0]
    assert 0.3 <= waits.longest / SECOND < 0.31
    assert waits.finding(desk.now).verdict is Verdict.OK
    desk.protect(entry, quantity="0.3")  # it grew: that is no other wait
    assert sum(watched.hear().counts) == 1


def test_a_stop_that_is_heard_of_first_was_not_waited_for(desk: Desk) -> None:
    watched = Watched(desk)
    entry = desk.work(desk.submit("0.1", **STOP))
    desk.protect(entry)
    watched.hear()
    watched.later(3)
    desk.fill(entry)
    assert (watched.hear().counts[0], watched.waits.longest) == (1, 0)


def test_what_is_flat_waits_no_more(desk: Desk) -> None:
    watched = Watched(desk)
    desk.hold("0.1", **STOP)
    watched.hear()
    watched.later(1.5)
    taker = r.Liquidity.TAKER
    desk.take(r.Filled("theirs", "t-x", "btcusdt", Side.SELL, d("0.1"), d(50_000), d(0), "USDT", taker, desk.now))
    assert watched.hear().counts == [0, 0, 0, 0, 1, 0, 0]


def test_a_target_that_traded_ends_the_wait_for_a_stop_nobody_heard_of(desk: Desk) -> None:
    watched = Watched(desk)
    entry = desk.hold("0.1", take_profit="51000", **STOP)
    desk.hold("0.1")  # so that something is held without a stop yet
    target = desk.protect(entry, OrderRole.TAKE_PROFIT)
    assert watched.hear().finding(desk.now).data["waiting"] == "1"
    desk.fill(target)
    assert watched.hear().finding(desk.now).data["waiting"] == "0"


def test_an_order_that_carries_no_stop_waits_for_none(desk: Desk) -> None:
    watched = Watched(desk)
    desk.hold("0.1")
    assert watched.hear().finding(desk.now + 60 * SECOND).data["waiting"] == "0"


def test_a_position_that_waits_too_long_is_told_while_it_does(desk: Desk) -> None:
    watched = Watched(desk)
    desk.hold("0.1", **STOP)
    found = watched.hear().finding(desk.now + 6 * SECOND)
    assert (found.verdict, found.data["waiting"], found.data["longest"]) == (Verdict.WARNING, "1", "6.000")


def test_what_a_daemon_before_left_waiting_waits_still(desk: Desk) -> None:
    entry = desk.hold("0.1", **STOP)
    watched = Watched(desk)
    watched.later(2)
    desk.protect(entry)
    assert watched.hear().longest >= 2 * SECOND
