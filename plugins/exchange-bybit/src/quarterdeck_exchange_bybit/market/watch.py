"""Owns noticing a topic that has gone mute while its connection lives, and one whose book has to be told anew.

A topic that begins with a snapshot is asked for again when it has said nothing for too long: one that is alive answers
at once, however quiet its market; where no answer comes, the connection is not what it seems.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

#: Seconds within which a topic that is asked for again has to begin anew.
ANSWER_SECONDS = 3.0

#: So often within so many seconds a topic may be asked for because it was out of step.
REPEATS, REPEAT_SECONDS = 5, 60.0

#: Connections that one mute topic may cost in a row; then it is only asked for now and then, and the others go on.
CONNECTIONS, NOW_AND_THEN = 3, 30.0


class Watch:
    """The topics of one connection, each with the seconds it may be silent. Times are of a steady clock."""

    def __init__(self, bounds: Mapping[str, float]) -> None:
        self._bounds = dict(bounds)
        self._heard: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._wanted: set[str] = set()
        self._broken: dict[str, deque[float]] = {}
        self._mute: dict[str, int] = {}

    def forget(self, topic: str) -> None:
        """A topic is not offered: nobody waits for it."""
        self._bounds.pop(topic, None)
        self._asked.pop(topic, None)

    def begin(self, now: float) -> None:
        """A new connection is up: what it has not told yet was asked for just now."""
        self._asked = {topic: now for topic in self._bounds if topic not in self._heard}
        self._wanted.clear()

    def end(self) -> None:
        """The connection has ended."""
        self._heard.clear()

    def heard(self, topic: str, now: float) -> None:
        """A topic has said something that can be used."""
        self._heard[topic] = now
        self._asked.pop(topic, None)
        self._mute.pop(topic, None)

    def want(self, topic: str, now: float) -> None:
        """What a topic says can't be used any more: it has to begin anew."""
        if topic not in self._asked:
            self._wanted.add(topic)
            self._broken.setdefault(topic, deque(maxlen=REPEATS)).append(now)

    def look(self, now: float) -> tuple[list[str], str]:
        """The topics to ask for again; and why the connection can't be trusted, empty if it can."""
        given_up = set()
        for topic, at in self._asked.items():
            if now - at > ANSWER_SECONDS and self._mute.get(topic, 0) < CONNECTIONS:
                self._mute[topic] = self._mute.get(topic, 0) + 1
                return [], f"{topic} does not answer"
            if now - at > NOW_AND_THEN:
                given_up.add(topic)
        for topic in self._wanted:
            times = self._broken[topic]
            if len(times) == REPEATS and now - times[0] < REPEAT_SECONDS:
                times.clear()
                return [], f"{topic} is out of step again and again"
        silent = {
            topic
            for topic, bound in self._bounds.items()
            if topic not in self._asked and now - self._heard.get(topic, now) > bound
        }
        due = sorted(self._wanted | silent | given_up)
        self._wanted.clear()
        self._asked |= dict.fromkeys(due, now)
        return due, ""
