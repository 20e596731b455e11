"""Owns the table of docs/errors.md, which is the comments of `ErrorReason` in the contract, sorted into columns."""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

from grpc import StatusCode

from docs.generated import DOCS, ROOT, main, with_block

PAGE = DOCS / "errors.md"
SOURCE = ROOT / "protos" / "quarterdeck" / "v1" / "error.proto"

_VALUE = re.compile(r"((?: {2}//[^\n]*\n)+) {2}ERROR_REASON_([A-Z_]+) = \d+;")
_PARTS = re.compile(r"(?P<meaning>.+?)\. (?P<code>[A-Z_]{5,})\b(?P<details>.*?)\. (?P<advice>[A-Z].*)")


class Reason(NamedTuple):
    """One reason, as its comment tells it."""

    name: str
    meaning: str
    code: str
    details: str
    advice: str

    @property
    def metadata(self) -> tuple[str, ...]:
        """The keys its metadata has."""
        return tuple(re.findall(r"`(\w+)`", self.details))


def reasons(source: str) -> list[Reason]:
    """Every reason of the enum that is ever sent.

    Raises:
        ValueError: a comment does not say, in this order, what it means, its status code and what to do.
    """
    found = []
    for comment, name in _VALUE.findall(source):
        if name == "UNSPECIFIED":
            continue
        text = " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())
        parts = _PARTS.fullmatch(text)
        if parts is None or parts["code"] not in StatusCode.__members__:
            raise ValueError(f"{name}: the comment must be `Meaning. CODE; metadata. What to do.`, not {text!r}")
        found.append(Reason(name, parts["meaning"], parts["code"], parts["details"].lstrip(",; "), parts["advice"]))
    return found


def render(text: str) -> str:
    """The page with a table that is current."""
    rows = [
        f"| `{each.name}` | `{each.code}` | {each.meaning} | {each.details or '-'} | {each.advice.rstrip('.')} |"
        for each in reasons(SOURCE.read_text(encoding="utf-8"))
    ]
    head = ["| reason | status code | what happened | besides | what to do |", "|---|---|---|---|---|"]
    return with_block(text, "reasons", "\n".join(head + rows))


if __name__ == "__main__":
    sys.exit(main(PAGE, render))
