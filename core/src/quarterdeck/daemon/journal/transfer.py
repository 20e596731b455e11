"""Owns taking a journal from one database to another, whole and checked: a backup, its way back, and a move.

A backup is a journal itself, in a SQLite file, whatever kind of database it is of. So everything that can look at a
journal can look at it, and putting it back is the same in the other direction. Tables for SQL are not taken along: they
are made again from the entries.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from quarterdeck.daemon.journal import schema
from quarterdeck.daemon.journal.archive import Archive
from quarterdeck.daemon.journal.bulk import Bulk
from quarterdeck.daemon.journal.opening import open_database
from quarterdeck.daemon.journal.verification import Report, Verifier
from quarterdeck.domain.errors import ConfigError

#: Rows held in memory at once.
PAGE = 1_000

#: What can't be made again, in the order it is written.
TRUTH = (schema.base, schema.signing_key, schema.event, schema.signed_head, schema.snapshot)


class Damaged(Exception):
    """What was copied does not hold together; `report` says where. Nothing was left behind."""

    def __init__(self, report: Report) -> None:
        super().__init__("; ".join(map(str, report.damaged)))
        self.report = report


class Copied(NamedTuple):
    """What a copy holds: its newest entry, how many entries, and the hash that stands for all."""

    head: int
    entries: int
    hash: bytes


def back_up(archive: Archive, file: Path, fold: Callable[[Archive], object]) -> Copied:
    """Copy a journal, which a daemon may be writing, as it is at one moment. `fold` folds the copy, as a start does.

    Raises:
        FileExistsError: there is such a file.
        ConfigError: the file can't be made.
        Damaged: the journal is damaged.
    """
    if file.exists():
        raise FileExistsError(file)
    unfinished = file.with_name(f"{file.name}.part")
    try:
        for each in _files(unfinished):
            each.unlink(missing_ok=True)
        url = f"sqlite:///{unfinished.absolute()}"
        copied = _copy(archive, url)
        copy = Archive.open(url)
        try:
            fold(copy)
        finally:
            copy.close()
        _sync(unfinished)
        unfinished.rename(file)
        _sync(file.parent)
    finally:
        for each in _files(unfinished):
            each.unlink(missing_ok=True)
    return copied


def restore(archive: Archive, url: str) -> Copied:
    """Copy a journal into an empty one. Whoever opens that next begins a new epoch.

    Raises:
        ConfigError: there is something at the URL already, or it can't be used.
        Damaged: the journal is damaged.
    """
    return _copy(archive, url)


def _copy(archive: Archive, url: str) -> Copied:
    target = open_database(url)
    try:
        with target.reading() as connection:
            if connection.scalar(select(func.count()).select_from(schema.lease)):
                raise ConfigError(f"the journal {target.name} is not empty: it has been in use")
        with archive.reading() as source, target.transaction(synced=True) as connection:
            _copy_rows(source, connection)
            report = Verifier(lambda: nullcontext(connection), archive.journal_id).run()
            if report.damaged:
                raise Damaged(report)
        return Copied(report.head.sequence, report.entries, report.head.hash)
    finally:
        target.close()


def _copy_rows(source: Connection, target: Connection) -> None:
    meta = source.execute(select(schema.meta.c.journal_id, schema.meta.c.created)).one()
    target.execute(update(schema.meta).values(journal_id=meta.journal_id, created=meta.created))
    led = source.execute(select(schema.lease.c.epoch, schema.lease.c.renewed)).first()
    if led is not None:  # so that no epoch comes again; nobody holds the copy
        target.execute(insert(schema.lease).values(id=1, holder="", epoch=led.epoch, renewed=led.renewed))
    for table in TRUTH:
        write = Bulk(insert(table), target.dialect)
        key = next(iter(table.primary_key.columns))
        query = select(table).order_by(key).limit(PAGE)
        after = None
        while page := source.execute(query if after is None else query.where(key > after)).all():
            write(target, page)
            after = page[-1]._mapping[key]  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm", ".lock", ".reserve")]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
