"""The tables: exact on both databases, and complete."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, insert, make_url, select
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateTable

from quarterdeck.daemon.journal import schema
from quarterdeck.daemon.journal.projections import FILL, POSITION, RECORD, SNAPSHOT, TERMS, _upsert
from quarterdeck.daemon.journal.schema import ExactDecimal, Figure
from quarterdeck.domain.amounts import use_money_context

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**15), max_value=10**15)

numbers = Table("numbers", MetaData(), Column("key", Integer, primary_key=True), Column("amount", ExactDecimal))

SQLITE, POSTGRESQL = (make_url(f"{name}://").get_dialect()() for name in ("sqlite", "postgresql"))


def through_the_database(value: Any) -> Any:
    engine = create_engine("sqlite://")
    numbers.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(numbers), {"key": 1, "amount": value})
        return connection.scalar(select(numbers.c.amount))


@given(AMOUNTS | st.decimals(allow_nan=False, allow_infinity=False).filter(lambda value: abs(value.adjusted()) < 40))
def test_an_amount_comes_back_digit_for_digit(value: Decimal) -> None:
    with decimal.localcontext(decimal.Context(prec=200)):
        found = through_the_database(value)
        assert isinstance(found, Decimal)
        assert found == value
        if value.as_tuple().exponent <= 0 and value:  # type: ignore[operator]  # finite by construction
            assert found.as_tuple() == value.as_tuple()


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("0.1", "0.1"),
        ("1E+3", "1000"),
        ("1234567890123456789.1234567890123456785", "1234567890123456789.123456789012345678"),
        ("0.33333333333333333333", "0.333333333333333333"),
        ("-0E-30", "0"),
    ],
)
def test_a_figure_keeps_as_many_places_as_the_contract(value: str, kept: str) -> None:
    use_money_context()
    bound = Figure().process_bind_param(Decimal(value), SQLITE)
    assert Decimal(str(bound)) == Decimal(kept)


def test_no_amount_is_none() -> None:
    assert through_the_database(None) is None


@pytest.mark.parametrize("value", [0.1, 1, "0.1"], ids=repr)
def test_what_is_no_decimal_is_refused(value: object) -> None:
    with pytest.raises(StatementError, match="is not a Decimal"):
        through_the_database(value)


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (schema.orders, [*TERMS, *RECORD]),
        (schema.fills, ["sequence", "time", "bot_id", *(name for name in FILL if name != "bot_id")]),
        (schema.positions, POSITION),
        (schema.portfolio_snapshots, ["sequence", "time", *SNAPSHOT]),
    ],
    ids=["orders", "fills", "positions", "portfolio_snapshots"],
)
def test_a_table_has_a_column_for_every_field_of_what_it_shows(table: Table, names: list[str]) -> None:
    assert sorted(table.columns.keys()) == sorted(names)


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=lambda table: table.name)
def test_no_key_is_counted_up_by_the_database_and_no_amount_is_a_float(table: Table) -> None:
    for dialect in (SQLITE, POSTGRESQL):
        text = str(CreateTable(table).compile(dialect=dialect)).upper()
        for forbidden in ("SERIAL", "IDENTITY", "AUTOINCREMENT", "FLOAT", "REAL", "DOUBLE"):
            assert forbidden not in text.split()
        if dialect.name == "sqlite":
            assert "NUMERIC" not in text


def test_sequences_are_the_row_id_on_sqlite_and_bigint_elsewhere() -> None:
    assert "sequence INTEGER NOT NULL" in str(CreateTable(schema.event).compile(dialect=SQLITE))
    assert "sequence BIGINT NOT NULL" in str(CreateTable(schema.event).compile(dialect=POSTGRESQL))


@pytest.mark.parametrize("table", [*schema.PROJECTIONS, schema.projection_cursor], ids=lambda table: table.name)
@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL], ids=lambda dialect: dialect.name)
def test_rows_are_brought_up_to_date_on_both_databases(table: Table, dialect: Any) -> None:
    text = _upsert(dialect, table).statement
    assert f"INSERT INTO {table.name}" in text
    assert f"ON CONFLICT ({', '.join(table.primary_key.columns.keys())}) DO UPDATE SET" in text
