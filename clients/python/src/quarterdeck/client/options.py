"""Owns patience: how long a call may take, what is tried again, and when."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

from tenacity import RetryCallState, retry_if_exception_type, stop_before_delay

from quarterdeck.client.errors import DeadlineExceeded, QuarterdeckError, SlowReader, Unavailable

#: Our own, so that a program which seeds the global generator finds it untouched.
_DICE = random.Random()  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before trying again, in seconds: `initial`, doubling up to `maximum`, each shortened by chance.

    The chance part (up to half) keeps many clients of one daemon from coming back all at once.
    """

    initial: float = 0.1
    maximum: float = 5.0

    def delay(self, failures: int, error: BaseException | None = None) -> float:
        """How long to wait after so many failures in a row; never less than the daemon asks for."""
        longest = min(self.maximum, self.initial * 2.0 ** min(failures - 1, 30))
        asked = error.failure.retry_delay if isinstance(error, QuarterdeckError) else None
        return max(_DICE.uniform(longest / 2, longest), asked or 0.0)


@dataclass(frozen=True, slots=True)
class Options:
    """How patient a client is. All times in seconds.

    A call may take `timeout` in all, each try of it at most `attempt_timeout`; what failed with `Unavailable` or
    `DeadlineExceeded` is tried again, with the same request_id, as long as the time allows. A stream that
    breaks is opened again until `stream_patience` has passed without a message, or for ever if that is `None`.
    """

    timeout: float = 10.0
    attempt_timeout: float = 5.0
    stream_patience: float | None = None
    backoff: Backoff = field(default_factory=Backoff)

    def retrying(self) -> dict[str, Any]:
        """What both kinds of `tenacity` retrying are to be made with."""
        return {
            "retry": retry_if_exception_type((Unavailable, DeadlineExceeded)),
            "stop": stop_before_delay(self.timeout),
            "wait": self._wait,
            "reraise": True,
        }

    def _wait(self, state: RetryCallState) -> float:
        return self.backoff.delay(state.attempt_number, state.outcome.exception() if state.outcome else None)


class Deadline:
    """The end of one logical call, from which each try takes its own timeout."""

    def __init__(self, options: Options) -> None:
        self._longest = options.attempt_timeout
        self._end = time.monotonic() + options.timeout

    def attempt_timeout(self) -> float:
        """How long the next try may take."""
        return max(0.001, min(self._longest, self._end - time.monotonic()))


class Reconnection:
    """Whether, and after how long, a broken stream is opened again."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._failures = 0
        self._broken_since = 0.0

    def received(self) -> None:
        """A message arrived: the stream works."""
        self._failures = 0

    def delay_after(self, error: QuarterdeckError | None) -> float:
        """How long to wait before the stream is opened again; `None` is a stream the daemon ended without an error.

        Raises:
            QuarterdeckError: the error, if opening again would not help or patience is at its end.
        """
        if error is not None and not isinstance(error, Unavailable | SlowReader):
            raise error
        now = time.monotonic()
        if not self._failures:
            self._broken_since = now
        patience = self._options.stream_patience
        if patience is not None and now - self._broken_since > patience:
            raise error or Unavailable("the daemon keeps ending the stream")
        self._failures += 1
        return self._options.backoff.delay(self._failures, error)
