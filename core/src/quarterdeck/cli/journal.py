"""Owns `quarterdeck journal`: what is done with a journal itself, whether a daemon has it open or none."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, group
from quarterdeck.cli.config import DEFAULT_PATH
from quarterdeck.cli.event_text import line
from quarterdeck.cli.events import as_json
from quarterdeck.cli.export import FORMATS, write
from quarterdeck.cli.output import fields
from quarterdeck.cli.problem import FAILED, Problem
from quarterdeck.client.events import read_event
from quarterdeck.daemon.config import Config, load
from quarterdeck.daemon.journal import Frame, Journal, JournalDamaged, discard_derived, read_frames
from quarterdeck.daemon.journal.archive import Archive, Chained
from quarterdeck.daemon.journal.heads import anchors_in
from quarterdeck.daemon.journal.transfer import Copied, Damaged, back_up
from quarterdeck.daemon.journal.transfer import restore as put_back
from quarterdeck.daemon.journal.verification import Finding, Report
from quarterdeck.daemon.keeper import Keeper, fold_all
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.market import SECOND
from quarterdeck.v1.event_pb2 import Envelope

app = group("Verify, show, copy, export, compact and rebuild a journal, without a daemon.")

Url = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The journal: a URL, or a file. If not given, that of the configuration."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help=f"The configuration; {DEFAULT_PATH} if it is there.")
]
After = Annotated[int, typer.Option(min=0, metavar="N", help="Only what follows this position.")]


DERIVED = ("snapshot", "projection_cursor")
"""Tables whose damage costs nothing: they are made again from the events."""


class Format(StrEnum):
    """What an export can be."""

    JSONL = "jsonl"
    CSV = "csv"


@command(app, asks_daemon=False)
def verify(
    cli: Cli,
    *,
    anchor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Signed heads kept elsewhere: an anchor file, or a daemon's log in JSON."),
    ] = None,
    url: Url = None,
    config: ConfigFile = None,
) -> None:
    """Check that a journal is what was written: every entry, every signature, and what stands beside them.

    Only with heads that were kept elsewhere can it be known that nothing was cut off at the end. Exit code 1: damaged.
    """
    with _opened(url, config) as archive:
        last = archive.head()
        verifier = archive.verifier(lambda sequence: _show(cli, sequence, last))
        report = verifier.run(anchors=None if anchor is None else anchors_in(anchor))
        _show(cli, None, last)
        cli.out.answer(_as_json(archive, report), fields(_shown(archive, report)))
    if report.damaged:
        raise typer.Exit(FAILED)


@command(app, asks_daemon=False)
def show(
    cli: Cli,
    *,
    after: After = 0,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="At most this many.")] = 50,
    url: Url = None,
    config: ConfigFile = None,
) -> None:
    """Show what a journal holds, event by event; `quarterdeck events` asks a daemon instead."""
    shown: list[dict[str, Any]] = []
    with _opened(url, config) as archive:
        for entry in archive.entries(after, limit):
            if isinstance(entry, Finding):
                shown.append({"sequence": entry.sequence, "damaged": entry.problem})
                told: Any = f"{entry.sequence:>7,}  DAMAGED: {entry.problem}"
            else:
                event = read_event(Envelope.FromString(entry.body))
                shown.append({**as_json(event), "hash": entry.hash.hex()})
                told = line(event)
            if not cli.out.as_json:
                cli.out.answer(None, told)
        if cli.out.as_json:
            cli.out.answer({"events": shown, "head": archive.head()})


@command(app, asks_daemon=False)
def frames(
    cli: Cli,
    *,
    after: Annotated[int, typer.Option(min=0, metavar="ID", help="Only what came after this frame.")] = 0,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="At most this many.")] = 50,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what came on this stream of the exchange.")
    ] = None,
    url: Url = None,
    config: ConfigFile = None,
) -> None:
    """Show what the exchange said of the account, as it came, oldest first: the newest frames are kept.

    They are no events and prove nothing; they are there to be read again if an exchange plugin got one wrong.
    """
    with _opened(url, config) as archive, archive.reading() as connection:
        found = read_frames(connection, after, limit, source)
    cli.out.answer({"frames": [_frame_as_json(each) for each in found]}, *map(_frame_shown, found))


@command(app, asks_daemon=False)
def export(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write; it must not exist.")],
    *,
    form: Annotated[Format, typer.Option("--format", help="A JSON object, or a row of CSV, for each event.")],
    after: After = 0,
    until: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only what is not beyond this position.")
    ] = None,
    url: Url = None,
    config: ConfigFile = None,
) -> None:
    """Write a journal, or a part of it, into a file that other programs read.

    Each event comes with its bytes and its hash, so whoever has the file can check the chain too. A damaged journal is
    written as far as it is intact.
    """
    with _opened(url, config) as archive:
        entries = archive.entries(after, None if until is None else max(0, until - after))
        try:
            done = write(file, FORMATS[form], entries)
        except FileExistsError:
            raise Problem(f"{file} exists already.", code="ALREADY_EXISTS", metadata={"path": str(file)}) from None
        except OSError as error:
            raise Problem(f"{file} can't be written: {error.strerror}.", metadata={"path": str(file)}) from None
    if done.damage is not None:
        raise Problem(
            f"The journal is damaged: {done.damage}. {done.entries:,} entries before that are in {file}.",
            code="DATA_LOSS",
            metadata={"path": str(file), "entries": str(done.entries)},
            hint="`quarterdeck journal verify` shows all that is wrong.",
        )
    said = f"Wrote {figures.count(done.entries, 'event')}, {done.first:,} to {done.last:,}, to {file}."
    data = {"path": str(file), "format": form, "entries": done.entries, "first": done.first, "last": done.last}
    cli.out.answer(data, said if done.entries else f"There is nothing to write; {file} is empty.")


@command(app, asks_daemon=False)
def rebuild(cli: Cli, *, url: Url = None, config: ConfigFile = None) -> None:
    """Throw away snapshots and tables; the next start makes them again from the events, which must be intact.

    What is damaged in the events themselves is never mended: put a backup in the journal's place, or give the account a
    new journal.
    """
    with _opened(url, config) as archive:
        report = archive.verifier().run()
        wrong = [str(each) for each in report.damaged if each.table not in DERIVED]
        first = next(archive.entries(report.first - 1, 1), None)
    if wrong or isinstance(first, Finding):
        raise Problem(
            "The events themselves are damaged; nothing was changed.",
            code="DATA_LOSS",
            details=wrong,
            hint="docs/integrity.md says how to go on from a backup, or with a new journal.",
        )
    if first is not None:
        journal = Journal.open(archive.url, first.account)
        try:
            discard_derived(journal)
        finally:
            journal.close()
    said = "Threw away snapshots and tables. The next start makes them again, which takes a moment longer."
    cli.out.answer({"entries": report.entries, "damaged": [each._asdict() for each in report.damaged]}, said)


@command(app, asks_daemon=False)
def backup(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write; it must not exist.")],
    *,
    url: Url = None,
    config: ConfigFile = None,
) -> None:
    """Copy a journal into a file, as it is at this moment, while a daemon uses it or none; and check the copy.

    The file is a journal itself. The key that signs is not in it.
    """
    with _opened(url, config) as archive, _transferring(file):
        copied = back_up(archive, file, fold_all)
    _say_copied(cli, copied, str(file), f"Backed up {figures.count(copied.entries, 'event')} to {file}.")


@command(app, asks_daemon=False)
def restore(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup, or any journal's file.")],
    *,
    url: Url = None,
    config: ConfigFile = None,
) -> None:
    """Put a backup into an empty journal, of whichever kind of database, and check it there.

    Never let two daemons trade from copies of one journal: they would not know of each other.
    """
    with _opened(str(file), None) as archive, _transferring(file):
        fold_all(archive)
        where = _url(url, config)
        copied = put_back(archive, where)
        with _opened(where, None) as restored:
            fold_all(restored)
            name = restored.name
    _say_copied(cli, copied, name, f"Restored {figures.count(copied.entries, 'event')} to {name}.")


@command(app, asks_daemon=False)
def compact(
    cli: Cli,
    *,
    keep_events: Annotated[int, typer.Option(min=0, metavar="N", help="Keep the newest N events; 0 does not ask.")] = 0,
    keep_days: Annotated[int, typer.Option(min=0, metavar="N", help="Keep the events of N days; 0 does not ask.")] = 0,
    url: Url = None,
    config: ConfigFile = None,
) -> None:
    """Remove a journal's oldest events, for good, and keep the state they lead to. No daemon may be using it.

    Tables for SQL keep what they have. Whoever reads events is told where they begin. Make a backup first.
    """
    if not keep_events and not keep_days:
        raise Problem("Say what to keep: --keep-events or --keep-days.", code="INVALID_ARGUMENT")
    where = _url(url, config)
    with _opened(where, None) as archive:
        first = next(archive.entries(0, 1), None)
    removed, oldest = 0, 1
    if isinstance(first, Chained):
        use_money_context()
        journal = Journal.open(where, first.account)
        try:
            keeper = Keeper(journal)
            keeper.load()
            removed, oldest = keeper.compact(keep_events, keep_days), journal.oldest
        except JournalDamaged as error:
            raise Problem(f"The journal is damaged: {error}. Nothing was removed.", code="DATA_LOSS") from None
        finally:
            journal.close()
    said = f"Removed {figures.count(removed, 'event')}. The journal begins with {oldest:,} now."
    cli.out.answer({"removed": removed, "oldest": oldest}, said)


@contextmanager
def _transferring(file: Path) -> Iterator[None]:
    """What can go wrong on the way, in words."""
    try:
        yield
    except FileExistsError:
        raise Problem(f"{file} exists already.", code="ALREADY_EXISTS", metadata={"path": str(file)}) from None
    except (Damaged, JournalDamaged) as error:
        raise Problem(
            f"The journal is damaged: {error}. Nothing was written.",
            code="DATA_LOSS",
            hint="`quarterdeck journal verify` shows all that is wrong.",
        ) from None


def _say_copied(cli: Cli, copied: Copied, where: str, said: str) -> None:
    data = {"where": where, "entries": copied.entries, "head": copied.head, "hash": copied.hash.hex()}
    cli.out.answer(data, f"{said} The copy is intact: its head is {copied.head:,}, its hash {copied.hash.hex()}.")


def _url(url: str | None, config: Path | None) -> str:
    """Where the journal is that the user means."""
    if url is not None:
        return url if "://" in url else f"sqlite:///{url}"
    path = config or (DEFAULT_PATH if DEFAULT_PATH.exists() else None)
    return (Config() if path is None else load(path)).journal.url


@contextmanager
def _opened(url: str | None, config: Path | None) -> Iterator[Archive]:
    """The journal the user means."""
    archive = Archive.open(_url(url, config))
    try:
        yield archive
    finally:
        archive.close()


def _show(cli: Cli, sequence: int | None, last: int) -> None:
    """How far it is, to a person who waits; nothing at the end."""
    if cli.out.is_live and sys.stderr.isatty():
        text = f"{sequence:,} of {last:,} events" if sequence is not None else ""
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)


def _frame_as_json(frame: Frame) -> dict[str, Any]:
    """A frame; what is no UTF-8 as base64 instead of text."""
    told = {"id": frame.id, "time": _moment(frame), "source": frame.source}
    try:
        return {**told, "text": frame.body.decode()}
    except UnicodeDecodeError:
        return {**told, "base64": b64encode(frame.body).decode()}


def _frame_shown(frame: Frame) -> str:
    """A frame in one line, with nothing in it that a terminal would obey."""
    text = frame.body.decode(errors="backslashreplace")
    text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return f"{frame.id:>7,}  {figures.moment(_moment(frame))}  {frame.source}  {text}"


def _moment(frame: Frame) -> datetime:
    return datetime.fromtimestamp(frame.time // SECOND, UTC) + timedelta(microseconds=frame.time % SECOND // 1_000)


def _as_json(archive: Archive, report: Report) -> dict[str, Any]:
    return {
        "journal": str(archive.journal_id),
        "entries": report.entries,
        "first": report.first,
        "head": report.head.sequence,
        "hash": report.head.hash.hex(),
        "intact": report.intact,
        "signed": report.signed,
        "heads_checked": report.heads_checked,
        "anchors_checked": report.anchors_checked,
        "damaged": [each._asdict() for each in report.damaged],
    }


def _shown(archive: Archive, report: Report) -> dict[str, Any]:
    anchors = f", {figures.count(report.anchors_checked, 'anchor')}" if report.anchors_checked else ""
    return {
        "journal": f"{archive.journal_id} at {archive.name}",
        "events": f"{report.entries:,}, {report.first:,} to {report.head.sequence:,}",
        "hash": report.head.hash.hex(),
        "signatures": f"{figures.count(report.heads_checked, 'signed head')}{anchors}",
        "signed": f"up to {report.signed:,}",
        "verdict": _verdict(report),
    }


def _verdict(report: Report) -> str:
    if report.damaged:
        return "\n".join((f"DAMAGED, intact up to {report.intact:,}:", *map(str, report.damaged)))
    if report.anchors_checked:
        return "intact"
    return "intact, as far as it shows by itself: an end that was cut off shows only with --anchor"
