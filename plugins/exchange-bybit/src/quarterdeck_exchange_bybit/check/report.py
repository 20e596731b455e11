"""Owns what a check found out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from quarterdeck_exchange_bybit.check.desk import Desk


class Finding(StrEnum):
    """What became of an assumption."""

    CONFIRMED = "confirmed"
    DIFFERENT = "different"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Answer:
    """A finding, and what was seen."""

    finding: Finding
    evidence: str


def confirmed(evidence: str) -> Answer:
    """It is as assumed."""
    return Answer(Finding.CONFIRMED, evidence)


def different(evidence: str) -> Answer:
    """It is otherwise."""
    return Answer(Finding.DIFFERENT, evidence)


def unknown(evidence: str) -> Answer:
    """It could not be seen."""
    return Answer(Finding.NOT_CHECKED, evidence)


def settled(holds: bool, evidence: str) -> Answer:
    """As assumed, or otherwise."""
    return confirmed(evidence) if holds else different(evidence)


@dataclass(frozen=True, slots=True)
class Question:
    """One assumption: its name, what is assumed, how it is looked at, and what has to be allowed for that.

    `of` is the category it is about; empty is every one.
    """

    name: str
    assumption: str
    ask: Callable[[Desk], Awaitable[Answer]]
    needs: str = ""
    of: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report."""

    name: str
    assumption: str
    answer: Answer

    def data(self) -> dict[str, Any]:
        """It, for a program."""
        return {
            "name": self.name,
            "assumption": self.assumption,
            "finding": self.answer.finding.value,
            "evidence": self.answer.evidence,
        }


def counts(lines: Iterable[Line]) -> dict[str, int]:
    """How many there are of each finding."""
    found = [line.answer.finding for line in lines]
    return {each.value.replace(" ", "_"): found.count(each) for each in Finding}
