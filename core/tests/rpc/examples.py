"""Owns arbitrary events: what any engine could record, for the laws of the codec."""

from __future__ import annotations

import json
from dataclasses import fields
from decimal import Decimal
from types import NoneType
from typing import Any, get_args, get_type_hints

from hypothesis import strategies as st

from quarterdeck.domain.bot import BotSpec
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.ledger import Posting
from quarterdeck.domain.order import OrderTerms
from quarterdeck.domain.risk import Refused
from quarterdeck.domain.sizing import Sizing, SizingStep
from quarterdeck.engine import events as e

EVENT_CLASSES: tuple[type[Any], ...] = get_args(e.Event)

IDS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
AMOUNTS = st.one_of(
    st.decimals(-(10**18), 10**18, places=8),
    st.decimals(-1000, 1000, places=18),
    st.integers(-(10**18), 10**18).map(Decimal),
    st.sampled_from([Decimal("-0"), Decimal("1E+3"), Decimal("0E-8"), Decimal("1E-18"), Decimal("-0.00")]),
)
TIMES = st.integers(-(2**62), 2**62)
JSON = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5) | st.just(0.125),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
).map(lambda table: json.dumps(table, sort_keys=True))

_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "order_id": IDS,
    "parent_id": IDS | st.just(""),
    "bot_id": IDS | st.just(""),
    "symbol": IDS,
    "strategy": IDS,
    "mode": st.sampled_from(["demo", "paper", "testnet", "exchange-demo", "live"]),
    "settings": JSON,
    "interval": st.integers(1, 10**15),
    "exchange_time": TIMES,
    "tick_size": AMOUNTS.filter(lambda size: size > 0),
    "lot_size": AMOUNTS.filter(lambda size: size > 0),
    "epoch": st.integers(0, 2**62),
    "attempt": st.integers(0, 2**31 - 1),
    "open_positions": st.integers(0, 2**31 - 1),
}
_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    bool: st.booleans(),
    Decimal: AMOUNTS,
    tuple[str, ...]: st.lists(st.text(max_size=10), max_size=3).map(tuple),
    tuple[tuple[str, Decimal], ...]: st.lists(st.tuples(st.text(max_size=8), AMOUNTS), max_size=3).map(tuple),
}


def _values(kind: Any) -> st.SearchStrategy[Any]:
    options = get_args(kind)
    if NoneType in options:
        return st.none() | _values(next(option for option in options if option is not NoneType))
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    if options == (Posting, ...):
        return st.lists(examples_of(Posting), max_size=4).map(tuple)
    if options == (SizingStep, ...):
        return st.lists(examples_of(SizingStep), max_size=3).map(tuple)
    if kind in {BotSpec, Instrument, OrderTerms, Refused, Sizing}:
        return examples_of(kind)
    return st.from_type(kind)


def examples_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any value of a dataclass or named tuple of the domain."""
    hints = get_type_hints(kind)
    names = kind._fields if hasattr(kind, "_fields") else [field.name for field in fields(kind)]
    return st.builds(kind, **{name: _BY_NAME[name] if name in _BY_NAME else _values(hints[name]) for name in names})


def recorded(event: st.SearchStrategy[Any]) -> st.SearchStrategy[e.Recorded]:
    """Any event at any place in a journal."""
    places = st.integers(0, 2**63 - 1)
    words = st.text(max_size=40)
    return st.builds(e.Recorded, places, TIMES, event, words, places, words, words)
