"""Bybit's time, as far as answers tell it."""

from __future__ import annotations

from quarterdeck_exchange_bybit.server_clock import FARTHEST, MILLISECOND, SECOND, ServerClock

START = 1_700_000_000 * SECOND


class Machine:
    """Two clocks that are turned by hand."""

    def __init__(self) -> None:
        self.wall, self.steady = START, 5 * SECOND
        self.clock = ServerClock(lambda: self.wall, lambda: self.steady)

    def ask(self, ahead: int, round_trip: int = 2 * MILLISECOND) -> None:
        """An answer of a server whose clock is so far ahead."""
        sent = self.steady
        self.pass_time(round_trip)
        self.clock.sample(sent, self.wall - round_trip // 2 + ahead, self.steady)

    def pass_time(self, time: int) -> None:
        self.wall += time
        self.steady += time


def test_a_slow_answer_says_less_than_what_is_known() -> None:
    machine = Machine()
    machine.ask(100 * MILLISECOND)
    machine.ask(130 * MILLISECOND, 200 * MILLISECOND)
    assert machine.clock.offset == 100 * MILLISECOND


def test_a_slow_answer_that_refutes_what_is_known_is_believed() -> None:
    """Else a clock that was set, or drifts, would be gone by for as long as no answer is as quick as the best one."""
    machine = Machine()
    machine.ask(0)
    machine.ask(2 * SECOND, 200 * MILLISECOND)
    assert machine.clock.offset == 2 * SECOND
    assert machine.clock.is_trusted


def test_a_clock_that_is_too_far_off_is_told_of() -> None:
    machine = Machine()
    machine.ask(FARTHEST)
    assert machine.clock.problem == ""
    machine.ask(3_600 * SECOND)
    assert machine.clock.problem == "this machine's clock is 3,600 s behind"
    machine.ask(-3_600 * SECOND)
    assert machine.clock.problem == "this machine's clock is 3,600 s ahead"


def test_a_clock_that_was_set_is_not_trusted_until_the_next_answer() -> None:
    machine = Machine()
    machine.ask(0)
    machine.wall += SECOND
    assert not machine.clock.is_trusted
    machine.ask(-SECOND, 200 * MILLISECOND)
    assert machine.clock.is_trusted
    assert machine.clock.offset == -SECOND
