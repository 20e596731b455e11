"""Owns noticing that trades are not told though the candles count them. Nothing else proves a topic of trades mute."""

from __future__ import annotations

#: Seconds by which a candle may lag behind the trades it counts.
LAG = 5.0

#: So many times in a row a candle has to grow without any trade.
TIMES = 2


class Tape:
    """The trades of one instrument, beside its candles. Times are of a steady clock."""

    def __init__(self) -> None:
        self._traded = 0.0
        self._grown: dict[str, tuple[int, float, float]] = {}
        self._untold: dict[str, int] = {}

    def begin(self) -> None:
        """A new connection: nothing is known of what it left out."""
        self._grown.clear()
        self._untold.clear()

    def traded(self, now: float) -> None:
        """A trade was told."""
        self._traded = now
        self._untold.clear()

    def counted(self, word: str, start: int, volume: float, now: float) -> None:
        """A candle of an interval that began at `start` has this volume so far."""
        known = self._grown.get(word)
        self._grown[word] = (start, volume, now)
        if known is None:
            return
        began, before, at = known
        if volume > (before if start == began else 0.0) and self._traded < at - LAG:
            self._untold[word] = self._untold.get(word, 0) + 1

    @property
    def is_mute(self) -> bool:
        """Whether trades are left out."""
        return any(times >= TIMES for times in self._untold.values())
