"""The account's log on disk, and what is derived from it: snapshots of the state and tables for SQL users.

Owns durability. An entry's body is opaque here; `rpc.convert` knows what is inside. Must not know: gRPC, the wire's
messages, how the engine decides.

Reading order: schema, migrations, database, sqlite, opening, chain, writer, signing, heads, verification,
journal, archive, frames, snapshots, projections, listings.
"""

from __future__ import annotations

from quarterdeck.daemon.journal.database import ConnectionLost, Fenced, InUse
from quarterdeck.daemon.journal.frames import Frame, Frames, read_frames
from quarterdeck.daemon.journal.journal import Entry, Journal, JournalBroken, JournalDamaged, Snapshot
from quarterdeck.daemon.journal.listings import Fill, Listings, OrderKey, Page, PortfolioSnapshot
from quarterdeck.daemon.journal.opening import check_free
from quarterdeck.daemon.journal.projections import Projections
from quarterdeck.daemon.journal.snapshots import discard_derived, load_state, save_state

__all__ = [
    "ConnectionLost",
    "Entry",
    "Fenced",
    "Fill",
    "Frame",
    "Frames",
    "InUse",
    "Journal",
    "JournalBroken",
    "JournalDamaged",
    "Listings",
    "OrderKey",
    "Page",
    "PortfolioSnapshot",
    "Projections",
    "Snapshot",
    "check_free",
    "discard_derived",
    "load_state",
    "read_frames",
    "save_state",
]
