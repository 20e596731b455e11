"""Owns what `watch` and `demo` show of a daemon: one frame of everything, and how it is drawn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from quarterdeck.cli import bot, figures, positions
from quarterdeck.cli.event_text import line
from quarterdeck.cli.events import as_json
from quarterdeck.cli.output import table
from quarterdeck.cli.status import STYLES
from quarterdeck.client import AccountOverview, Bot, Client, Event, Order, Position, Replica, Status, Unavailable

LATEST = 50
"""Events remembered."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything at one moment. Profit and risk are as of the last price, orders and events as of the last event.

    While the daemon is away the last frame stays, not `connected`.
    """

    connected: bool
    status: Status
    overview: AccountOverview
    positions: tuple[Position, ...]
    bots: tuple[Bot, ...]
    orders: tuple[Order, ...]
    events: tuple[Event, ...]

    def as_json(self) -> Mapping[str, Any]:
        """The frame for programs."""
        return {
            "connected": self.connected,
            "status": self.status,
            "overview": self.overview,
            "positions": self.positions,
            "orders": self.orders,
            "bots": self.bots,
            "events": [as_json(event) for event in self.events],
        }


class Look:
    """Looks at a daemon again and again. What happens in between is not missed: the replica tells of every event."""

    def __init__(self, client: Client, replica: Replica) -> None:
        self._client = client
        self._replica = replica
        self._events: deque[Event] = deque(maxlen=LATEST)
        self._last: Frame | None = None
        replica.on_event(lambda event, _: self._events.append(event))

    async def remember(self) -> None:
        """Begin with what happened last."""
        head = self._replica.state.sequence
        for event in await self._client.events.list(max(0, head - LATEST)):
            if event.sequence <= head:
                self._events.append(event)

    async def frame(self) -> Frame:
        """How everything is now, or was when the daemon was heard last.

        Raises:
            Unavailable: it was never heard.
        """
        try:
            self._last = await self._ask()
        except Unavailable:
            if self._last is None:
                raise
            self._last = replace(self._last, connected=False)
        return self._last

    async def _ask(self) -> Frame:
        client = self._client
        status, overview, held, bots = await asyncio.gather(
            client.system.status(), client.accounts.overview(), client.positions.list(), client.bots.list()
        )
        orders = tuple(self._replica.state.orders.values())
        return Frame(True, status, overview, tuple(held), tuple(bots), orders, tuple(self._events))


def drawn(frame: Frame, height: int, footer: str = "") -> RenderableType:
    """A frame for a terminal of that many lines."""
    parts: list[RenderableType] = [
        _heading(frame),
        _money(frame.overview),
        _risk(frame.overview),
        "",
        table(positions.BRIEF, frame.positions, Text(positions.NONE, style="dim")),
        "",
        table(bot.BRIEF, frame.bots, Text("There is no bot.", style="dim")),
        "",
    ]
    used = 9 + max(1, len(frame.positions)) + max(1, len(frame.bots)) + bool(footer) * 2
    for event in frame.events[-max(3, height - used) :]:
        text = line(event)
        text.no_wrap, text.overflow = True, "ellipsis"
        parts.append(text)
    if footer:
        parts += ["", Text(footer, style="dim")]
    return Group(*parts)


def in_a_line(frame: Frame) -> str:
    """A frame where nothing can be drawn."""
    overview, status = frame.overview, frame.status
    held = ", ".join(f"{figures.number(each.quantity)} {each.id}" for each in frame.positions) or "flat"
    return (
        f"{figures.moment(status.current_time)}  {figures.word(status.state) if frame.connected else 'not connected'}  "
        f"equity {figures.money(overview.equity)} {overview.account.settle}  "
        f"unrealized {overview.unrealized_pnl:+,.2f}  {held}  "
        f"trades {sum(each.trades for each in frame.bots):,}  drawdown {figures.percent(overview.drawdown)}  "
        f"risk {figures.share(overview.risk_ratio)}  events {status.head_sequence:,}"
    )


def _heading(frame: Frame) -> Text:
    status = frame.status
    reasons = f" ({'; '.join(status.reasons)})" if status.reasons else ""
    away = Text.assemble("  ", (" NOT CONNECTED ", "bold reverse red"))
    return Text.assemble(
        ("Quarterdeck ", "bold"),
        (f" {figures.word(status.mode).upper()} ", "bold reverse"),
        (f"  {figures.word(status.state)}{reasons}", STYLES.get(status.state, "red")),
        (f"  {figures.moment(status.current_time)} UTC", ""),
        (f"  {status.exchange} + {status.feed}  journal at {status.head_sequence:,}", "dim"),
        "" if frame.connected else away,
        no_wrap=True,
        overflow="ellipsis",
    )


def _money(overview: AccountOverview) -> Text:
    return Text.assemble(
        ("equity ", "dim"),
        (f"{figures.money(overview.equity)} {overview.account.settle}", "bold"),
        ("   unrealized ", "dim"),
        figures.gain(overview.unrealized_pnl),
        ("   realized today ", "dim"),
        figures.gain(overview.realized_pnl_today),
        ("   drawdown ", "dim"),
        figures.percent(overview.drawdown),
        no_wrap=True,
        overflow="ellipsis",
    )


def _risk(overview: AccountOverview) -> Text:
    return Text.assemble(
        ("risk per trade ", "dim"),
        (f"{figures.share(overview.risk_ratio)} ({overview.tier})", "bold"),
        (f" = {figures.money(overview.max_risk_amount)} {overview.account.settle}   trading ", "dim"),
        figures.trading_state(overview.trading_state),
        ("   open ", "dim"),
        f"{figures.count(overview.open_positions, 'position')}, {figures.count(overview.open_orders, 'order')}",
        no_wrap=True,
        overflow="ellipsis",
    )
