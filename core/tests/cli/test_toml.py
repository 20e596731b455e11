"""What is written as TOML is read back the same."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.cli.config import as_toml
from quarterdeck.cli.toml import written
from quarterdeck.daemon.config import TEMPLATE, Config, parse

scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
keys = st.text(st.characters(exclude_categories=["Cs"]))
tables = st.recursive(
    st.dictionaries(keys, scalars | st.lists(scalars), max_size=3),
    lambda inner: st.dictionaries(keys, scalars | inner | st.lists(inner, min_size=1, max_size=2), max_size=3),
    max_leaves=6,
)


def without_empty_tables(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: without_empty_tables(each) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each != {}}
    return [without_empty_tables(each) for each in value] if isinstance(value, list) else value


@given(tables)
def test_any_table_comes_back(table: dict[str, Any]) -> None:
    assert without_empty_tables(tomllib.loads(written(table))) == without_empty_tables(table)


def test_decimals_are_text_moments_are_moments_and_nothing_is_left_out() -> None:
    moment = datetime(2025, 1, 1, tzinfo=UTC)
    text = written({"ratio": Decimal("0.050"), "start": moment, "end": None, "steps": (1, 2)})
    assert tomllib.loads(text) == {"ratio": "0.050", "start": moment, "steps": [1, 2]}


def test_what_no_configuration_holds_is_refused() -> None:
    with pytest.raises(TypeError, match="object is nothing"):
        written({"it": object()})


@pytest.mark.parametrize("text", [TEMPLATE, ""], ids=["template", "defaults"])
def test_a_configuration_that_is_shown_can_be_used(text: str) -> None:
    config = parse(text, "before")
    assert parse(as_toml(config), "after") == config
    assert Config.model_validate(config.model_dump()) == config
