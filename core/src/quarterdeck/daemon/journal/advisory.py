"""Owns the promise that one journal has one daemon, on PostgreSQL: a lock that lives as long as a connection."""

from __future__ import annotations

import hashlib
import threading
import time

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from quarterdeck.daemon.journal.database import ConnectionLost, Fenced, InUse, cause
from quarterdeck.daemon.journal.forks import keep_from_children, let_go

#: Seconds the server gets to notice that the process that held it has ended.
PATIENCE = 1.0

_LOCKS = (
    "FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (classid::bigint << 32) | objid::bigint = %s"
)


class AdvisoryLock:
    """Held from construction to `release`, or until its connection is lost. For any thread.

    Raises:
        InUse: another process holds it; the text says which.
        SQLAlchemyError: the database can't be used.
    """

    def __init__(self, name: str, engine: Engine, schema: str) -> None:
        self._name = name
        self._engine = engine
        self._mutex = threading.Lock()
        self._backend = 0
        self._descriptor = -1
        digest = hashlib.sha256(f"quarterdeck journal {schema}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection = engine.connect()
        try:
            if schema:
                self._connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            deadline = time.monotonic() + PATIENCE
            while not self._try():
                if time.monotonic() > deadline:
                    raise InUse(f"{self._holder()} is using the journal {name}")
                time.sleep(0.05)
        except BaseException:
            self._drop()
            raise

    def hold(self) -> None:
        """Make sure that we hold it, on a new connection if need be.

        Raises:
            ConnectionLost: the server can't be reached, or still keeps the lock for a connection of ours that is gone.
            Fenced: another process holds it.
        """
        with self._mutex:
            try:
                self._connection.exec_driver_sql("SELECT 1")
            except SQLAlchemyError:
                self._drop()
                self._take_again()

    def execute(self, statement: str, *values: object) -> int:
        """Run a statement on the lock's own connection; returns how many rows it changed.

        Raises:
            ConnectionLost: the lock went with the connection.
        """
        with self._mutex:
            try:
                return self._connection.exec_driver_sql(statement, values).rowcount
            except SQLAlchemyError as error:
                raise ConnectionLost(f"{self._name}: {cause(error)}") from error

    def release(self) -> None:
        """Let another process in."""
        with self._mutex:
            self._drop()

    def _take_again(self) -> None:
        try:
            self._connection = self._engine.connect()
            if self._try():
                return
            # The server may not have noticed that our old connection is gone: if it is that one, have it ended.
            ours = self._connection.exec_driver_sql(
                f"SELECT pg_terminate_backend(pid) {_LOCKS} AND pid = %s", (self._key, self._backend)
            ).all()
            holder = self._holder()
        except DBAPIError as error:
            self._drop()
            raise ConnectionLost(f"{self._name}: {cause(error)}") from error
        self._drop()
        if ours:
            raise ConnectionLost(f"{self._name}: the server has still to end our former connection")
        raise Fenced(f"{holder} has taken the journal {self._name} over")

    def _try(self) -> bool:
        row = self._connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s), pg_backend_pid()", (self._key,)).one()
        if row[0]:
            self._backend = row[1]
            self._descriptor = self._connection.connection.fileno()
            keep_from_children(self._descriptor)
        return bool(row[0])

    def _holder(self) -> str:
        """Who holds it, as it calls itself."""
        found = self._connection.exec_driver_sql(f"SELECT application_name {_LOCKS}", (self._key,)).scalar()
        return str(found).replace("quarterdeck ", "process ", 1) if found else "another process"

    def _drop(self) -> None:
        """End the connection, not only hand it back: the lock is the session's."""
        let_go(self._descriptor)
        if not self._connection.closed:
            self._connection.invalidate()
            self._connection.close()
