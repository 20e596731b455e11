"""Owns the tables: the log itself, and the projections that stand beside it for whoever likes SQL.

Everything but `meta`, `event`, `base`, `lease` and `frame` can be thrown away and built again from the events.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Enum,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    TypeDecorator,
    Uuid,
)
from sqlalchemy.types import TypeEngine

from quarterdeck.domain.amounts import amount_text
from quarterdeck.domain.ledger import Book, Posting
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderState, OrderType, TimeInForce
from quarterdeck.domain.report import FillCause, Liquidity

#: Raised when a projection's columns or their meaning change: what is there is then built again.
PROJECTION_VERSION = 1

_FINEST = Decimal("1E-18")
_WIDE = Context(prec=80)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal that is never a float on its way: text on SQLite, which has no exact type, NUMERIC elsewhere."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite: its numeric affinity would turn the text into a float."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | Decimal | None:
        """Refuse what is not a decimal; spell it the strict way where it is stored as text."""
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"{value!r} is not a Decimal")
        return amount_text(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: str | Decimal | None, dialect: Dialect) -> Decimal | None:
        """The same number, from text or from the driver's own decimal."""
        return value if value is None or isinstance(value, Decimal) else Decimal(value)


class Figure(ExactDecimal):
    """A number somebody computed and nobody is owed, to 18 places: as many as the log itself keeps of it."""

    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | Decimal | None:
        """Round, then as an amount."""
        if isinstance(value, Decimal):
            value = value if value == (short := value.quantize(_FINEST, context=_WIDE)) else short
        return super().process_bind_param(value, dialect)


class Postings(TypeDecorator[tuple[Posting, ...]]):
    """What a fill moved, as a JSON array of `[book, currency, amount]`, the amount a text."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[Posting, ...] | None, dialect: Dialect) -> list[list[str]] | None:
        """As texts."""
        return (
            None if value is None else [[book.value, currency, amount_text(amount)] for book, currency, amount in value]
        )

    def process_result_value(self, value: list[list[str]] | None, dialect: Dialect) -> tuple[Posting, ...] | None:
        """As they were."""
        if value is None:
            return None
        return tuple(Posting(Book(book), currency, Decimal(amount)) for book, currency, amount in value)


def _key(name: str) -> Column[int]:
    """A 64-bit primary key whose value is ours: never counted up by the database."""
    # On SQLite only a column declared INTEGER is the row id itself; BIGINT would cost a second index.
    kind = BigInteger().with_variant(Integer(), "sqlite")
    return Column(name, kind, primary_key=True, autoincrement=False)


def _number(name: str) -> Column[int]:
    """A 64-bit integer: a sequence, or nanoseconds since the epoch, UTC."""
    return Column(name, BigInteger, nullable=False)


def _text(name: str, *, primary_key: bool = False, unique: bool | None = None) -> Column[str]:
    """A text that is never null, compared byte by byte: PostgreSQL's other orders change with its operating system."""
    kind = Text().with_variant(Text(collation="C"), "postgresql")
    return Column(name, kind, nullable=False, primary_key=primary_key, unique=unique)


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _amount(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, ExactDecimal, nullable=nullable)


def _figure(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Figure, nullable=nullable)


def _choice(name: str, kind: type[StrEnum], *, primary_key: bool = False) -> Column[Any]:
    """An enum as its text, without a CHECK: new values need no migration."""
    text = Enum(kind, native_enum=False, length=32, values_callable=_values)
    return Column(name, text, nullable=False, primary_key=primary_key)


def _values(kind: type[StrEnum]) -> Sequence[str]:
    return [member.value for member in kind]


# ---------------------------------------------------------------- the log

meta = Table(
    "meta",
    metadata,
    Column("journal_id", Uuid, primary_key=True),
    Column("schema_version", Integer, nullable=False),
    _number("created"),
)

event = Table(
    "event",
    metadata,
    _key("sequence"),
    _number("time"),
    _text("account"),
    _text("type"),
    _bytes("body"),
    _bytes("hash"),
)

signing_key = Table(
    "signing_key",
    metadata,
    _text("key_id", primary_key=True),
    _bytes("public_key"),
    _number("sequence"),
    _number("time"),
)

