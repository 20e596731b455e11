"""Owns `quarterdeck status`."""

from __future__ import annotations

from datetime import timedelta

from rich.text import Text

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import fields
from quarterdeck.client import Status

app = single()

STYLES = {"READY": "green", "SYNCING": "yellow"}
"""How a daemon's state looks; any other is a reason to look closer."""


@command(app)
def status(cli: Cli) -> None:
    """Show how the daemon is."""
    with cli.daemon() as daemon:
        found = daemon.system.status()
    cli.out.answer(found, fields(_shown(found)))


def _shown(found: Status) -> dict[str, str | Text]:
    reasons = {"because": "\n".join(found.reasons)} if found.reasons else {}
    return {
        "state": Text(figures.word(found.state), style=STYLES.get(found.state, "red")),
        **reasons,
        "mode": figures.word(found.mode),
        "exchange": f"{found.exchange}, {_heard(found.exchange_age)}",
        "feed": f"{found.feed}, {_heard(found.market_data_age)}",
        "clock": f"{figures.moment(found.current_time)} UTC",
        "started": f"{figures.moment(found.start_time)} UTC",
        "journal": f"{found.journal_id} at {found.head_sequence:,}",
        "version": found.version,
    }


def _heard(age: timedelta | None) -> str:
    return "not heard yet" if age is None else f"heard {figures.length(age)} ago"
