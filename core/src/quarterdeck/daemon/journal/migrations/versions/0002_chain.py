"""Owns the chain: every entry gets its hash, heads can be signed, and a snapshot carries the digest of what it holds.

Snapshots taken before have none. They are dropped, which costs one fold of the whole journal.
"""

from __future__ import annotations

from hashlib import sha256
from struct import pack

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Entries moved at once.
PAGE = 2_000

old = sa.table("event_0001", *map(sa.column, ("sequence", "time", "account", "type", "body")))
new = sa.table("event", *map(sa.column, ("sequence", "time", "account", "type", "body", "hash")))
meta = sa.table("meta", sa.column("journal_id", sa.Uuid))


def upgrade() -> None:
    """Write the log anew, with hashes, and make the tables of what is signed."""
    # A new table, because SQLite can't add a column that has to have a value.
    op.execute("ALTER TABLE event RENAME TO event_0001")
    if op.get_bind().dialect.name == "postgresql":  # where the names of keys are the schema's
        op.execute("ALTER TABLE event_0001 RENAME CONSTRAINT pk_event TO pk_event_0001")
    op.create_table(
        "event",
        _key(),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        _bytes("body"),
        _bytes("hash"),
        sa.PrimaryKeyConstraint("sequence", name="pk_event"),
    )
    _chain(op.get_bind())
    op.drop_table("event_0001")
    op.create_table(
        "signing_key",
        sa.Column("key_id", sa.Text, nullable=False),
        _bytes("public_key"),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_signing_key"),
    )
    op.create_table(
        "signed_head",
        _key(),
        _bytes("hash"),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        _bytes("signature"),
        sa.PrimaryKeyConstraint("sequence", name="pk_signed_head"),
    )
    op.drop_table("snapshot")
    op.create_table(
        "snapshot",
        _key(),
        sa.Column("format", sa.Text, nullable=False),
        _bytes("body"),
        _bytes("digest"),
        sa.PrimaryKeyConstraint("sequence", name="pk_snapshot"),
    )


def _chain(connection: sa.Connection) -> None:
    """Move every entry, page by page, each with the hash over itself and the hash before."""
    journal_id = connection.scalar(sa.select(meta.c.journal_id))
    if journal_id is None:
        return  # a new journal
    last = sha256(b"quarterdeck journal 1\n" + journal_id.bytes).digest()
    after = 0
    query = sa.select(old).order_by(old.c.sequence).limit(PAGE)
    while page := connection.execute(query.where(old.c.sequence > after)).mappings().all():
        rows = []
        for row in page:
            names = b"".join(pack(">H", len(text)) + text for text in (row["account"].encode(), row["type"].encode()))
            last = sha256(pack(">32sqq", last, row["sequence"], row["time"]) + names + row["body"]).digest()
            rows.append({**row, "hash": last})
        connection.execute(sa.insert(new), rows)
        after = page[-1]["sequence"]


def _key() -> sa.Column[int]:
    return sa.Column("sequence", KEY, nullable=False, autoincrement=False)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=False)