signed_head = Table(
    "signed_head",
    metadata,
    _key("sequence"),
    _bytes("hash"),
    _number("time"),
    _text("key_id"),
    _bytes("signature"),
)

snapshot = Table(
    "snapshot",
    metadata,
    _key("sequence"),
    _text("format"),
    _bytes("body"),
    _bytes("digest"),
)

base = Table(
    "base",
    metadata,
    _key("sequence"),
    Column("version", Integer, nullable=False),
    _bytes("hash"),
    _bytes("body"),
    _bytes("digest"),
)

lease = Table(
    "lease",
    metadata,
    _key("id"),
    _text("holder"),
    _number("epoch"),
    _number("renewed"),
)

frame = Table(
    "frame",
    metadata,
    _key("id"),
    _number("time"),
    _text("source"),
    _bytes("body"),
)

# ---------------------------------------------------------------- projections

projection_cursor = Table(
    "projection_cursor",
    metadata,
    _text("name", primary_key=True),
    Column("version", Integer, nullable=False),
    _number("sequence"),
)

orders = Table(
    "orders",
    metadata,
    _text("order_id", primary_key=True),
    _text("link_id", unique=True),
    _text("parent_id"),
    _text("bot_id"),
    _text("symbol"),
    _choice("side", Side),
    _choice("type", OrderType),
    _choice("role", OrderRole),
    _choice("state", OrderState),
    _amount("quantity"),
    _amount("filled_quantity"),
    _amount("cost"),
    _amount("fees"),
    _amount("limit_price", nullable=True),
    _amount("trigger_price", nullable=True),
    _amount("trailing_distance", nullable=True),
    _amount("stop_loss", nullable=True),
    _amount("take_profit", nullable=True),
    _amount("reference_price"),
    _choice("time_in_force", TimeInForce),
    _flag("reduce_only"),
    _flag("triggered"),
    _flag("cancel_requested"),
    Column("attempts", Integer, nullable=False),
    _text("exchange_order_id"),
    _text("correlation_id"),
    _text("reason"),
    _number("create_time"),
    _number("update_time"),
    _number("last_sequence"),
    Index(None, "create_time", "order_id"),
    Index(None, "symbol", "create_time"),
    Index(None, "bot_id", "create_time"),
    Index(None, "state"),
)

fills = Table(
    "fills",
    metadata,
    _key("sequence"),
    _number("time"),
    _text("order_id"),
    _text("bot_id"),
    _text("trade_id"),
    _text("symbol"),
    _choice("side", Side),
    _amount("quantity"),
    _amount("price"),
    _amount("fee"),
    _text("fee_currency"),
    _choice("liquidity", Liquidity),
    _choice("cause", FillCause),
    _amount("realized_pnl"),
    _number("exchange_time"),
    _choice("order_state", OrderState),
    _amount("filled_quantity"),
    _amount("position_quantity"),
    _figure("position_average_price", nullable=True),
    Column("postings", Postings, nullable=False),
    Index(None, "order_id", "sequence"),
    Index(None, "symbol", "sequence"),
    Index(None, "bot_id", "sequence"),
    Index(None, "time"),
)

positions = Table(
    "positions",
    metadata,
    _text("symbol", primary_key=True),
    _amount("quantity"),
    _amount("cost"),
    _amount("realized_pnl"),
    _amount("fees"),
    _amount("funding"),
    _number("update_time"),
)

balances = Table(
    "balances",
    metadata,
    _text("currency", primary_key=True),
    _choice("book", Book, primary_key=True),
    _amount("amount"),
)

portfolio_snapshots = Table(
    "portfolio_snapshots",
    metadata,
    _key("sequence"),
    _number("time"),
    _amount("equity"),
    _amount("wallet"),
    _amount("unrealized_pnl"),
    _amount("realized_pnl"),
    _amount("fees"),
    _amount("funding"),
    _amount("peak_equity"),
    _figure("drawdown"),
    Column("open_positions", Integer, nullable=False),
    _figure("risk_ratio"),
    Index(None, "time"),
)

#: What a rebuild empties and fills again.
PROJECTIONS = (orders, fills, positions, balances, portfolio_snapshots)
