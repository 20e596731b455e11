"""PostgreSQL: whatever becomes of the connection, an entry is written once or the journal stops; and clear refusals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from conftest import PostgresqlServer
from core.tests.daemon.journal.outside import execute, outside, rows
from core.tests.daemon.journal.test_journal import entries
from quarterdeck.daemon.journal import Journal, JournalBroken, opening
from quarterdeck.daemon.journal.bulk import Bulk
from quarterdeck.daemon.journal.database import ConnectionLost, Fenced
from quarterdeck.daemon.journal.opening import open_readers
from quarterdeck.daemon.journal.postgresql import PostgresDatabase
from quarterdeck.daemon.journal.writer import Writer
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
    assert isinstance(held, PostgresDatabase)
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


Insert = Callable[[PostgresDatabase], None]


def strike(monkeypatch: pytest.MonkeyPatch, happens: Callable[[PostgresDatabase, Insert], None]) -> list[int]:
    """Have the next insert of entries end with a dead line, whatever happens to it before; tells whether it has."""
    original = PostgresDatabase.insert
    struck: list[int] = []

    def insert(self: PostgresDatabase, bulk: Bulk, rows: list[Any], *, synced: bool) -> None:
        def really(database: PostgresDatabase) -> None:
            original(database, bulk, rows, synced=synced)

        if struck:
            really(self)
        else:
            struck.append(1)
            happens(self, really)
            raise ConnectionLost("the line is dead")

    monkeypatch.setattr(PostgresDatabase, "insert", insert)
    return struck


class Stray:
    """What the writer had sent on a connection that it believes is lost."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._connection = database._writing.connect()
        self._mine = copy(database)
        self._mine._writer = self._connection

    def run(self, statement: str) -> None:
        self._connection.exec_driver_sql(statement)

    def arrive(self, insert: Insert) -> None:
        insert(self._mine)

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("arrives", [False, True])
def test_a_commit_whose_answer_is_lost_is_looked_up(
    arrives: bool, journal: Journal, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F47: the connection goes with the answer. In one case the entries are in, in the other they are not."""

    def happens(database: PostgresDatabase, insert: Insert) -> None:
        if arrives:
            insert(database)
        terminate(url, backend(database._writer))

    journal.append_threadsafe(entries(1, 2)).result()
    struck = strike(monkeypatch, happens)
    journal.append_threadsafe(entries(3, 50)).result()
    journal.append_threadsafe(entries(53)).result()
    assert struck == [1]
    assert [entry.sequence for entry in journal.iterate(0)] == list(range(1, 54))
    journal.close()
    again = Journal.open(url, "main")
    assert again.head == 53
    again.close()


def test_the_old_transaction_has_ended_before_the_new_one_looks(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that still works on the old commit while we are back already: it must not come in behind our back."""
    ended = threading.Event()
    strays: list[Stray] = []

    def happens(database: PostgresDatabase, insert: Insert) -> None:
        stray = Stray(database)
        strays.append(stray)
        stray.run("BEGIN")
        stray.arrive(insert)

        def end() -> None:
            ended.set()
            stray.run("COMMIT")

        threading.Timer(0.5, end).start()

    strike(monkeypatch, happens)
    journal.append_threadsafe(entries(1, 3)).result()
    assert ended.is_set(), "it answered while the old transaction was still open"
    strays[0].close()
    assert [entry.sequence for entry in journal.iterate(0)] == [1, 2, 3]


@pytest.mark.parametrize("moment", ["between look and write", "after the write"])
def test_what_arrives_late_fails_and_changes_nothing(
    moment: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old statement begins only when the new connection has looked and found nothing."""
    late: list[tuple[Stray, Insert]] = []
    refused: list[Future[None]] = []
    look = Writer._is_written

    def looked(self: Writer, connection: Connection, last: tuple[Any, ...]) -> bool:
        found = look(self, connection, last)
        if moment == "between look and write":
            refused.append(threads.submit(late[0][0].arrive, late[0][1]))
            time.sleep(0.3)
        return found

    strike(monkeypatch, lambda database, insert: late.append((Stray(database), insert)))
    monkeypatch.setattr(Writer, "_is_written", looked)
    with ThreadPoolExecutor() as threads:
        journal.append_threadsafe(entries(1, 3)).result()
        if moment == "after the write":
            journal.append_threadsafe(entries(4)).result()
            refused.append(threads.submit(late[0][0].arrive, late[0][1]))
        with pytest.raises(psycopg.errors.UniqueViolation):
            refused[0].result()
    late[0][0].close()
    journal.append_threadsafe(entries(journal.head + 1)).result()
    assert [entry.sequence for entry in journal.iterate(0)] == list(range(1, journal.head + 1))


def test_what_arrives_after_a_take_over_writes_nothing(
    journal: Journal, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[tuple[Stray, Insert]] = []
    strike(monkeypatch, lambda database, insert: late.append((Stray(database), insert)))
    journal.append_threadsafe(entries(1, 3)).result()
    execute(url, "DELETE FROM event")  # as if it had not been written again
    terminate(url, lock_of(journal))
    other = Journal.open(url, "main")
    with pytest.raises(Fenced):
        late[0][0].arrive(late[0][1])
    assert rows(url, "SELECT count(*) FROM event") == [(0,)]
    late[0][0].close()
    other.close()


def test_a_take_over_under_way_is_waited_for_and_fences(journal: Journal, url: str) -> None:
    """The statement has begun, and sees the fence as it was, when the new leader commits."""
    with outside(url) as connection:
        connection.exec_driver_sql("DELETE FROM lease")
        connection.exec_driver_sql("INSERT INTO lease (id, holder, epoch, renewed) VALUES (1, 'somebody', 9, 0)")
        waiting = journal.append_threadsafe(entries(1))
        time.sleep(0.3)
        assert not waiting.done()
    with pytest.raises(JournalBroken, match="taken the journal"):
        waiting.result()
    assert rows(url, "SELECT count(*) FROM event") == [(0,)]


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
