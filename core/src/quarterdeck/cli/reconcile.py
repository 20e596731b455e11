"""Owns `quarterdeck reconcile`."""

from __future__ import annotations

from rich.text import Text

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import fields
from quarterdeck.client import Options, Reconciliation, SyncClient

app = single()

#: The venue is looked at again when nothing can be out of sight any more, which may take half a minute.
PATIENCE = Options(timeout=300.0, attempt_timeout=300.0)


@command(app)
def reconcile(cli: Cli) -> None:
    """Compare the journal with what the exchange holds, now, and agree with it."""
    with cli.daemon() as daemon:
        daemon.system.status()  # whether anybody answers is known sooner
    with SyncClient.connect(cli.address, account=cli.account, options=PATIENCE) as daemon:
        found = daemon.system.reconcile()
    cli.out.answer(found, fields(_shown(found)))


def _shown(found: Reconciliation) -> dict[str, str | Text]:
    agreed = Text("yes", style="green") if not found.differences else Text("no", style="red")
    left = {"because": "\n".join(found.differences)} if found.differences else {}
    return {
        "agreed": agreed,
        **left,
        "exchange": f"{found.order_count:,} orders work, {found.position_count:,} positions",
        "booked": f"{found.booked_count:,}",
        "adjusted": f"{found.adjusted_count:,}",
        "asked": f"{found.asked_count:,} orders",
        "took": f"{figures.length(found.duration)}, {found.look_count} looks",
    }
