"""Owns the way from the first schema to today's: numbered steps in `versions`, each written once and never changed.

Whoever changes `schema.py` adds the next step; a test compares what the steps make with what `schema.py` says. Which
step a journal is at is its `meta.schema_version`, which every Quarterdeck looks at before anything else.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from sqlalchemy import Connection

_FOLDER = Path(__file__).parent

#: The newest step. A journal with a higher number was written by a newer Quarterdeck.
SCHEMA_VERSION = max(int(each.name[:4]) for each in (_FOLDER / "versions").glob("[0-9]*.py"))

#: Alembic's steps find the connection in a module, which two journals of one process would otherwise share.
_ONE_AT_A_TIME = Lock()


def upgrade(connection: Connection, current: int, target: int = SCHEMA_VERSION) -> None:
    """Take the tables from one version (0 is an empty database) to another, in the transaction that is under way."""
    # Only a new or an outdated journal needs them, and they take their time to load.
    from alembic.operations import Operations  # noqa: PLC0415 - as said above
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - as said above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as said above

    steps = {int(script.revision): script.module for script in ScriptDirectory(_FOLDER).walk_revisions()}
    with _ONE_AT_A_TIME, Operations.context(MigrationContext.configure(connection)):
        for number in range(current + 1, target + 1):
            steps[number].upgrade()
