"""PostgreSQL: whatever becomes of the connection, an entry is written once or the journal stops; and clear refusals."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from conftest import PostgresqlServer
from core.tests.daemon.journal.outside import execute, outside, rows
from core.tests.daemon.journal.test_journal import entries
from quarterdeck.daemon.journal import Journal, JournalBroken, database, opening, postgresql
from quarterdeck.daemon.journal.database import Fenced
from quarterdeck.daemon.journal.opening import open_readers
from quarterdeck.domain.errors import ConfigError


@pytest.fixture
def journal_url(postgresql_url: str) -> str:
    return postgresql_url


def backend(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() or 0)


def terminate(url: str, pid: int) -> None:
    with outside(url) as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")


def writer_of(journal: Journal) -> int:
    found: list[int] = []
    journal.write(0, lambda connection: found.append(backend(connection))).result()
    return found[0]


def lock_of(journal: Journal) -> int:
    held = journal._database
    assert isinstance(held, postgresql.PostgresDatabase)
    return held._lock._backend


def test_a_lost_connection_is_replaced_and_nobody_notices(journal: Journal, url: str) -> None:
    heard: list[str | None] = []
    journal.on_trouble(heard.append)
    journal.append_threadsafe(entries(1)).result()
    for number in (2, 3, 4):
        terminate(url, writer_of(journal))
        journal.append_threadsafe(entries(number)).result()
    terminate(url, writer_of(journal))
    journal.write(4, lambda connection: connection.exec_driver_sql("DELETE FROM snapshot")).result()
    assert [entry.sequence for entry in journal.iterate(0)] == [1, 2, 3, 4]
    assert heard[1::2] == [None] * 4
    assert all(one and "terminating connection" in one for one in heard[::2])


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_a_commit_whose_answer_is_lost_is_looked_up(
    moment: str, journal: Journal, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F47: the connection goes with the answer. In one case the entries are in, in the other they are not."""
    original = database.block
    struck: list[int] = []

    @contextmanager
    def strike(connection: Connection, begin: str) -> Iterator[Connection]:
        if struck or moment == "before the commit":
            with original(connection, begin):
                yield connection
                if not struck:
                    struck.append(1)
                    raise OperationalError("COMMIT", {}, Exception("the line is dead"))
        else:
            with original(connection, begin):
                yield connection
            struck.append(1)
            raise OperationalError("COMMIT", {}, Exception("the line is dead"))

    journal.append_threadsafe(entries(1, 2)).result()
    monkeypatch.setattr(postgresql, "block", strike)
    journal.append_threadsafe(entries(3, 50)).result()
    journal.append_threadsafe(entries(53)).result()
    assert struck == [1]
    assert [entry.sequence for entry in journal.iterate(0)] == list(range(1, 54))
    journal.close()
    again = Journal.open(url, "main")
    assert again.head == 53
    again.close()


