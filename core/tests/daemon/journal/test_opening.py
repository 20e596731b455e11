"""Opening: one daemon to a journal, and a clear word about everything that can't be one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from quarterdeck.daemon.journal import Entry, Journal
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


def test_the_writer_waits_for_the_disk_and_the_readers_can_not_write(journal: Journal) -> None:
    found: dict[str, Any] = {}

    def look(connection: Connection) -> None:
        for pragma in ("journal_mode", "foreign_keys", "busy_timeout"):
            found[pragma] = connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()

    journal.write(0, look).result()
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 60_000}
    with journal.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA query_only").scalar() == 1


@pytest.mark.parametrize(("sync", "level"), [(True, 2), (False, 1)])
def test_entries_are_synced_unless_told_otherwise_and_tasks_are_not(url: str, sync: bool, level: int) -> None:
    journal = Journal.open(url, "main", sync=sync)
    driver: Any = journal._database._writer.connection.driver_connection
    journal.append_threadsafe([Entry(1, 1, "A", b"")]).result()
    assert driver.execute("PRAGMA synchronous").fetchone() == (level,)
    journal.write(1, lambda _: None).result()
    assert driver.execute("PRAGMA synchronous").fetchone() == (1,)
    journal.append_threadsafe([Entry(2, 1, "A", b"")]).result()
    assert driver.execute("PRAGMA synchronous").fetchone() == (level,)
    journal.close()


def test_a_second_process_is_refused_at_once_and_told_who_holds_it(url: str, tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"open\n"
        began = time.monotonic()
        message = refused(url)
        assert time.monotonic() - began < 2
        assert str(tmp_path / "journal.db.lock") in message
        assert f"process {holder.pid}" in message
    finally:
        holder.kill()
        holder.communicate()
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
        ("mysql://localhost/x", "mysql is none of: sqlite"),
        ("postgresql+psycopg://localhost/x", "is none of: sqlite"),
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


def test_a_newer_schema_is_refused_and_left_alone(url: str, tmp_path: Path) -> None:
    Journal.open(url, "main").close()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("UPDATE meta SET schema_version = schema_version + 1")
    connection.close()
    message = refused(url)
    assert "newer Quarterdeck" in message
    assert f"{SCHEMA_VERSION + 1}" in message
    assert url in message
    assert "newer" in refused(url), "the lock was kept, or the version changed"


def test_a_schema_this_code_never_had_is_refused(url: str, tmp_path: Path) -> None:
    Journal.open(url, "main").close()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("UPDATE meta SET schema_version = 0")
    connection.close()
    assert "another Quarterdeck" in refused(url)


def test_somebody_elses_database_is_refused_and_left_alone(url: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    assert "recipes" in refused(url)
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("recipes",)]
    connection.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(url: str, tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"a letter to my bank" * 1000)
    message = refused(url)
    assert url in message
    assert "not a database" in message
    assert (tmp_path / "journal.db").read_bytes() == b"a letter to my bank" * 1000


def test_a_directory_is_refused(url: str, tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    assert url in refused(url)


def test_another_accounts_journal_is_refused(url: str) -> None:
    journal = Journal.open(url, "main")
    journal.append_threadsafe([Entry(1, 1, "A", b"")]).result()
    journal.close()
    assert "belongs to the account 'main', not to 'other'" in refused(url, "other")
    Journal.open(url, "main").close()
