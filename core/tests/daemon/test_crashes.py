"""F05: a daemon that keeps crashing takes no risk until it has run for a while."""

from __future__ import annotations

from quarterdeck.daemon.clock import Clock, ReplayClock
from quarterdeck.daemon.config import DaemonSection
from quarterdeck.daemon.crashes import Crashes
from quarterdeck.domain.market import SECOND
from quarterdeck.engine.events import AccountOpened, DaemonStarted, DaemonStopped, Event, Recorded
from quarterdeck.engine.fold import fold
from quarterdeck.engine.inputs import ClearObstacle, Input, SetObstacle
from quarterdeck.engine.obstacles import CRASHES, Obstacles
from quarterdeck.engine.state import CRASHES_KEPT, State

MINUTE = 60 * SECOND


class At:
    """A clock of real markets that stands."""

    def __init__(self, time: int) -> None:
        self.time = time

    def now(self) -> int:
        return self.time


class Gate:
    """What the loop would do of what is posted."""

    def __init__(self) -> None:
        self.obstacles = Obstacles()

    def post(self, item: Input) -> None:
        match item:
            case SetObstacle(obstacle):
                self.obstacles[obstacle.name] = obstacle
            case ClearObstacle(name):
                del self.obstacles[name]
            case _:
                raise AssertionError(item)


def lived(*events: Event) -> State:
    """A state after these events, a minute from one to the next."""
    state = State()
    for number, event in enumerate((AccountOpened("testnet", "USDT", ()), *events), 1):
        fold(state, Recorded(number, number * MINUTE, event))
    return state


def watch(state: State, clock: Clock, gate: Gate, section: DaemonSection | None = None) -> Crashes:
    return Crashes(section or DaemonSection(), state, gate, clock, gate.obstacles)


START, STOP = DaemonStarted("1", "testnet", (), 1), DaemonStopped("asked to")


def test_only_what_did_not_end_in_order_counts() -> None:
    assert lived(START).crash_times == []
    assert lived(START, START, START).crash_times == [3 * MINUTE, 4 * MINUTE]
    assert lived(START, STOP, START).crash_times == []
    assert lived(START, START, STOP, START, START).crash_times == [6 * MINUTE]
    assert len(lived(*[START] * 50).crash_times) == CRASHES_KEPT


def test_the_gate_closes_after_too_many_and_opens_when_they_are_long_ago() -> None:
    state, gate = lived(*[START] * 6), Gate()
    clock = At(state.time)
    crashes = watch(state, clock, gate)
    crashes.look()
    assert "crashed 5 times within 10m" in gate.obstacles[CRASHES].detail
    crashes.look()
    clock.time += 5 * MINUTE
    crashes.look()
    assert CRASHES in gate.obstacles
    clock.time += MINUTE
    crashes.look()
    assert not gate.obstacles


def test_a_few_crashes_are_none_of_its_business() -> None:
    state, gate = lived(*[START] * 5), Gate()
    watch(state, At(state.time), gate).look()
    assert not gate.obstacles


def test_there_is_no_limit_in_a_replay_or_if_it_is_zero() -> None:
    state, gate = lived(*[START] * 20), Gate()
    watch(state, ReplayClock(state.time), gate).look()
    watch(state, At(state.time), gate, DaemonSection(crash_limit=0)).look()
    assert not gate.obstacles
