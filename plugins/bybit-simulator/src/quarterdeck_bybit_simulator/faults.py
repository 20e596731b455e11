"""Owns what goes wrong on purpose: rules as data, matched against requests and messages.

{"match": {"path": "/v5/order/create", "nth": 3}, "do": "accept_then_drop"}
{"match": {"topic": "execution"}, "do": "dup", "times": 3, "shuffle_ms": 800}
{"match": {"path": "/v5/order/realtime"}, "do": "http", "status": 502, "count": 5}
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Do(StrEnum):
    """What a rule does."""

    DROP_REQUEST = "drop_request"
    """The connection ends before anything was done."""
    ACCEPT_THEN_DROP = "accept_then_drop"
    """It is done, and the connection ends without an answer."""
    DELAY_ACCEPT = "delay_accept"
    """It is done only `ms` later."""
    DELAY_ANSWER = "delay_answer"
    """It is done at once and answered `ms` later."""
    TWICE = "twice"
    """It is done two times over, as when something on the way sends it again; the answer is that of the second time."""
    TOO_LATE = "too_late"
    """It is done only `ms` later. A cancel of an order that has filled is granted, and the stream takes it back."""
    HTTP = "http"
    """It is answered with `status` and `body`; `after` says whether it was done."""
    CODE = "code"
    """It is answered with the `retCode` in `code`; `after` says whether it was done."""
    END = "end"
    """On the path `protection`: the stop or take-profit that a trade opens ends as soon as it was told of."""
    MUTE = "mute"
    """Messages of the topic are not sent; pings are answered."""
    DUP = "dup"
    """Every message is sent `times` times, the copies up to `shuffle_ms` later."""
    SHUFFLE = "shuffle"
    """Every message is sent up to `shuffle_ms` later, so that they overtake one another."""
    DELAY = "delay"
    """Every message is sent `ms` later."""
    CLOSE = "close"
    """The socket is closed instead of sending the message; on the path `connect`, as soon as it is open."""
    FREEZE = "freeze"
    """From then on the socket neither sends nor reads, and stays open. On the path `ping:KIND`, too."""
    REPLACE = "replace"
    """The text in `body` is sent in place of the message."""
    CORRUPT = "corrupt"
    """The message is sent with `field` set to `value`, or without it where there is no value."""


class Match(BaseModel):
    """What a rule is about. What is not named matches everything; `nth` counts the matching ones from 1.

    `contains` is a text that the request's body has in it, or its query.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str | None = None
    topic: str | None = None
    symbol: str | None = None
    contains: str | None = None
    address: bool | None = None
    leg: Annotated[int, Field(ge=1)] | None = None
    """The order of a batch, counted from 1; the rule's `code` is then that order's."""
    nth: Annotated[int, Field(ge=1)] | None = None


class Rule(BaseModel):
    """One thing that goes wrong. Without `count` it goes on until it is taken away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: Match
    do: Do
    count: Annotated[int, Field(ge=1)] | None = None
    ms: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1, le=100)] = 1
    shuffle_ms: Annotated[int, Field(ge=0)] = 0
    status: Annotated[int, Field(ge=200, le=599)] = 502
    code: int = 10016
    body: str = ""
    after: bool = False
    field: str = ""
    value: Any = None


class Faults:
    """The rules in force, and how often each has been met."""

    def __init__(self, rules: Iterable[Rule | Mapping[str, Any]] = (), seed: int = 0) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a seed has to give the same faults again
        self._rules: list[Rule] = []
        self._met: list[int] = []
        self._used: list[int] = []
        self._past = 0
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule | Mapping[str, Any]) -> Rule:
        """Put a rule in force.

        Raises:
            ValidationError: it is none; every fault of it is named.
        """
        parsed = rule if isinstance(rule, Rule) else Rule.model_validate(rule)
        self._rules.append(parsed)
        self._met.append(0)
        self._used.append(0)
        return parsed

    def remove(self, rule: Rule) -> None:
        """Take one rule away, if it is in force; the others stay."""
        for at, each in enumerate(self._rules):
            if each is rule:
                self._past += self._used[at]
                del self._rules[at], self._met[at], self._used[at]
                return

    def clear(self) -> None:
        """Let everything go right again."""
        self._past += sum(self._used)
        self._rules.clear()
        self._met.clear()
        self._used.clear()

    @property
    def used(self) -> int:
        """How often anything has gone wrong."""
        return self._past + sum(self._used)

    def of_request(self, path: str, symbol: str, body: str = "") -> Rule | None:
        """The rule that a request meets, if any."""
        return self._find(
            lambda match: match.path == path and match.leg is None and (match.contains or "") in body, symbol
        )

    def of_leg(self, path: str, number: int, symbol: str) -> Rule | None:
        """The rule that one order of a batch meets, if any."""
        return self._find(lambda match: match.path == path and match.leg == number, symbol)

    def of_message(self, topic: str, symbol: str) -> Rule | None:
        """The rule that a message meets, if any."""
        kind = topic.partition(".")[0]
        return self._find(lambda match: match.topic is not None and match.topic in (topic, kind, "*"), symbol)

    def _find(self, concerns: Any, symbol: str) -> Rule | None:  # noqa: ANN401 - a predicate on Match
        for at, rule in enumerate(self._rules):
            match = rule.match
            if not concerns(match) or match.symbol not in (None, symbol):
                continue
            if rule.count is not None and self._used[at] >= rule.count:
                continue
            self._met[at] += 1
            if match.nth is not None and self._met[at] != match.nth:
                continue
            self._used[at] += 1
            return rule
        return None
