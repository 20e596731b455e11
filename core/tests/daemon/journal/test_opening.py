"""Opening: one daemon to a journal, and a clear word about everything that can't be one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from core.tests.daemon.journal.outside import ON_POSTGRESQL, ON_SQLITE, everything, execute, rows
from quarterdeck.daemon.journal import Entry, Journal, JournalBroken
from quarterdeck.daemon.journal.bulk import ROWS, Bulk
from quarterdeck.daemon.journal.migrations import SCHEMA_VERSION
from quarterdeck.domain.errors import ConfigError

HOLD = """
import sys
from quarterdeck.daemon.journal import Journal
journal = Journal.open(sys.argv[1], "main")
print("open", flush=True)
sys.stdin.read()
"""


def refused(url: str, account: str = "main") -> str:
    with pytest.raises(ConfigError) as refusal:
        Journal.open(url, account)
    return str(refusal.value)


@ON_SQLITE
def test_the_writer_waits_for_the_disk_and_the_readers_can_not_write(journal: Journal) -> None:
    found: dict[str, Any] = {}

    def look(connection: Connection) -> None:
        for pragma in ("journal_mode", "foreign_keys", "busy_timeout"):
            found[pragma] = connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()

    journal.write(0, look).result()
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 60_000}
    with journal.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA query_only").scalar() == 1


@ON_POSTGRESQL
def test_no_statement_waits_for_ever_and_readers_see_one_moment(journal: Journal) -> None:
    timeouts = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]

    def look(connection: Connection) -> list[Any]:
        return [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in timeouts]

    found: list[Any] = []
    journal.write(0, lambda connection: found.extend(look(connection))).result()
    assert found == ["30s", "10s", "1min"]
    with journal.reading() as connection:
        assert look(connection) == found
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"


#: Has each entry's type tell how its commit is going to be.
NOTE = """
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.type = current_setting('synchronous_commit'); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION note()
"""


@pytest.mark.parametrize("sync", [True, False])
def test_entries_are_synced_unless_told_otherwise_and_tasks_are_not(url: str, sync: bool) -> None:
    journal = Journal.open(url, "main", sync=sync)
    asked: list[bool] = []
    if url.startswith("postgresql"):
        execute(url, NOTE)
    insert, transaction = journal._database.insert, journal._database.transaction

    def inserted(bulk: Bulk, rows: Sequence[Sequence[Any]], *, synced: bool) -> None:
        insert(bulk, rows, synced=synced)
        if url.startswith("sqlite"):  # a statement alone, whose setting stays as it is until the next
            asked.append(is_synced(journal._database._writer))

    @contextmanager
    def noted(*, synced: bool) -> Iterator[Connection]:
        with transaction(synced=synced) as connection:
            asked.append(is_synced(connection))
            yield connection

    journal._database.insert = inserted  # type: ignore[method-assign]  # looked at from inside
    journal._database.transaction = noted  # type: ignore[method-assign]  # as above
    for number in (1, 2):
        journal.append_threadsafe([Entry(number, 1, "A", b"")]).result()
        journal.write(number, lambda _: None).result()
    if url.startswith("postgresql"):
        assert asked == [False, False]
        assert rows(url, "SELECT type FROM event ORDER BY sequence") == [("on" if sync else "off",)] * 2
    else:
        assert asked == [sync, False, sync, False]
    journal.close()


@pytest.mark.parametrize("count", [1, ROWS, ROWS + 1])
def test_nothing_is_written_once_the_lease_is_somebody_elses(url: str, count: int) -> None:
    journal = Journal.open(url, "main")
    execute(url, "UPDATE lease SET holder = 'somebody'")
    with pytest.raises(JournalBroken, match=r"has taken the journal .* over"):
        journal.append_threadsafe([Entry(number, 1, "A", b"") for number in range(1, count + 1)]).result()
    assert rows(url, "SELECT count(*) FROM event") == [(0,)]
    journal.close()


def is_synced(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    return connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_a_second_process_is_refused_at_once_and_told_who_holds_it(url: str, tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"open\n"
        began = time.monotonic()
        message = refused(url)
        assert time.monotonic() - began < 2
        assert f"process {holder.pid}" in message
        assert (str(tmp_path / "journal.db.lock") if url.startswith("sqlite") else url[-12:]) in message
    finally:
        holder.kill()
        holder.communicate()
    time.sleep(0.0 if url.startswith("sqlite") else 0.5)
    Journal.open(url, "main").close()  # a lock does not outlive its process


def test_the_same_process_is_refused_too_until_it_has_closed(url: str) -> None:
    first = Journal.open(url, "main")
    assert f"process {os.getpid()}" in refused(url)
    first.close()
    Journal.open(url, "main").close()


def test_a_child_does_not_inherit_the_lock(url: str) -> None:
    journal = Journal.open(url, "main")
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
    )
    journal.close()
    try:
        Journal.open(url, "main").close()
    finally:
        child.communicate()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("journal.db", "'journal.db'"),
        ("", "''"),
        ("mysql://localhost/x", "mysql is none of: sqlite, postgresql"),
        ("postgresql+asyncpg://localhost/x", "postgresql+asyncpg is none of: sqlite, postgresql"),
        ("sqlite+aiosqlite:///x.db", "sqlite+aiosqlite is none of: sqlite"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file:x?mode=memory&uri=true", "names no file"),
        ("sqlite:////nowhere/at/all/x.db", "there is no directory /nowhere/at/all"),
    ],
)
def test_an_url_that_leads_nowhere_is_quoted(url: str, expected: str) -> None:
    message = refused(url)
    assert expected in message
    assert url.split("?", maxsplit=1)[0] in message


def test_a_password_is_not_shown() -> None:
    assert "secret" not in refused("mysql://user:secret@localhost/x")


def test_a_newer_schema_is_refused_and_left_alone(url: str) -> None:
    Journal.open(url, "main").close()
    execute(url, "UPDATE meta SET schema_version = schema_version + 1")
    message = refused(url)
    assert "newer Quarterdeck" in message
    assert f"{SCHEMA_VERSION + 1}" in message
    assert url[-12:] in message
    assert "newer" in refused(url), "the lock was kept, or the version changed"


def test_a_schema_this_code_never_had_is_refused(url: str) -> None:
    Journal.open(url, "main").close()
    execute(url, "UPDATE meta SET schema_version = 0")
    assert "another Quarterdeck" in refused(url)


def test_somebody_elses_database_is_refused_and_left_alone(url: str) -> None:
    execute(url, "CREATE TABLE recipes (name TEXT)")
    assert "recipes" in refused(url)
    assert everything(url) == {"recipes": []}


@ON_SQLITE
def test_a_file_that_is_no_database_is_refused_and_left_alone(url: str, tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"a letter to my bank" * 1000)
    message = refused(url)
    assert url in message
    assert "not a database" in message
    assert (tmp_path / "journal.db").read_bytes() == b"a letter to my bank" * 1000


@ON_SQLITE
def test_a_directory_is_refused(url: str, tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    assert url in refused(url)


def test_another_accounts_journal_is_refused(url: str) -> None:
    journal = Journal.open(url, "main")
    journal.append_threadsafe([Entry(1, 1, "A", b"")]).result()
    journal.close()
    assert "belongs to the account 'main', not to 'other'" in refused(url, "other")
    Journal.open(url, "main").close()
