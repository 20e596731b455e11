"""Owns `quarterdeck account`."""

from __future__ import annotations

from rich.console import RenderableType

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import Column, Figure, fields, table
from quarterdeck.client import AccountOverview, Balance

app = single()

BALANCES: tuple[Column[Balance], ...] = (
    Column("currency", lambda each: each.currency),
    Figure("wallet", lambda each: figures.number(each.wallet)),
    Column("confirmed", lambda each: f"{figures.moment(each.confirm_time)} UTC" if each.confirm_time else "not yet"),
)


@command(app)
def account(cli: Cli) -> None:
    """Show balances, equity, risk and counts."""
    with cli.daemon() as daemon:
        overview = daemon.accounts.overview()
    cli.out.answer(overview, fields(_shown(overview)))


def _shown(overview: AccountOverview) -> dict[str, RenderableType]:
    settle, largest = overview.account.settle, overview.max_position_notional
    return {
        "account": f"{overview.account.id} ({figures.word(overview.account.mode)})",
        "trading": figures.trading_state(overview.trading_state),
        "equity": f"{figures.money(overview.equity)} {settle}",
        "wallet": f"{figures.money(overview.wallet_balance)} {settle}",
        "unrealized": figures.gain(overview.unrealized_pnl),
        "realized today": figures.gain(overview.realized_pnl_today),
        "drawdown": f"{figures.percent(overview.drawdown)} from {figures.money(overview.peak_equity)}",
        "risk per trade": (
            f"{figures.share(overview.risk_ratio)} ({overview.tier}), "
            f"at most {figures.money(overview.max_risk_amount)} {settle}"
        ),
        "largest position": "no limit" if largest is None else f"{figures.money(largest)} {settle}",
        "open": ", ".join(
            (figures.count(overview.open_positions, "position"), figures.count(overview.open_orders, "order"))
        ),
        "balances": table(BALANCES, overview.balances, empty="none"),
    }
