"""The schema's steps: they make what the code expects, take old journals along whole, and leave a copy behind."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, insert

from core.tests.daemon.journal.outside import everything, outside, rows
from core.tests.daemon.journal.trading import fold_entry
from quarterdeck.daemon.journal import Journal, Projections, load_state, migrations, opening
from quarterdeck.daemon.journal.migrations import SCHEMA_VERSION
from quarterdeck.daemon.journal.schema import metadata
from quarterdeck.domain.errors import ConfigError

#: A journal as version 1 wrote it: seventy events of trading, the tables, a snapshot.
FIRST = Path(__file__).with_name("journal-0001.sql")

FLAGS = {"reduce_only", "triggered", "cancel_requested"}

STEP = """
import sqlalchemy as sa
from alembic import op

revision = "{number:04}"
down_revision = "{before:04}"

def upgrade():
    op.add_column("event", sa.Column("weather", sa.Text, nullable=False, server_default="fair"))
    {then}
"""


@pytest.fixture
def old(url: str) -> str:
    """Where a journal of version 1 is. There was none on PostgreSQL; it gets the same rows."""
    with closing(sqlite3.connect(":memory:")) as source:
        source.executescript(FIRST.read_text())
        with outside(url) as connection:
            migrations.upgrade(connection, 0, 1)
            tables = MetaData()
            tables.reflect(connection)
            for table in tables.sorted_tables:
                cursor = source.execute(f"SELECT * FROM {table.name}")
                names = [column[0] for column in cursor.description]
                for row in cursor:
                    values = dict(zip(names, map(plain, names, row), strict=True))
                    if table.name == "meta" and url.startswith("postgresql"):
                        values["journal_id"] = UUID(values["journal_id"])
                    connection.execute(insert(table).values(values))
    return url


def plain(name: str, value: Any) -> Any:
    """A value as SQLite has it, as SQLAlchemy takes it."""
    return json.loads(value) if name == "postings" else bool(value) if name in FLAGS else value


def events(url: str) -> list[Any]:
    return rows(url, "SELECT sequence, time, account, type, body FROM event ORDER BY sequence")


def version(url: str) -> int:
    return int(rows(url, "SELECT schema_version FROM meta")[0][0])


def differences(connection: Connection) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True}
    found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return [one for one in found if not (one[0] == "remove_table" and one[1].name.startswith("before_"))]


def test_the_steps_make_the_schema_of_the_code(journal: Journal) -> None:
    with journal.reading() as connection:
        assert differences(connection) == []


def test_a_column_the_steps_forgot_is_seen(journal: Journal) -> None:
    def forget(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE fills DROP COLUMN fee")
        connection.exec_driver_sql("DROP INDEX ix_fills_time")

    journal.write(0, forget).result()
    with journal.reading() as connection:
        assert len(differences(connection)) == 2


def test_a_journal_of_version_1_is_taken_along_whole(url: str, old: str) -> None:
    before = events(old)
    journal = Journal.open(url, "main")
    assert journal.head == len(before) == 70
    assert [(e.sequence, e.time, "main", e.type, e.body) for e in journal.iterate(0)] == before
    state = load_state(journal, fold_entry, Projections(journal))
    assert (state.sequence, len(state.bots)) == (70, 1)
    with journal.reading() as connection:
        assert differences(connection) == []
    journal.close()
    assert version(old) == SCHEMA_VERSION


@pytest.fixture
def next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Pretends that this Quarterdeck knows one step more, which ends with what the test says."""

    def add(then: str = "pass") -> int:
        folder, number = tmp_path / "migrations", SCHEMA_VERSION + 1
        shutil.copytree(migrations._FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        step = STEP.format(number=number, before=SCHEMA_VERSION, then=then)
        (folder / "versions" / f"{number:04}_next.py").write_text(step)
        monkeypatch.setattr(migrations, "_FOLDER", folder)
        monkeypatch.setattr(migrations.upgrade, "__defaults__", (number,))
        monkeypatch.setattr(opening, "SCHEMA_VERSION", number)
        return number

    return add


def test_an_upgrade_keeps_a_copy_of_what_was_there(
    url: str, old: str, next_step: Callable[..., int], tmp_path: Path
) -> None:
    before = everything(old)
    number = next_step()
    Journal.open(url, "main").close()
    assert version(old) == number
    assert rows(url, "SELECT DISTINCT weather FROM event") == [("fair",)]
    if url.startswith("sqlite"):
        kept = tmp_path / f"journal.db.before-{number:04}"
        assert everything(f"sqlite:///{kept}") == before
        assert sorted(path.name for path in tmp_path.glob("journal.db.before*")) == [kept.name]
        kept.unlink()
        Journal.open(url, "main").close()
        assert not kept.exists(), "nothing was upgraded, so there is nothing to keep"
    else:
        found = everything(url)
        assert found[f"before_{number:04}_event"] == before["event"]
        assert found[f"before_{number:04}_meta"] == before["meta"]


def test_a_step_that_fails_leaves_everything_as_it_was(url: str, old: str, next_step: Callable[..., int]) -> None:
    before = everything(old)
    next_step("raise ZeroDivisionError('a bug')")
    with pytest.raises(ZeroDivisionError):
        Journal.open(url, "main")
    assert {name: found for name, found in everything(old).items() if not name.startswith("before_")} == before


def test_a_step_the_database_refuses_leaves_everything_as_it_was(
    url: str, old: str, next_step: Callable[..., int]
) -> None:
    before = everything(old)
    next_step("op.execute('INSERT INTO event SELECT * FROM event')")
    with pytest.raises(ConfigError, match=r"(?i)cannot open the journal .*unique"):
        Journal.open(url, "main")
    assert {name: found for name, found in everything(old).items() if not name.startswith("before_")} == before


def test_journals_of_one_process_may_be_made_at_once(tmp_path: Path) -> None:
    """Alembic's steps find their connection in a module, so two that run at once would work on one database."""
    urls = [f"sqlite:///{tmp_path / str(number)}.db" for number in range(4)]
    with ThreadPoolExecutor(len(urls)) as pool:
        made = list(pool.map(lambda url: Journal.open(url, "main", sync=False), urls))
    assert len({each.journal_id for each in made}) == len(urls)
    for each in made:
        each.close()
