"""A late event loop and a commit that never ends are seen."""

from __future__ import annotations

from quarterdeck.daemon.pulse import STUCK_AFTER, Pulse


class Works:
    """A core's loop, as far as the pulse sees it."""

    is_settled = True
    head = 7


def pulse_of(works: Works) -> Pulse:
    return Pulse(works, lambda: works.head)


def test_the_worst_of_the_last_beats_is_kept() -> None:
    pulse = pulse_of(Works())
    for now, due in ((1.0, 1.0), (2.5, 2.0), (3.0, 3.1)):
        pulse.look(now, due)
    assert (pulse.lag, pulse.worst_lag) == (0.0, 0.5)


def test_a_commit_that_does_not_end_is_no_life() -> None:
    works = Works()
    pulse = pulse_of(works)
    works.is_settled = False
    pulse.look(10.0, 10.0)
    pulse.look(10.0 + STUCK_AFTER - 1, 10.0)
    assert pulse.is_alive
    pulse.look(10.0 + STUCK_AFTER, 10.0)
    assert not pulse.is_alive
    works.is_settled = True
    pulse.look(11.0 + STUCK_AFTER, 11.0)
    assert pulse.is_alive


def test_one_commit_after_the_other_is_life() -> None:
    works = Works()
    pulse = pulse_of(works)
    works.is_settled = False
    for second in range(3 * int(STUCK_AFTER)):
        works.head += 1
        pulse.look(float(second), float(second))
    assert pulse.is_alive