def test_the_old_transaction_has_ended_before_the_new_one_looks(
    journal: Journal, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that still works on the old commit while we are back already: it must not come in behind our back."""
    original = database.block
    ended = threading.Event()
    held: list[Any] = []

    def end() -> None:
        held[0].execute("COMMIT")
        ended.set()

    @contextmanager
    def hang(connection: Connection, begin: str) -> Iterator[Connection]:
        if held:
            with original(connection, begin):
                yield connection
            return
        connection.exec_driver_sql(begin)
        yield connection
        driver: Any = connection.connection.driver_connection
        held.append(driver)
        connection.connection.detach()  # so that it lives on
        threading.Timer(0.5, end).start()
        raise OperationalError("COMMIT", {}, Exception("the line is dead"))

    monkeypatch.setattr(postgresql, "block", hang)
    journal.append_threadsafe(entries(1, 3)).result()
    assert ended.is_set(), "it answered while the old transaction was still open"
    held[0].close()
    assert [entry.sequence for entry in journal.iterate(0)] == [1, 2, 3]


def test_a_database_that_came_back_with_less_is_not_written_to(journal: Journal, url: str) -> None:
    """As after a switch to a copy that had not got everything."""
    journal.append_threadsafe(entries(1, 3)).result()
    pid = writer_of(journal)
    execute(url, "DELETE FROM event WHERE sequence = 3")
    terminate(url, pid)
    with pytest.raises(JournalBroken, match="came back with 2 as its last entry, after 3 was confirmed"):
        journal.append_threadsafe(entries(4)).result()


def test_a_lock_that_was_lost_is_taken_again(journal: Journal, url: str) -> None:
    terminate(url, lock_of(journal))
    terminate(url, writer_of(journal))
    journal.append_threadsafe(entries(1)).result()
    with pytest.raises(ConfigError, match="is using the journal"):
        Journal.open(url, "main")


def test_whoever_takes_over_fences_the_one_before(journal: Journal, url: str) -> None:
    journal.append_threadsafe(entries(1)).result()
    terminate(url, lock_of(journal))
    other = Journal.open(url, "main")
    assert other.epoch == journal.epoch + 1
    other.append_threadsafe(entries(2)).result()
    with pytest.raises(JournalBroken, match=r"has taken the journal .* over") as failure:
        journal.append_threadsafe(entries(2)).result()
    assert isinstance(failure.value.__cause__, Fenced)
    with pytest.raises(Fenced):
        journal.renew(1)
    other.append_threadsafe(entries(3)).result()
    other.close()


def test_renewing_proves_that_the_lock_is_held(journal: Journal, url: str) -> None:
    journal.renew(77)
    assert rows(url, "SELECT epoch, renewed FROM lease") == [(1, 77)]
    terminate(url, lock_of(journal))
    journal.renew(78)
    assert rows(url, "SELECT epoch, renewed FROM lease") == [(1, 78)]


@pytest.fixture
def server() -> Iterator[PostgresqlServer]:
    """A server of this test's own, to stop and to start."""
    server = PostgresqlServer()
    yield server
    server.close()


def test_a_server_that_is_restarted_is_waited_for(server: PostgresqlServer) -> None:
    url = f"{server.url}&schema=one"
    journal = Journal.open(url, "main", patience=30)
    heard: list[str | None] = []
    journal.on_trouble(heard.append)
    journal.append_threadsafe(entries(1, 2)).result()
    server.stop()
    waiting = journal.append_threadsafe(entries(3))
    time.sleep(0.3)
    assert not waiting.done()
    assert heard
    assert heard[-1] is not None
    server.start()
    waiting.result(timeout=20)
    assert heard[-1] is None
    assert [entry.sequence for entry in journal.iterate(0)] == [1, 2, 3]
    server.stop()
    began = time.monotonic()
    lost = journal.append_threadsafe(entries(4))
    time.sleep(0.2)
    journal.close()
    assert time.monotonic() - began < 10, "closing does not wait for a server that is away"
    assert isinstance(lost.exception(), JournalBroken)


def test_a_server_that_stays_away_breaks_the_journal(server: PostgresqlServer) -> None:
    journal = Journal.open(f"{server.url}&schema=one", "main", patience=0.3)
    server.stop()
    with pytest.raises(JournalBroken, match="the journal failed: postgresql://"):
        journal.append_threadsafe(entries(1)).result(timeout=20)
    journal.close()


# ---------------------------------------------------------------- opening


def refused(url: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        Journal.open(url, "main")
    text = str(refusal.value)
    assert "\n" not in text
    return text


def test_what_is_wrong_is_said(postgresql: str, url: str) -> None:
    assert 'database "nowhere" does not exist' in refused(postgresql.replace("/postgres?", "/nowhere?"))
    assert 'role "nobody" does not exist' in refused(postgresql.replace("postgres:@", "nobody@"))
    assert "Connection refused" in refused("postgresql://me@127.0.0.1:1/x")
    assert "schema must be lower-case" in refused(f"{postgresql}&schema=Robert'); DROP")
    assert "invalid connection option" in refused(f"{postgresql}&colour=red")


def test_a_role_without_rights_is_told(postgresql: str) -> None:
    execute(f"{postgresql}&schema=guarded", "DROP ROLE IF EXISTS guest")
    execute(f"{postgresql}&schema=guarded", "CREATE ROLE guest LOGIN")
    assert "permission denied" in refused(f"{postgresql.replace('postgres:@', 'guest@')}&schema=guarded")
    assert "permission denied" in refused(f"{postgresql.replace('postgres:@', 'guest@')}&schema=unheard_of")
    execute(f"{postgresql}&schema=guarded", "ALTER ROLE guest SET default_transaction_read_only = on")
    assert "read-only" in refused(f"{postgresql.replace('postgres:@', 'guest@')}&schema=guarded")


def test_no_password_is_ever_shown(postgresql: str) -> None:
    for url in (
        "postgresql://me:Sesame@127.0.0.1:1/x",
        "postgresql://me@127.0.0.1:1/x?password=Sesame&sslpassword=Sesame",
        postgresql.replace("postgres:@", "nobody:Sesame@"),
    ):
        assert "Sesame" not in refused(url)
        assert "***" in refused(url)


def test_a_missing_driver_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda _: None)
    assert "install quarterdeck[postgresql]" in refused(url)


def test_two_journals_share_a_database_and_the_public_schema_is_one(postgresql: str) -> None:
    with outside(f"{postgresql}&schema=public") as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").scalar() == 0
    journal = Journal.open(postgresql.replace("postgresql://", "postgresql+psycopg://"), "main")
    other = Journal.open(f"{postgresql}&schema=beside", "main")
    journal.append_threadsafe(entries(1, 2)).result()
    assert (journal.head, other.head) == (2, 0)
    assert "is using the journal" in refused(postgresql)
    journal.close()
    other.close()


def test_looking_needs_no_lock(journal: Journal, url: str) -> None:
    journal.append_threadsafe(entries(1, 2)).result()
    readers = open_readers(url)
    with readers.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM event").scalar() == 2
    readers.close()
    with pytest.raises(ConfigError, match="its schema is 0"):
        open_readers(f"{url}_not_there")
