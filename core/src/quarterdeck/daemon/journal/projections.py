"""Owns the tables beside the log: what changed is noted as it happens, and written when there is time.

Every row is derived from the state, so writing it twice is the same as once. How far the tables are stands in them;
after a crash whatever follows is noted again while the journal is folded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import fields
from functools import lru_cache, partial
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.journal import schema
from quarterdeck.daemon.journal.bulk import Bulk
from quarterdeck.daemon.journal.journal import Journal
from quarterdeck.domain.order import Order, OrderTerms
from quarterdeck.domain.position import Position
from quarterdeck.engine.events import (
    AccountOpened,
    BalanceAdjusted,
    FundingPaid,
    OrderFilled,
    PortfolioSnapshotTaken,
    PositionAdjusted,
    Recorded,
)
from quarterdeck.engine.state import State

#: Rows that make a flush due before its regular time.
ENOUGH = 2_000

#: Rows written in one transaction: it delays the entries behind it by a few milliseconds at most.
PIECE = 200

CURSOR = "tables"

Row = tuple[Any, ...]
"""Values in the order of the table's columns."""
Piece = list[tuple[Table, list[Row]]]

# The columns of a table are the fields of what it shows; of a fill all but what follows from its fee and its side.
TERMS = tuple(field.name for field in fields(OrderTerms))
RECORD = tuple(field.name for field in fields(Order) if field.name != "terms")
FILL = tuple(field.name for field in fields(OrderFilled) if field.name != "fee_quantity")
POSITION = tuple(field.name for field in fields(Position))
SNAPSHOT = tuple(field.name for field in fields(PortfolioSnapshotTaken))


class Projections:
    """What has to be written into the tables. For the thread that folds; the journal's thread does the writing."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._orders: dict[str, Order] = {}
        self._symbols: dict[str, None] = {}
        self._fills: list[Row] = []
        self._snapshots: list[Row] = []
        self._is_ledger_touched = False
        self.cursor = self._stored_cursor()
        """The sequence the tables reflect, once every flush so far has been written."""

    @property
    def is_due(self) -> bool:
        """Whether there is enough to write, so that one should not wait for the next regular flush."""
        return len(self._orders) + len(self._fills) + len(self._snapshots) >= ENOUGH

    def touch(self, state: State, recorded: Recorded) -> None:
        """Note what an event has changed, right after it was folded. What the tables have already is left out."""
        if recorded.sequence <= self.cursor:
            return
        event = recorded.event
        if isinstance(event, PositionAdjusted):
            self._symbols[event.symbol] = None
        elif isinstance(event, PortfolioSnapshotTaken):
            self._snapshots.append(_event_row(schema.portfolio_snapshots, recorded, event))
        elif isinstance(event, FundingPaid):
            if event.symbol in state.positions:
                self._symbols[event.symbol] = None
            self._is_ledger_touched = True
        elif isinstance(event, AccountOpened | BalanceAdjusted):
            self._is_ledger_touched = True
        else:
            order = state.order(getattr(event, "order_id", ""))
            if order is None:
                return
            self._orders[order.order_id] = order
            if isinstance(event, OrderFilled):
                self._fills.append(_event_row(schema.fills, recorded, event, bot_id=order.bot_id))
                self._symbols[event.symbol] = None
                self._is_ledger_touched = True

    def adopt(self, state: State) -> None:
        """Note all that a state still knows, for tables that can't be made from entries any more."""
        self._orders.update(state.closed_orders | state.open_orders)
        self._symbols.update(dict.fromkeys(state.positions))
        self._is_ledger_touched = True

    def flush(self, state: State) -> Future[None]:
        """Bring the tables to where the state is. The future is done when readers see it.

        Raises:
            ValueError: the state is ahead of what was appended to the journal.
            JournalBroken: an earlier write failed.
        """
        rows = {
            schema.orders: [_order_row(order) for order in self._orders.values()],
            schema.fills: self._fills,
            schema.positions: [_position_row(state.positions[symbol]) for symbol in self._symbols],
            schema.balances: _balance_rows(state) if self._is_ledger_touched else [],
            schema.portfolio_snapshots: self._snapshots,
        }
        sequence = state.sequence
        *pieces, last = _pieces(rows)
        for piece in pieces:
            self._journal.write(sequence, partial(_write, piece))
        written = self._journal.write(sequence, partial(_write, [*last, _cursor_row(sequence)]))
        self._orders, self._symbols = {}, {}
        self._fills, self._snapshots = [], []
        self._is_ledger_touched = False
        self.cursor = sequence
        return written

    def reset(self) -> Future[None]:
        """Empty the tables. Folding the whole journal, as `load_state` does next time, fills them again."""
        self.cursor = 0
        return self._journal.write(0, _empty)

    def _stored_cursor(self) -> int:
        cursor = schema.projection_cursor
        with self._journal.reading() as connection:
            row = connection.execute(select(cursor).where(cursor.c.name == CURSOR)).first()
        if row is None:
            return 0
        if row.version != schema.PROJECTION_VERSION:
            self.reset()
            return 0
        return int(row.sequence)


def _pieces(rows: Mapping[Table, list[Row]]) -> list[Piece]:
    """The rows in the same order, cut so that no piece is too large. At least one piece, if only an empty one."""
    pieces: list[Piece] = [[]]
    room = PIECE
    for table, left in rows.items():
        rest = left
        while rest:
            if not room:
                pieces.append([])
                room = PIECE
            part, rest = rest[:room], rest[room:]
            pieces[-1].append((table, part))
            room -= len(part)
    return pieces


def _write(piece: Piece, connection: Connection) -> None:
    failpoint("table.write")
    for table, rows in piece:
        _upsert(connection.dialect, table)(connection, rows)
    failpoint("table.written")


def _empty(connection: Connection) -> None:
    for table in (*schema.PROJECTIONS, schema.projection_cursor):
        connection.execute(delete(table))


#: What a row never changes, much of it indexed: left out of updates, whose cost is the indexes they touch.
_CONSTANT = {"link_id", "parent_id", "bot_id", "symbol", "side", "type", "role", "correlation_id", "create_time"}


@lru_cache(maxsize=32)
def _upsert(dialect: Dialect, table: Table) -> Bulk:
    """Insert, or bring up to date what is there. Portable SQL has no word for it."""
    statement = sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)
    key = table.primary_key.columns.keys()
    changing = {column.name: column for column in statement.excluded if column.name not in {*key, *_CONSTANT}}
    return Bulk(statement.on_conflict_do_update(index_elements=key, set_=changing), dialect)


# ---------------------------------------------------------------- rows


_order_row: Callable[[Order], Row] = attrgetter(
    *(f"terms.{column.name}" if column.name in TERMS else column.name for column in schema.orders.columns)
)
_position_row: Callable[[Position], Row] = attrgetter(*(column.name for column in schema.positions.columns))


def _event_row(table: Table, recorded: Recorded, event: OrderFilled | PortfolioSnapshotTaken, **known: str) -> Row:
    """The event's own fields, and what else is known: which events of version 0.1 do not tell."""
    names = table.columns.keys()
    around = {"sequence": recorded.sequence, "time": recorded.time, **known}
    return tuple(around[name] if name in around else getattr(event, name) for name in names)


def _cursor_row(sequence: int) -> tuple[Table, list[Row]]:
    return schema.projection_cursor, [(CURSOR, schema.PROJECTION_VERSION, sequence)]


def _balance_rows(state: State) -> list[Row]:
    return [
        (currency, book, amount) for currency, books in state.ledger.totals.items() for book, amount in books.items()
    ]
