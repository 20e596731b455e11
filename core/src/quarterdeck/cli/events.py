"""Owns `quarterdeck events`, and what an event is as JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.event_text import line
from quarterdeck.client import Event, SyncClient, to_dict

app = single()

_WORD_BEGINS = re.compile(r"(?<!^)(?=[A-Z])")


@command(app)
def events(
    cli: Cli,
    *,
    after: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="After this position in the journal; 0 is the beginning.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each event as it is recorded.")] = False,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="NAME", help="Only this kind, such as OrderFilled; may be given several times."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, metavar="N", help="At most this many.")] = None,
) -> None:
    """List what happened, oldest first, and follow it.

    Without --after: from the beginning, or with --follow from now. With --follow and --json each event is one line.
    """
    with cli.daemon() as daemon:
        if follow:
            for count, event in enumerate(daemon.events.stream(after, types=types or ()), start=1):
                cli.out.answer(as_json(event), line(event))
                if count == limit:
                    return
        else:
            _list(cli, daemon, after or 0, types or (), limit)


def _list(cli: Cli, daemon: SyncClient, after: int, types: Sequence[str], limit: int | None) -> None:
    listing = daemon.events.list(after, types=types, limit=limit)
    if cli.out.as_json:
        found = [as_json(event) for event in listing]
        cli.out.answer({"events": found, "snapshot_sequence": listing.snapshot_sequence})
        return
    for event in listing:
        cli.out.answer(None, line(event))


def as_json(event: Event) -> dict[str, Any]:
    """An event as the contract's envelope, whose last field is named for what happened, such as `order_filled`."""
    envelope: dict[str, Any] = to_dict(event)
    body = envelope.pop("body")
    del envelope["resume_token"]
    return {**envelope, "type": event.type, _WORD_BEGINS.sub("_", event.type).lower(): body}
