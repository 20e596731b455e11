"""Owns finding out whether a journal is what was written: the chain, the signed heads, and what stands beside them.

Nothing here writes. What is read is believed only after it was checked, so it is taken as the driver gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import SQLAlchemyError

from quarterdeck.daemon.journal.chain import Head, follows, genesis, seal
from quarterdeck.daemon.journal.database import cause
from quarterdeck.daemon.journal.heads import Anchor, SignedHead
from quarterdeck.daemon.journal.signing import PublicKey

#: Opens a connection that sees one moment of the database.
Reading = Callable[[], AbstractContextManager[Connection]]

AnyRow = Row[*tuple[Any, ...]]

#: Entries read at once: a query's own cost vanishes among them, and its transaction is over soon.
PAGE = 2_000

#: Findings that are listed, and unreadable places that are stepped over. More say nothing new.
ENOUGH = 100

#: Entries in order, each with the hash that was stored beside it.
ENTRIES = text(
    "SELECT sequence, time, account, type, body, hash FROM event WHERE sequence > :after ORDER BY sequence LIMIT :limit"
)
_HASH = text("SELECT hash FROM event WHERE sequence = :sequence")
_FIRST = text("SELECT min(sequence) FROM event")
_BASE = text("SELECT sequence, hash FROM base ORDER BY sequence DESC LIMIT 1")
_BASES = text("SELECT sequence, hash, 'base ' || version AS format, body, digest FROM base")
_LAST = text("SELECT max(sequence) FROM event")
_HEADS = text(
    "SELECT sequence, hash, time, key_id, signature FROM signed_head WHERE sequence > :after ORDER BY sequence "
    "LIMIT :limit"
)
_LAST_HEAD = text("SELECT max(sequence) FROM signed_head")
_KEYS = text("SELECT key_id, public_key FROM signing_key")
_SNAPSHOTS = text("SELECT sequence, format, body, digest FROM snapshot ORDER BY sequence")
_CURSORS = text("SELECT name, sequence FROM projection_cursor ORDER BY name")


class Finding(NamedTuple):
    """Something that can't have been written like this: in which table, at which sequence, and what is wrong."""

    table: str
    sequence: int
    problem: str

    def __str__(self) -> str:
        return f"{self.table} {self.sequence}: {self.problem}"


NOTHING = Head(0, b"")


@dataclass(slots=True)
class Report:
    """What was looked at, and what is wrong with it."""

    entries: int = 0
    first: int = 0
    """The oldest entry that was looked at."""
    head: Head = NOTHING
    """The newest entry and the hash that stands for all."""
    intact: int = 0
    """The last entry before anything is wrong."""
    signed: int = 0
    """The last intact entry for which a signature vouches."""
    heads_checked: int = 0
    anchors_checked: int = 0
    damaged: list[Finding] = field(default_factory=list)


def base(connection: Connection, journal_id: UUID) -> Head:
    """What the oldest entry follows: the journal's beginning, or the base up to which it was compacted.

    Entries up to a base are on their way out. Who took them out otherwise, up to a signed head, has lost their state.
    """
    compacted = connection.execute(_BASE).first()
    if compacted is not None:
        return Head(*compacted)
    first = connection.scalar(_FIRST)
    if first is None or first <= 1:
        return genesis(journal_id)
    row = connection.execute(_HEADS, {"after": first - 2, "limit": 1}).first()
    return Head(first - 1, row.hash) if row is not None and row.sequence == first - 1 else genesis(journal_id)


def beginning(read: Reading, journal_id: UUID) -> Head:
    """The base; of a journal so damaged that it can't be read, the very beginning."""
    try:
        with read() as connection:
            return base(connection, journal_id)
    except SQLAlchemyError:
        return genesis(journal_id)


def stored(connection: Connection, journal_id: UUID, sequence: int) -> Head:
    """The head at a sequence, as it is stored; the base where there is none."""
    found = connection.scalar(_HASH, {"sequence": sequence})
    return base(connection, journal_id) if found is None else Head(sequence, found)


def newest(connection: Connection) -> int:
    """The sequence of the last entry; 0 if there is none."""
    return connection.scalar(_LAST) or 0


