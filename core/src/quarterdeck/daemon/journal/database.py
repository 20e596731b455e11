"""Owns what the journal asks of a database: one connection that writes, many that read, what a transaction promises.

The rest of the package speaks SQLAlchemy Core. What differs between databases is in one class for each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from quarterdeck.domain.errors import ConfigError

#: Readers at work at once; further ones wait for a connection.
READERS = 8


class Database(ABC):
    """One connection that writes, which only one thread may use at a time, and a pool of connections that only read.

    The engines are in the driver's autocommit mode, so that a transaction begins when we say so and how we say.
    """

    def __init__(self, name: str, writing: Engine, readers: Engine) -> None:
        self.name = name
        """The URL without a password, for messages."""
        self._writing = writing
        self.dialect = writing.dialect
        self._readers = readers
        self.on_short: Callable[[], object] = _unheard
        """Called when a write has used up the reserve, on the thread that writes."""
        try:
            self._writer = writing.connect()
        except SQLAlchemyError as error:
            raise ConfigError(f"cannot open the journal {name}: {cause(error)}") from error

    @abstractmethod
    def transaction(self, *, synced: bool) -> AbstractContextManager[Connection]:
        """A write transaction: all of it or nothing.

        With `synced` it is on the disk when the block has ended. Without, a power failure may take it back, but only
        together with everything written after it; a later synced transaction makes it durable too.
        """

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that can only read, and sees one moment of the database until the block ends. For any thread."""

    @abstractmethod
    def keep_before(self, version: int) -> None:
        """Keep a copy of everything as it is, before the schema is changed to a version."""

    def make_room(self, failure: Exception) -> bool:
        """Whether a transaction failed for want of space, nothing of it was written, and there is some space now."""
        return False

    def has_room(self) -> bool:
        """Whether there is space to go on for long; keeps a reserve for when there is not. Blocks a little."""
        return True

    def close(self) -> None:
        """Close every connection."""
        self._writer.close()
        self._writing.dispose()
        self._readers.dispose()


@contextmanager
def block(connection: Connection, begin: str) -> Iterator[Connection]:
    """A transaction begun with these words: committed at the end of the block, rolled back if that fails."""
    connection.exec_driver_sql(begin)
    try:
        yield connection
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        with suppress(SQLAlchemyError):  # some failures have ended the transaction already
            connection.exec_driver_sql("ROLLBACK")
        raise


def _unheard() -> None:
    """Nobody wants to know."""


def cause(error: SQLAlchemyError) -> str:
    """What the driver said, without SQLAlchemy's statement and link."""
    return str(getattr(error, "orig", None) or error)
