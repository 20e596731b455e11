"""Owns the first schema: the log, its snapshots and the projections."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AMOUNT = sa.Numeric().with_variant(sa.Text(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
CHOICE = sa.String(32)


def upgrade() -> None:
    """Make every table of version 1."""
    _table("meta", ["journal_id"], _columns(sa.Uuid, "journal_id"), _integers("schema_version"), _numbers("created"))
    _table("event", ["sequence"], _keys("sequence"), _numbers("time"), _texts("account", "type"), _bytes("body"))
    _table("snapshot", ["sequence"], _keys("sequence"), _texts("format"), _bytes("body"))
    _table("projection_cursor", ["name"], _texts("name"), _integers("version"), _numbers("sequence"))
    _table(
        "orders",
        ["order_id"],
        _texts("order_id", "link_id", "parent_id", "bot_id", "symbol"),
        _choices("side", "type", "role", "state"),
        _amounts("quantity", "filled_quantity", "cost", "fees"),
        _maybe_amounts("limit_price", "trigger_price", "trailing_distance", "stop_loss", "take_profit"),
        _amounts("reference_price"),
        _choices("time_in_force"),
        _columns(sa.Boolean, "reduce_only", "triggered", "cancel_requested"),
        _integers("attempts"),
        _texts("exchange_order_id", "correlation_id", "reason"),
        _numbers("create_time", "update_time", "last_sequence"),
        [sa.UniqueConstraint("link_id", name="uq_orders_link_id")],
    )
    _index("orders", "create_time", "order_id")
    _index("orders", "symbol", "create_time")
    _index("orders", "bot_id", "create_time")
    _index("orders", "state")
    _table(
        "fills",
        ["sequence"],
        _keys("sequence"),
        _numbers("time"),
        _texts("order_id", "bot_id", "trade_id", "symbol"),
        _choices("side"),
        _amounts("quantity", "price", "fee"),
        _texts("fee_currency"),
        _choices("liquidity", "cause"),
        _amounts("realized_pnl"),
        _numbers("exchange_time"),
        _choices("order_state"),
        _amounts("filled_quantity", "position_quantity"),
        _maybe_amounts("position_average_price"),
        _columns(sa.JSON, "postings"),
    )
    _index("fills", "order_id", "sequence")
    _index("fills", "symbol", "sequence")
    _index("fills", "bot_id", "sequence")
    _index("fills", "time")
    _table(
        "positions",
        ["symbol"],
        _texts("symbol"),
        _amounts("quantity", "cost", "realized_pnl", "fees", "funding"),
        _numbers("update_time"),
    )
    _table("balances", ["currency", "book"], _texts("currency"), _choices("book"), _amounts("amount"))
    _table(
        "portfolio_snapshots",
        ["sequence"],
        _keys("sequence"),
        _numbers("time"),
        _amounts("equity", "wallet", "unrealized_pnl", "realized_pnl", "fees", "funding", "peak_equity", "drawdown"),
        _integers("open_positions"),
        _amounts("risk_ratio"),
    )
    _index("portfolio_snapshots", "time")


def _table(name: str, key: list[str], *parts: list[Any]) -> None:
    elements = [element for part in parts for element in part]
    op.create_table(name, *elements, sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"))


def _index(table: str, *columns: str) -> None:
    op.create_index("_".join(["ix", table, *columns]), table, list(columns))


def _columns(kind: Any, *names: str, nullable: bool = False) -> list[Any]:  # noqa: ANN401 - a type or its class
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _keys(*names: str) -> list[Any]:
    return [sa.Column(name, KEY, nullable=False, autoincrement=False) for name in names]


def _numbers(*names: str) -> list[Any]:
    return _columns(sa.BigInteger, *names)


def _integers(*names: str) -> list[Any]:
    return _columns(sa.Integer, *names)


def _texts(*names: str) -> list[Any]:
    return _columns(TEXT, *names)


def _choices(*names: str) -> list[Any]:
    return _columns(CHOICE, *names)


def _bytes(*names: str) -> list[Any]:
    return _columns(sa.LargeBinary, *names)


def _amounts(*names: str) -> list[Any]:
    return _columns(AMOUNT, *names)


def _maybe_amounts(*names: str) -> list[Any]:
    return _columns(AMOUNT, *names, nullable=True)
