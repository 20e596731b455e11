"""Owns what is told of a run when it is over: reckoned from the daemon's events, through the client."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from rich.console import RenderableType

from quarterdeck.cli import figures
from quarterdeck.client import Client, events

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a run. Money is in the settle currency.

    `trades` are the orders that closed a position, a part of it, or turned it; `win_rate` is the part of them that made
    a profit before fees. `max_drawdown` is the deepest of the hourly valuations and the last; a part of the peak.
    """

    trades: int
    orders: int
    fills: int
    refused: Mapping[str, int]
    initial_balance: Decimal
    final_equity: Decimal
    pnl: Decimal
    fees: Decimal
    win_rate: Decimal | None
    max_drawdown: Decimal
    events: int
    candles: int
    seconds: Decimal
    candles_per_second: int


async def summarize(client: Client, candles: int, seconds: float) -> Summary:
    """Look back at everything since the journal began."""
    tally = _Tally()
    async for event in client.events.list(0, types=_Tally.KINDS):
        tally.take(event.body)
    overview = await client.accounts.overview()
    status = await client.system.status()
    wins = sum(each > 0 for each in tally.closed.values())
    trades = len(tally.closed)
    return Summary(
        trades=trades,
        orders=tally.orders,
        fills=tally.fills,
        refused=dict(tally.refused),
        initial_balance=tally.initial,
        final_equity=overview.equity,
        pnl=overview.equity - tally.initial,
        fees=tally.fees,
        win_rate=(Decimal(wins) / trades).quantize(Decimal("0.0001")) if trades else None,
        max_drawdown=max(tally.drawdown, overview.drawdown),
        events=status.head_sequence,
        candles=candles,
        seconds=Decimal(f"{seconds:.3f}"),
        candles_per_second=round(candles / seconds) if seconds else 0,
    )


class _Tally:
    """Counts what the summary needs, event by event."""

    KINDS = (
        events.AccountOpened,
        events.OrderPrepared,
        events.OrderAdopted,
        events.OrderRefused,
        events.OrderFilled,
        events.PortfolioSnapshotTaken,
    )

    def __init__(self) -> None:
        self.orders = self.fills = 0
        self.refused: Counter[str] = Counter()
        self.initial = self.fees = self.drawdown = _ZERO
        self.closed: defaultdict[str, Decimal] = defaultdict(Decimal)
        """What each order that closed something brought, by its name."""

    def take(self, body: events.EventBody) -> None:
        match body:
            case events.AccountOpened(balances=balances, settle=settle):
                self.initial = sum((each.wallet for each in balances if each.currency == settle), _ZERO)
            case events.OrderPrepared() | events.OrderAdopted():
                self.orders += 1
            case events.OrderRefused(rule=rule):
                self.refused[rule] += 1
            case events.OrderFilled(fill=fill, position_quantity=after):
                self.fills += 1
                self.fees += fill.fee
                moved = fill.quantity if fill.side == "BUY" else -fill.quantity
                if (after - moved) * moved < 0:
                    self.closed[fill.order] += fill.realized_pnl
            case events.PortfolioSnapshotTaken(drawdown=drawdown):
                self.drawdown = max(self.drawdown, drawdown)
            case _:
                pass


def shown(summary: Summary) -> dict[str, RenderableType]:
    """The summary, line by line."""
    refused = ", ".join(f"{count:,} by {rule}" for rule, count in summary.refused.items()) or "none"
    return {
        "trades": f"{summary.trades:,}, {figures.percent(summary.win_rate)} of them at a profit before fees",
        "profit": figures.gain(summary.pnl),
        "equity": f"{figures.money(summary.final_equity)} of {figures.money(summary.initial_balance)}",
        "fees": figures.money(summary.fees),
        "max drawdown": figures.percent(summary.max_drawdown),
        "orders": f"{summary.orders:,}, {summary.fills:,} fills",
        "refused": refused,
        "events": f"{summary.events:,} in the journal",
        "candles": f"{summary.candles:,} in {summary.seconds:.1f} s ({summary.candles_per_second:,}/s)",
    }
