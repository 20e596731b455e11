"""Writes order-states.md from the table of moves in the domain."""

from __future__ import annotations

import ast
import inspect
import sys
from itertools import pairwise
from pathlib import Path

from quarterdeck.domain.order import CLOSED_STATES, TRANSITIONS, UNRESOLVED_STATES, OrderState

PAGE = Path(__file__).with_name("order-states.md")

_HEAD = """\
# The states of an order

This page is generated from the one table of moves, `TRANSITIONS` in
[`domain/order.py`](../core/src/quarterdeck/domain/order.py); a test fails when it is out of date. Refresh it with
`.venv/bin/python docs/generate_order_states.py --write`.

The engine makes no move that is not listed here. News of the venue that the order's state already implies is dropped;
news that contradicts it is an anomaly: trading is reduced until a person has looked. A fill is a fact whatever the
state: one that won the race against a cancel or an expiry is booked, and completes the order if it is the last.
"""


def page() -> str:
    """The page, as it should be."""
    return "\n".join([_HEAD, *_diagram(), "", *_table(), ""])


def _diagram() -> list[str]:
    moves = [f"    {state} --> {move}" for state in OrderState for move in _moves(state)]
    starts = ["    [*] --> PREPARED : approved and recorded", "    [*] --> OPEN : opened by the venue"]
    ends = [f"    {state} --> [*]" for state in OrderState if state in CLOSED_STATES]
    return ["```mermaid", "stateDiagram-v2", *starts, *moves, *ends, "```"]


def _table() -> list[str]:
    rows = [
        f"| {state} | {_kind(state)} | {meaning} | {', '.join(_moves(state)) or 'nothing'} |"
        for state, meaning in _meanings().items()
    ]
    return ["| State | Kind | Meaning | May become |", "|---|---|---|---|", *rows]


def _moves(state: OrderState) -> list[OrderState]:
    """The moves a state may make, in the order the states are declared in."""
    return [move for move in OrderState if move in TRANSITIONS[state]]


def _kind(state: OrderState) -> str:
    if state in CLOSED_STATES:
        return "closed"
    return "open, to be asked about after a crash" if state in UNRESOLVED_STATES else "open"


def _meanings() -> dict[OrderState, str]:
    """What stands below each state in its enum."""
    (declaration,) = ast.parse(inspect.getsource(OrderState)).body
    assert isinstance(declaration, ast.ClassDef)
    found: dict[OrderState, str] = {}
    for assigned, below in pairwise(declaration.body):
        if isinstance(assigned, ast.Assign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[OrderState(ast.literal_eval(assigned.value))] = " ".join(str(below.value.value).split())
    return found


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        sys.exit(f"{PAGE.name} is out of date: run this with --write")
