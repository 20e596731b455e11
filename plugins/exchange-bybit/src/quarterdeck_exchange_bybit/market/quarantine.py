"""Owns what is held back of the market: counted by reason, logged now and then, and kept as it came."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import structlog

from quarterdeck.plugin import KeepFrame

log = structlog.get_logger(__name__)

#: Seconds between two log lines of one reason, and frames kept within that time: floods tell no more than the first.
QUIET, KEPT_AT_ONCE = 60.0, 10

_SHOWN = 300


class Quarantine:
    """Counts since the start. `keep` gets the frames, so that they can be looked at later."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self.last = ""
        """The latest: its reason, what was wrong with it, and the beginning of what came."""
        self.keep: KeepFrame = lambda *_: None
        self._now = now
        self._windows: dict[str, tuple[float, int]] = {}

    def note(self, reason: str, detail: str, source: str, raw: bytes) -> None:
        """Hold something back. `raw` is the frame as it came."""
        self.counts[reason] += 1
        self.last = f"{reason}: {detail}: {raw[:_SHOWN].decode(errors='replace')}"
        now = self._now()
        began, kept = self._windows.get(reason, (-QUIET, 0))
        if now - began >= QUIET:
            began, kept = now, 0
            log.warning("market_quarantine", reason=reason, detail=detail, source=source, so_far=self.counts[reason])
        if kept < KEPT_AT_ONCE:
            self.keep(f"{source} {reason}", raw)
        self._windows[reason] = (began, kept + 1)
