"""Owns `quarterdeck accounts`."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from rich.text import Text

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import Column, Figure, table
from quarterdeck.cli.status import AWAY, STYLES, statuses
from quarterdeck.client import AccountOverview, QuarterdeckError, Status, SyncClient, short_id

app = single()


class Row(NamedTuple):
    """How an account is, and what it has; None while that can't be asked."""

    status: Status
    overview: AccountOverview | None

    @property
    def id(self) -> str:
        """The account's id."""
        return short_id(self.status.account)


COLUMNS: tuple[Column[Row], ...] = (
    Column("account", lambda row: row.id),
    Column("mode", lambda row: figures.word(row.status.mode)),
    Column("exchange", lambda row: row.status.exchange),
    Column("state", lambda row: Text(figures.word(row.status.state), style=STYLES.get(row.status.state, "red"))),
    Figure("equity", lambda row: _money(row.overview.equity if row.overview else None)),
    Column("", lambda row: row.overview.account.settle if row.overview else ""),
    Figure("positions", lambda row: str(row.overview.open_positions) if row.overview else "-"),
    Figure("orders", lambda row: str(row.overview.open_orders) if row.overview else "-"),
    Column("balances", lambda row: _age(row.status)),
)


@command(app)
def accounts(cli: Cli) -> None:
    """List the accounts: how each is, and what it has."""
    with cli.daemon() as daemon:
        rows = [Row(each, _overview(daemon, each)) for each in statuses(cli, daemon)]
    data = [{"account": row.id, "status": row.status, "overview": row.overview} for row in rows]
    cli.out.answer({"accounts": data}, table(COLUMNS, rows, "There is no account."))


def _overview(daemon: SyncClient, status: Status) -> AccountOverview | None:
    """What an account has, if it can be asked now."""
    if status.state in AWAY:
        return None
    try:
        return daemon.for_account(short_id(status.account)).accounts.overview()
    except QuarterdeckError:
        return None


def _money(amount: Decimal | None) -> str:
    return "-" if amount is None else figures.money(amount)


def _age(status: Status) -> str:
    age = status.balances_age
    return "not confirmed yet" if age is None else f"confirmed {figures.length(age)} ago"
