"""Owns a daemon without its network: engine, loop, journal on the disk, tables and the deck, for tests."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from core.tests.daemon import plugin
from core.tests.daemon.conftest import candle
from core.tests.engine.desk import IDS, INSTRUMENTS, MORNING
from quarterdeck.daemon.clock import ReplayClock
from quarterdeck.daemon.config import Config
from quarterdeck.daemon.deck import DaemonDeck
from quarterdeck.daemon.doctor import Doctor
from quarterdeck.daemon.event_log import EventLog
from quarterdeck.daemon.feed_link import FeedLink
from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.keeper import History, Keeper
from quarterdeck.daemon.loop import Loop
from quarterdeck.daemon.market_data import MarketData
from quarterdeck.daemon.market_watch import MarketWatch
from quarterdeck.daemon.order_link import OrderLink
from quarterdeck.daemon.parts import Parts
from quarterdeck.daemon.pulse import Pulse
from quarterdeck.daemon.reconcile import Reconciler
from quarterdeck.daemon.records import Records
from quarterdeck.daemon.resolver import Resolver
from quarterdeck.daemon.stop_waits import StopWaits
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.engine.inputs import OpenAccount
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.plugin import loader


class Ship:
    """As `app.Daemon` puts it together, with a venue that answers what the test gave it."""

    def __init__(self, folder: Path, deciders: Deciders) -> None:
        use_money_context()
        self.journal = Journal.open(f"sqlite:///{folder / 'journal.db'}", "main", sync=False)
        self.keeper = Keeper(self.journal)
        self.state = self.keeper.load()
        self.clock = ReplayClock(MORNING)
        self.log = EventLog(self.journal)
        machine = Machine(self.state, dict(INSTRUMENTS), deciders, IDS)
        self.loop = Loop(machine, Records(self.journal, self.log, "main"), self.clock)
        self.venue = plugin.Embedded()
        link = OrderLink(self.venue, self.loop, self.clock, lambda _: None)
        self.loop.connect(link.act, [lambda events: self.keeper.note(self.state, events)])
        pulse = Pulse(self.loop, lambda: self.journal.head)
        self.drift = 0
        feed, market = plugin.Minutes(), MarketData()
        self.history = History(self.journal, self.keeper, self.loop, self.state)
        self.deck = DaemonDeck(
            config=Config(),
            version="1",
            parts=Parts(loader.load(modules=[plugin], only=[]), self.venue, feed, deciders, ()),
            machine=machine,
            loop=self.loop,
            events=self.log,
            market_data=market,
            history=self.history,
            feed_link=FeedLink(feed, self.venue, self.loop, self.clock, market),
            market_watch=MarketWatch(feed, self.loop, machine.obstacles),
            clock=self.clock,
            journal=self.journal,
            keeper=self.keeper,
            pulse=pulse,
            reconciler=Reconciler(
                machine, self.venue, self.loop, self.clock, Resolver(self.state, self.venue, self.loop, self.clock)
            ),
            doctor=Doctor(
                machine,
                self.loop,
                self.journal,
                self.keeper,
                pulse,
                self.venue,
                self.clock,
                StopWaits(self.state),
                lambda: self.drift,
            ),
        )

    async def open(self) -> Ship:
        """Open the account, if it is new, and show it a price of 50 000."""
        if self.state.is_new:
            await self.loop.ask(OpenAccount("paper", "USDT", (("USDT", Decimal(10_000)),)))
        self.loop.take(candle(50_000.0))
        await self.loop.idle()
        return self