def malformed(read: Reading) -> list[Finding]:
    """What SQLite finds wrong with its file. A database server looks after its own files."""
    try:
        with read() as connection:
            if connection.dialect.name != "sqlite":
                return []
            found = connection.execute(text("PRAGMA quick_check(10)")).scalars().all()
    except SQLAlchemyError as error:
        found = [cause(error)]
    return [] if found == ["ok"] else [Finding("database", 0, f"SQLite says: {each}") for each in found]


def newest_signed(connection: Connection) -> int:
    """The sequence of the last signed head; 0 if there is none."""
    return connection.scalar(_LAST_HEAD) or 0


def _rows(read: Reading, after: int) -> Iterator[AnyRow | Finding]:
    """Every entry after a sequence, in order and with its hash, in short transactions; what can't be read is found."""
    failures, last = 0, after  # failures in a row
    limit = PAGE
    while failures < ENOUGH:
        try:
            with read() as connection:
                page = connection.execute(ENTRIES, {"after": after, "limit": limit}).all()
        except SQLAlchemyError as error:
            if limit > 1:  # one by one, to find which
                limit = 1
                continue
            after += 1
            failures += 1
            limit = PAGE
            yield Finding("event", after, f"can't be read: {cause(error)}")
            continue
        if not page:
            return
        for row in page:
            if row[0] <= last:
                yield Finding("event", last + 1, f"can't be read: {row[0]} comes after {last}")
                return
            yield row
            last = row[0]
        after, failures = last, 0


def walk(read: Reading, start: Head) -> Iterator[AnyRow | Finding]:
    """Every entry after a head, each held against the chain; in place of those that do not fit, what is wrong."""
    previous: bytes | None
    expected, previous = start.sequence + 1, start.hash
    for row in _rows(read, start.sequence):
        if isinstance(row, Finding):
            yield row
            expected, previous = row.sequence + 1, None
            continue
        sequence = row[0]  # by place: asking for a name costs as much as hashing
        if sequence != expected:
            upto = f" up to {sequence - 1}" if sequence > expected + 1 else ""
            yield Finding("event", expected, f"is missing{upto}: {sequence} follows")
            yield row
        elif previous is None or follows(previous, row):
            yield row
        else:
            yield Finding("event", expected, "is not what was written: its hash does not follow from it")
        expected = sequence + 1
        previous = row[5]


class _Heads:
    """The signed heads, for whoever passes the sequences in order."""

    def __init__(self, read: Reading, after: int) -> None:
        self._read = read
        self._page: dict[int, SignedHead] = {}
        self._until = after
        self._is_more = True

    def at(self, sequence: int) -> SignedHead | None:
        """The one at a sequence."""
        while sequence > self._until and self._is_more:
            with self._read() as connection:
                page = connection.execute(_HEADS, {"after": self._until, "limit": PAGE}).all()
            self._page = {row.sequence: SignedHead(*row) for row in page}
            self._is_more = len(page) == PAGE
            self._until = page[-1].sequence if page else sequence
        return self._page.get(sequence)


