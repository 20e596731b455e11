"""Owns `quarterdeck status`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from rich.text import Text

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import Column, Figure, Prose, fields, table
from quarterdeck.client import Status, SyncClient, short_id

app = single()

AWAY = ("FAILED", "FENCED")
"""States in which nothing can be asked of an account but how it is."""

STYLES = {"READY": "green", "SYNCING": "yellow"}
"""How a daemon's state looks; any other is a reason to look closer."""


@command(app)
def status(cli: Cli) -> None:
    """Show how the daemon is, with each of its accounts."""
    with cli.daemon() as daemon:
        found = statuses(cli, daemon)
    if len(found) == 1:
        cli.out.answer(found[0], fields(_shown(found[0])))
    else:
        cli.out.answer({"accounts": found}, table(ACCOUNTS, found, "There is no account."))


def statuses(cli: Cli, daemon: SyncClient) -> list[Status]:
    """How each account is that the user means."""
    found = [] if cli.account else daemon.system.statuses()
    return found if len(found) > 1 else [daemon.system.status()]


ACCOUNTS: tuple[Column[Status], ...] = (
    Column("account", lambda each: short_id(each.account)),
    Column("state", lambda each: Text(figures.word(each.state), style=STYLES.get(each.state, "red"))),
    Column("mode", lambda each: figures.word(each.mode)),
    Column("exchange", lambda each: f"{each.exchange}, {_heard(each.exchange_age)}"),
    Column("balances", lambda each: _confirmed(each.balances_age)),
    Figure("journal at", lambda each: f"{each.head_sequence:,}"),
    Prose("because", lambda each: "; ".join(each.reasons)),
)


def _confirmed(age: timedelta | None) -> str:
    return "not confirmed yet" if age is None else f"confirmed {_ago(age)}"


def _shown(found: Status) -> dict[str, str | Text]:
    reasons = {"because": "\n".join(found.reasons)} if found.reasons else {}
    return {
        "state": Text(figures.word(found.state), style=STYLES.get(found.state, "red")),
        **reasons,
        "mode": figures.word(found.mode),
        "exchange": "\n".join([f"{found.exchange}, {_heard(found.exchange_age)}", *found.exchange_remarks]),
        "feed": f"{found.feed}, {_heard(found.market_data_age)}",
        **_market(found),
        "clock": f"{figures.moment(found.current_time)} UTC",
        "started": f"{figures.moment(found.start_time)} UTC",
        "agreed": "not yet" if found.reconcile_age is None else f"with the exchange {_ago(found.reconcile_age)}",
        "balances": _confirmed(found.balances_age),
        "unknown orders": _named(found.unknown_orders, found.unknown_order_count),
        "unprotected": _named(found.unprotected_positions, len(found.unprotected_positions)),
        "event loop": f"{figures.milliseconds(found.loop_lag)} late at worst, {found.queue_depth:,} inputs wait",
        **({} if found.lease_remaining is None else {"lease": f"{figures.length(found.lease_remaining)} left"}),
        "journal": f"{found.journal_id} at {found.head_sequence:,}, {figures.size(found.journal_bytes)}"
        f" and {figures.size(found.wal_bytes)} of log",
        "head": found.head_hash or "not known",
        "kept state": _kept(found),
        "last end": "not in order: killed, crashed or cut off" if found.unclean_start else "in order",
        "version": found.version,
    }


def _market(found: Status) -> dict[str, str | Text]:
    """What is wrong with the market's data, if anything is."""
    shown: dict[str, str | Text] = {}
    if found.stale_instruments:
        shown["stale prices"] = _named(found.stale_instruments, len(found.stale_instruments))
    if found.quarantined_count:
        shown["held back"] = f"{found.quarantined_count:,} market messages; quarterdeck doctor tells why"
    return shown


def _kept(found: Status) -> str:
    if not found.kept_sequence:
        return "none yet"
    return f"at {found.kept_sequence:,}" + ("" if found.kept_age is None else f", {_ago(found.kept_age)}")


def _named(names: Sequence[str], count: int) -> str | Text:
    if not count:
        return "none"
    more = f", and {count - len(names):,} more" if count > len(names) else ""
    return Text(", ".join(name.rpartition("/")[2] for name in names) + more, style="yellow")


def _ago(age: timedelta) -> str:
    return f"{figures.length(age)} ago"


def _heard(age: timedelta | None) -> str:
    return "not heard yet" if age is None else f"heard {_ago(age)}"
