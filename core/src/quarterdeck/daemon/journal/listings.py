"""Owns the queries over the tables: orders, fills and portfolio snapshots, page by page, as the domain's own objects.

All of them block: not for the event loop. Each page says which position of the journal it is at least as new as.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Row, Select, select, tuple_

from quarterdeck.daemon.journal import schema
from quarterdeck.daemon.journal.journal import Journal
from quarterdeck.daemon.journal.projections import CURSOR, FILL, RECORD, SNAPSHOT, TERMS
from quarterdeck.domain.order import Order, OrderState, OrderTerms
from quarterdeck.engine.events import OrderFilled, PortfolioSnapshotTaken

T = TypeVar("T")


class OrderKey(NamedTuple):
    """Where an order stands in a listing: when it was recorded, and its id among those of the same moment."""

    create_time: int
    order_id: str


class Fill(NamedTuple):
    """A fill with its place in the journal, and when it was recorded."""

    sequence: int
    time: int
    event: OrderFilled


class PortfolioSnapshot(NamedTuple):
    """The account's value with its place in the journal and when it was taken."""

    sequence: int
    time: int
    event: PortfolioSnapshotTaken


class Page(NamedTuple, Generic[T]):
    """A part of a listing. Everything up to `sequence` is in it; what happened after may be."""

    rows: list[T]
    sequence: int


class Listings:
    """The queries. For any thread; nothing here holds up the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def order(self, order_id: str) -> Order | None:
        """One order, however old."""
        rows, _ = self._rows(select(schema.orders).where(schema.orders.c.order_id == order_id))
        return _order(rows[0]) if rows else None

    def has_order(self, order_id: str) -> bool:
        """Whether there is such an order."""
        with self._journal.reading() as connection:
            query = select(schema.orders.c.order_id).where(schema.orders.c.order_id == order_id)
            return connection.scalar(query) is not None

    def orders(
        self,
        limit: int,
        before: OrderKey | None = None,
        *,
        symbol: str | None = None,
        bot_id: str | None = None,
        states: Collection[OrderState] | None = None,
    ) -> Page[Order]:
        """Orders, newest first, older than `before`. An empty `bot_id` means those of no bot."""
        table = schema.orders.c
        query = select(schema.orders).order_by(table.create_time.desc(), table.order_id.desc()).limit(limit)
        if before is not None:
            query = query.where(tuple_(table.create_time, table.order_id) < tuple_(*before))
        if symbol is not None:
            query = query.where(table.symbol == symbol)
        if bot_id is not None:
            query = query.where(table.bot_id == bot_id)
        if states is not None:
            query = query.where(table.state.in_(states))
        rows, sequence = self._rows(query)
        return Page([_order(row) for row in rows], sequence)

    def fills(
        self,
        limit: int,
        before: int | None = None,
        *,
        order_id: str | None = None,
        symbol: str | None = None,
        bot_id: str | None = None,
    ) -> Page[Fill]:
        """Fills, newest first, recorded before a sequence. An empty `bot_id` means those of no bot."""
        table = schema.fills.c
        query = select(schema.fills).order_by(table.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(table.sequence < before)
        for column, wanted in ((table.order_id, order_id), (table.symbol, symbol), (table.bot_id, bot_id)):
            if wanted is not None:
                query = query.where(column == wanted)
        rows, sequence = self._rows(query)
        return Page([_fill(row) for row in rows], sequence)

    def portfolio_snapshots(self, after: int, limit: int) -> Page[PortfolioSnapshot]:
        """Portfolio snapshots taken after a sequence, oldest first."""
        table = schema.portfolio_snapshots
        query = select(table).where(table.c.sequence > after).order_by(table.c.sequence).limit(limit)
        rows, sequence = self._rows(query)
        return Page([_portfolio_snapshot(row) for row in rows], sequence)

    def _rows(self, query: Select[Any]) -> tuple[list[Row[Any]], int]:
        """The rows and the tables' position, both of one moment."""
        cursor = schema.projection_cursor.c
        with self._journal.reading() as connection:
            sequence = connection.scalar(select(cursor.sequence).where(cursor.name == CURSOR))
            return list(connection.execute(query)), sequence or 0


def _order(row: Row[Any]) -> Order:
    found = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    terms = OrderTerms(**{name: found[name] for name in TERMS})
    return Order(terms=terms, **{name: found[name] for name in RECORD})


def _fill(row: Row[Any]) -> Fill:
    found = row._mapping  # noqa: SLF001 - as above
    return Fill(row.sequence, row.time, OrderFilled(**{name: found[name] for name in FILL}))


def _portfolio_snapshot(row: Row[Any]) -> PortfolioSnapshot:
    found = row._mapping  # noqa: SLF001 - as above
    return PortfolioSnapshot(row.sequence, row.time, PortfolioSnapshotTaken(**{name: found[name] for name in SNAPSHOT}))
