"""Owns what a start does with the journal it finds: check it, then fold it; or, if it is damaged, quarantine it.

A damaged journal is neither written to nor mended. What is intact of it is copied to a scratch journal beside the
system's temporary files, and the daemon answers questions from that, until a person has decided what to do.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from quarterdeck.daemon.config import Check, Config, JournalSection
from quarterdeck.daemon.journal import Entry, Journal, JournalDamaged
from quarterdeck.daemon.journal.archive import Archive
from quarterdeck.daemon.journal.database import cause
from quarterdeck.daemon.journal.heads import anchors_in
from quarterdeck.daemon.journal.opening import file_of
from quarterdeck.daemon.journal.schema import base, meta
from quarterdeck.daemon.journal.snapshots import state_format
from quarterdeck.daemon.journal.verification import Finding, Verifier, beginning, malformed, newest_signed, stored, walk
from quarterdeck.daemon.keeper import Keeper
from quarterdeck.daemon.notary import Notary
from quarterdeck.domain.errors import ConfigError
from quarterdeck.domain.market import SECOND
from quarterdeck.engine.state import State
from quarterdeck.plugin.fields import interval_ns
from quarterdeck.rpc.convert.envelope import decode

#: Entries copied at once.
PAGE = 1_000

#: What is told of damage in the status; the log and `quarterdeck journal verify` have all of it.
TOLD = 5

#: Signs what a daemon writes to a journal; None if nobody does.
MakeNotary = Callable[[JournalSection, Journal], Notary | None]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Intake:
    """The journal to work with, what keeps things beside it, and the account as it was."""

    journal: Journal
    keeper: Keeper
    state: State
    damage: Sequence[str] = ()
    """What is wrong, for people. If there is anything, the journal is a scratch copy and nothing may be done."""
    undo: ExitStack = field(default_factory=ExitStack)


def open_journal(config: Config) -> Journal:
    """Open the journal, in a folder that is made if it is missing, which SQLite itself does not do.

    Raises:
        InUse: another process has it open.
        ConfigError: it can't be opened.
    """
    section = config.journal
    try:
        if (file := file_of(section.url)) is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"journal.url: the folder of {section.url} can't be made: {error.strerror}") from error
    patience = interval_ns(section.patience) / SECOND
    return Journal.open(section.url, config.account.id, patience=patience, reserve=section.reserve_mib << 20)


def take_in(journal: Journal, config: Config, notary: MakeNotary) -> Intake:
    """Check a journal and fold it. Blocks.

    Raises:
        ConfigError: the anchor file or the signing key can't be used.
    """
    problems = check(journal, config.journal)
    if not problems:
        undo = ExitStack()
        signs = notary(config.journal, journal)
        if signs is not None:
            undo.callback(signs.close)
        keeper = Keeper(journal, signs)
        try:
            state = keeper.load()
            keeper.compact(config.journal.keep_events, config.journal.keep_days)
            return Intake(journal, keeper, state, undo=undo)
        except (JournalDamaged, ValueError) as error:
            problems = [str(error)]
    return _quarantine(journal, config.account.id, problems)


def quarantine_unopened(config: Config, problem: str) -> Intake:
    """The intact part of a journal that can't even be opened.

    Raises:
        ConfigError: nothing of it can be read.
    """
    archive = Archive.open(config.journal.url)
    try:
        return _quarantine(archive, config.account.id, [problem])
    finally:
        archive.close()


def check(journal: Journal, section: JournalSection) -> list[str]:
    """What is wrong with a journal, as far as a start looks: what was written since the last signed head at least.

    Raises:
        ConfigError: the anchor file can't be read.
    """
    is_full = section.check is Check.FULL
    try:
        problems = malformed(journal.reading) if is_full or not _was_stopped(journal) else []
        start = None
        if not is_full:
            with journal.reading() as connection:
                signed = newest_signed(connection)
                snapshot = journal.latest_snapshot(state_format(), at_most=journal.head)
                after = min(signed - 1, snapshot.sequence if snapshot is not None else 0)
                start = stored(connection, journal.journal_id, after)
        anchor_file = Path(section.anchor_file) if section.anchor_file else None
        anchors = list(anchors_in(anchor_file)) if anchor_file is not None and anchor_file.exists() else []
        ours = [each for each in anchors if each.journal_id == journal.journal_id]
        held = (ours if is_full else ours[-1:]) or None
        report = Verifier(journal.reading, journal.journal_id).run(start, held)
        return [str(each) for each in (*problems, *report.damaged)]
    except JournalDamaged as error:
        return [str(error)]
    except SQLAlchemyError as error:
        return [f"the database can't be read: {cause(error)}"]


def _was_stopped(journal: Journal) -> bool:
    """Whether the last daemon ended in order."""
    with journal.reading() as connection:
        last = connection.scalar(text("SELECT type FROM event ORDER BY sequence DESC LIMIT 1"))
    return bool(last == "DaemonStopped")


def _quarantine(journal: Journal | Archive, account: str, problems: Sequence[str]) -> Intake:
    """The intact part of a damaged journal, as a journal of its own that ends with this process."""
    report = Verifier(journal.reading, journal.journal_id).run()
    undo = ExitStack()
    folder = tempfile.mkdtemp(prefix="quarterdeck-quarantine-")
    undo.callback(partial(shutil.rmtree, folder, ignore_errors=True))
    url = f"sqlite:///{folder}/journal.db"
    scratch = Journal.open(url, account, sync=False)
    scratch.write(0, partial(_begin_as, journal)).result()
    scratch.close()
    scratch = Journal.open(url, account, sync=False)
    undo.callback(scratch.close)
    last = _copy(journal, scratch, report.intact)
    keeper = Keeper(scratch)
    state = keeper.load()
    log.error("journal_damaged", intact=last, signed=report.signed, problems=list(problems))
    return Intake(scratch, keeper, state, _told(problems, last, report.signed), undo)


def _begin_as(journal: Journal | Archive, connection: Connection) -> None:
    """The id and the base of a journal, in another."""
    connection.execute(update(meta).values(journal_id=journal.journal_id))
    with journal.reading() as source:
        for row in source.execute(select(base)).mappings():
            connection.execute(insert(base).values(dict(row)))


def _copy(journal: Journal | Archive, scratch: Journal, until: int) -> int:
    """Copy entries as long as they can be read, and up to one; returns the last."""
    page: list[Entry] = []
    for row in walk(journal.reading, beginning(journal.reading, journal.journal_id)):
        if isinstance(row, Finding) or row.sequence > until or not _is_readable(row.body):
            break
        if not scratch.head and not page and row.sequence > 1:
            raise ConfigError(
                f"the journal {journal.name} is damaged, and of one that begins with event {row.sequence} nothing can "
                "be shown: see `quarterdeck journal verify`, and put a backup in its place"
            )
        page.append(Entry(row.sequence, row.time, row.type, row.body))
        if len(page) == PAGE:
            scratch.append_threadsafe(page).result()
            page = []
    scratch.append_threadsafe(page).result()
    return scratch.head


def _is_readable(body: bytes) -> bool:
    try:
        decode(body)
    except ValueError:
        return False
    return True


def _told(problems: Sequence[str], last: int, signed: int) -> list[str]:
    more = [f"and {len(problems) - TOLD} more"] if len(problems) > TOLD else []
    vouched = f" (signatures vouch for it up to {signed})" if signed < last else ""
    first = (
        f"the journal is damaged: what is shown ends with event {last}, the last before the damage{vouched}; "
        "nothing is recorded and nothing is traded"
    )
    advice = (
        "`quarterdeck journal verify` shows all of it; stop the daemon, keep the damaged journal, and put a backup in "
        "its place or give the account a new one; if only snapshots or tables are damaged, `quarterdeck journal "
        "rebuild` makes them again: see docs/integrity.md"
    )
    return [first, *problems[:TOLD], *more, advice]