class Verifier:
    """Looks through a journal once; `progress` is told how far it is now and then."""

    def __init__(self, read: Reading, journal_id: UUID, progress: Callable[[int], object] = lambda _: None) -> None:
        self._read = read
        self._journal_id = journal_id
        self._progress = progress
        self._keys: dict[str, PublicKey] = {}
        self._is_broken = False
        self.report = Report()

    def run(self, start: Head | None = None, anchors: Iterable[Anchor] | None = None) -> Report:
        """Check every entry after a head, from the oldest if none is given, and all that stands beside them."""
        try:
            with self._read() as connection:
                self._read_keys(connection)
            self._follow(start or beginning(self._read, self._journal_id))
            self._check_beside()
            if anchors is not None:
                self._check_anchors(anchors)
        except SQLAlchemyError as error:
            self._found("journal", 0, f"can't be read: {cause(error)}")
        return self.report

    def _found(self, table: str, sequence: int, problem: str) -> None:
        if len(self.report.damaged) < ENOUGH:
            self.report.damaged.append(Finding(table, sequence, problem))

    def _read_keys(self, connection: Connection) -> None:
        for key_id, raw in connection.execute(_KEYS):
            key = PublicKey(raw)
            if isinstance(raw, bytes) and key.key_id == key_id:
                self._keys[key_id] = key
            else:
                self._found("signing_key", 0, f"{key_id!r} is not the name of the key beside it")

    # ------------------------------------------------------------ the entries

    def _follow(self, start: Head) -> None:
        """Walk the chain, and hold the signed heads against it."""
        report = self.report
        report.first = start.sequence + 1
        report.intact = report.signed = start.sequence
        heads = _Heads(self._read, start.sequence)
        for row in walk(self._read, start):
            if isinstance(row, Finding):
                self._is_broken = True
                self._found(*row)
                continue
            report.entries += 1
            sequence, _, _, _, _, found = row
            signed = heads.at(sequence)
            if signed is not None:
                self._check_head(signed, found)
            if not self._is_broken:
                report.intact = sequence
            if report.entries % PAGE == 0:
                self._progress(sequence)
        with self._read() as connection:
            last = newest(connection)
            report.head = stored(connection, self._journal_id, last)

    def _check_head(self, signed: SignedHead, found: bytes) -> None:
        """Hold a signed head against the hash at its place. What its signature does not vouch for says nothing."""
        report, sequence = self.report, signed.sequence
        key = self._keys.get(signed.key_id)
        if key is None:
            self._found("signed_head", sequence, f"is signed by a key {signed.key_id!r} that the journal does not know")
        elif not signed.is_signed_by(key, self._journal_id):
            self._found("signed_head", sequence, f"its signature is not that of its key {signed.key_id}")
        elif signed.hash != found:
            self._found("event", sequence, "is not the one that was signed: this or one before it was replaced")
            if not self._is_broken:
                self._is_broken, report.intact = True, report.signed
        else:
            report.heads_checked += 1
            if not self._is_broken:
                report.signed = sequence

    # ------------------------------------------------------------ what stands beside them

    def _check_beside(self) -> None:
        with self._read() as connection:  # of one moment: a daemon may be writing
            last, signed = newest(connection), newest_signed(connection)
            if signed > last:
                self._found("signed_head", signed, f"entries up to {signed} were there, {last} is the last now")
            for name, sequence in connection.execute(_CURSORS):
                if sequence > last:
                    self._found(
                        "projection_cursor", sequence, f"{name!r} is ahead of the journal, which ends at {last}"
                    )
            for row in connection.execute(_BASES):
                if not is_sealed(row, row.hash):
                    self._found("base", row.sequence, "is not what was written: its digest is another")
            for row in connection.execute(_SNAPSHOTS):
                if row.sequence > last:
                    self._found("snapshot", row.sequence, f"is ahead of the journal's last, {last}")
                elif not is_sealed(row, stored(connection, self._journal_id, row.sequence).hash):
                    self._found("snapshot", row.sequence, "is not what was written: its digest is another")

    def _check_anchors(self, anchors: Iterable[Anchor]) -> None:
        ours = [anchor for anchor in anchors if anchor.journal_id == self._journal_id]
        if not ours:
            self._found("anchor", 0, "the anchor file says nothing of this journal")
        with self._read() as connection:  # of a later moment than the anchors: a daemon may be writing
            last = newest(connection)
            for anchor in ours:
                self._check_anchor(connection, anchor, last)
        self.report.anchors_checked = len(ours)

    def _check_anchor(self, connection: Connection, anchor: Anchor, last: int) -> None:
        sequence, key = anchor.signed.sequence, anchor.key
        found = connection.scalar(_HASH, {"sequence": sequence})
        if not anchor.signed.is_signed_by(key, self._journal_id):
            self._found("anchor", sequence, f"its signature is not that of its key {key.key_id}")
        elif key.key_id not in self._keys:
            self._found("anchor", sequence, f"is signed by a key {key.key_id} that the journal does not know")
        elif sequence > last:
            self._found("anchor", sequence, f"entries up to {sequence} were there, {last} is the last now")
        elif found is None and sequence >= self.report.first:
            self._found("anchor", sequence, "the entry it was signed for is missing")
        elif found is not None and found != anchor.signed.hash:
            self._found("anchor", sequence, "the entry is not the one that was signed: this or one before was replaced")
            self.report.intact = min(self.report.intact, self.report.signed, sequence - 1)


def is_sealed(row: Any, head: bytes) -> bool:  # noqa: ANN401 - whatever a damaged database gives
    """Whether a snapshot's row is what was written at a head."""
    try:
        return bool(seal(head, row.format, row.body) == row.digest)
    except (TypeError, ValueError, AttributeError):
        return False
