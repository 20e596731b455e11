"""Owns one case of the crash sweep: play the session, die at one hit of one failpoint, recover, finish, check all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from quarterdeck.daemon.failpoints import ARM, COUNT
from quarterdeck.domain.bot import BotState
from tests.e2e.process import DaemonProcess, Running
from tests.faults import invariants
from tests.faults.nursery import Nursery
from tests.faults.reader import Reader
from tests.faults.session import CONFIG, Down, Session

#: Points a start goes through; they are hit when there is nothing to recover, too, and that is the lesser test.
RECOVERY = ("start.", "resolve.", "reconcile.")

#: Dies in the middle of everything: an order may be at the venue, bots run, orders work.
CRASH = "place.after=kill@7"

#: How often a start is killed in a row.
RELAPSES = 5

SIGKILL = -9


class Forked(DaemonProcess):
    """A daemon from the nursery."""

    def __init__(self, folder: Path, url: str, nursery: Nursery, venue: str = "paper") -> None:
        super().__init__(folder, CONFIG.format(url=url, venue=venue))
        self.url = url
        self._nursery = nursery

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Running:
        return self._nursery.start(arguments, self.folder, {"NO_COLOR": "1", **environment}, self.log)


class Case:
    """A session that is broken off at one place, and goes on as a client would."""

    def __init__(self, daemon: Forked) -> None:
        self.daemon = daemon
        self.session = Session(daemon)
        self._stream = Reader(daemon.address)

    def count(self) -> dict[str, int]:
        """Play undisturbed, and return how often each point was hit."""
        counts = self.daemon.folder / "hits.json"
        assert not self._play({COUNT: str(counts)})
        hits: dict[str, int] = json.loads(counts.read_text())
        return hits

    def die_at(self, point: str, nth: int) -> bool:
        """Die at one hit of a point, recover and check; returns whether the point was reached."""
        self._stream.start()
        reached = self._play({ARM: f"{point}=kill@{nth}"})
        self._recover()
        return reached

    def relapse_at(self, point: str, times: int) -> bool:
        """Die in the middle of the session, and then at a point of so many starts in a row."""
        self._stream.start()
        self._play({ARM: CRASH})
        reached = [self._die_starting(point) for _ in range(times)]
        self._recover()
        return any(reached)

    def _play(self, environment: Mapping[str, str]) -> bool:
        """Play to the end of the script and an orderly stop, or until the daemon dies; returns whether it died."""
        self.daemon.launch(environment)
        try:
            self.session.play()
            code = self.daemon.stop()
        except Down:
            code = self.daemon.wait()
        assert code in (0, SIGKILL), f"it ended with {code}:\n{self.daemon.log.read_text()}"
        return code == SIGKILL

    def _die_starting(self, point: str) -> bool:
        """Start, to die at a point or else once all is up; returns whether it was the point."""
        self.daemon.launch({ARM: ";".join(f"{name}=kill" for name in {point, "start.ready"})})
        code = self.daemon.wait()
        assert code == SIGKILL, f"it ended with {code}:\n{self.daemon.log.read_text()}"
        return True

    def _recover(self) -> None:
        """Two starts that end as soon as they are up, and a third that goes on with the script."""
        url = self.daemon.url
        before = invariants.read(url)
        invariants.check(before)
        invariants.check_stream(self._stream.transcript, before)
        self._die_starting("start.ready")
        first = invariants.read(url)
        invariants.check(first)
        assert first.events[: len(before.events)] == before.events, "history changed"
        self._die_starting("start.ready")
        again = invariants.read(url)
        invariants.check_recovered(first, again)
        self.daemon.launch()
        self.session.play()
        self._conclude()

    def _conclude(self) -> None:
        """Ask everything again, stop in order, and check everything."""
        self.daemon.wait_ready()
        self.session.repeat()
        assert self.session.misuse().reason == "REQUEST_ID_REUSED"
        code = self.daemon.stop()
        assert code == 0, f"it ended with {code}:\n{self.daemon.log.read_text()}"
        told = invariants.read(self.daemon.url)
        invariants.check(told)
        invariants.check_stream(self._stream.transcript, told)
        invariants.check_answers(self.session.wishes, told)
        invariants.check_promises(self.session.wishes, told)
        unheard = [order.order_id for order in told.state.open_orders.values() if order.cancel_requested]
        assert not unheard, f"asked for and never carried out: cancels of {unheard}"
        assert told.state.clean
        assert told.state.bots["crossing"].state is BotState.RUNNING, "the bot that runs from the start does not"
        self._stream.close()
