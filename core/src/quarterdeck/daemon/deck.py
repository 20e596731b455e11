"""Owns the daemon as the gRPC skin sees it. Implements `rpc.facade.Deck`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from pathlib import Path

from quarterdeck.daemon.bots import check_spec, warm_strategy
from quarterdeck.daemon.clock import Clock
from quarterdeck.daemon.config import Config
from quarterdeck.daemon.doctor import Doctor
from quarterdeck.daemon.event_log import EventLog
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.feed_link import FeedLink
from quarterdeck.daemon.journal import Fenced, Journal
from quarterdeck.daemon.keeper import History, Keeper
from quarterdeck.daemon.loop import Loop
from quarterdeck.daemon.market_data import MarketData
from quarterdeck.daemon.market_watch import MarketWatch
from quarterdeck.daemon.parts import Parts
from quarterdeck.daemon.pulse import STUCK_AFTER, Pulse
from quarterdeck.daemon.reconcile import Reconciler
from quarterdeck.domain.bot import BotState
from quarterdeck.domain.errors import AlreadyExists, RefusedByState, Unavailable
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import SECOND
from quarterdeck.domain.risk import LimitStatus, TradingState
from quarterdeck.domain.sizing import RiskRatio
from quarterdeck.engine.bots import known
from quarterdeck.engine.checks import Finding, Verdict, unknown_ids, unprotected
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.inputs import (
    CancelAllOrders,
    CancelOrder,
    ClosePosition,
    Command,
    CreateBot,
    EngageKillSwitch,
    Request,
    ResolveOrder,
    StartBot,
    SubmitOrder,
)
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.obstacles import JOURNAL, STARTING, SYNCING, Obstacle
from quarterdeck.engine.pipeline import Evaluation, core_limits, evaluate
from quarterdeck.engine.state import REQUESTS_KEPT, State
from quarterdeck.engine.view import View
from quarterdeck.plugin.exchange import Remarking
from quarterdeck.rpc.convert.envelope import decode
from quarterdeck.rpc.facade import DaemonState, DaemonStatus, PluginInfo, Reconciled

#: Unknown orders named in the status.
NAMED = 20

#: What can be asked once the venue is reached, though the start goes on: it takes risk off.
_TAKING_OFF = (CancelOrder, CancelAllOrders, ClosePosition, ResolveOrder)


class Phase(StrEnum):
    """Where the daemon is in its life."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    """Its end is recorded: nothing may follow."""


def _no_lease() -> None:
    return None


@dataclass(slots=True)
class DaemonDeck:
    """One account and its journal, for callers. It takes commands while it is running; the kill switch always."""

    config: Config
    version: str
    parts: Parts
    machine: Machine
    loop: Loop
    events: EventLog
    market_data: MarketData
    history: History
    feed_link: FeedLink
    market_watch: MarketWatch
    clock: Clock
    journal: Journal
    keeper: Keeper
    pulse: Pulse
    doctor: Doctor
    reconciler: Reconciler
    start_time: int = field(default_factory=time.time_ns)
    phase: Phase = Phase.STARTING
    is_connected: bool = False
    """Whether the venue has been reached."""
    heard_at: float | None = None
    """Event loop's time of the venue's latest word."""
    unclean_start: bool = False
    """Whether the daemon before this one ended without recording it."""
    journal_trouble: Callable[[], str] = str
    """Why the journal's database is waited for; empty if it is not."""
    lease_remaining: Callable[[], float | None] = _no_lease
    """Seconds for which orders may be sent without the lease being renewed; None without one that runs out."""
    damage: Sequence[str] = ()
    """What is wrong with the journal. If anything is, it is only shown as far as it is intact."""

    @property
    def account_id(self) -> str:
        """The account's id."""
        return self.config.account.id

    @property
    def journal_id(self) -> str:
        """Names the journal among all."""
        return str(self.journal.journal_id)

    @property
    def state(self) -> State:
        """The account. To be read when settled."""
        return self.machine.state

    @property
    def view(self) -> View:
        """The account valued at the latest marks. To be read when settled."""
        return self.machine.view

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """What can be traded, by id."""
        return self.machine.instruments

    @property
    def confirmed(self) -> Mapping[str, int]:
        """When the venue last said of a currency's balance what the journal says."""
        return self.reconciler.confirmed

    @property
    def is_settled(self) -> bool:
        """Whether everything in memory is durable."""
        return self.loop.is_settled

    async def settled(self) -> int:
        """Wait until everything in memory is durable, and return its sequence."""
        return await self.loop.settled()

    # ------------------------------------------------------------ commands

    async def submit(self, command: Command, request: Request) -> Recorded | None:
        """Have a command carried out; returns its first event once that is durable, None if there was none.

        Raises:
            QuarterdeckError: nothing was recorded.
        """
        self._check_ready(command)
        if isinstance(command, CreateBot):
            check_spec(command.spec, self.parts.plugins, self.parts.feed, self.instruments)
        elif isinstance(command, SubmitOrder) and len(self.state.requests) >= REQUESTS_KEPT:
            await self._check_order_id(command.order_id, request)
        return await self._ask(command, request)

    async def start_bot(self, bot_id: str, request: Request) -> Recorded | None:
        """Build and warm up a bot's strategy if it has none, and run it."""
        command = StartBot(bot_id, None)
        self._check_ready(command)
        bot = known(self.state, bot_id)
        if bot_id not in self.machine.roster and bot.state is not BotState.RUNNING:
            spec, now = bot.spec, self.clock.now()
            command = StartBot(bot_id, warm_strategy(spec, self.parts.plugins, self.parts.feed, now))
        return await self._ask(command, request)

    async def _ask(self, command: Command, request: Request) -> Recorded | None:
        kills = isinstance(command, EngageKillSwitch)
        if kills:
            failpoint("kill.before")
        answer = await self.loop.ask(command, request)
        if kills:
            failpoint("kill.latched")
        if not isinstance(answer, int):
            return answer
        entries = await self.events.read(answer - 1, 1)
        if not entries or entries[0].sequence != answer:
            text = f"request {request.request_id} was carried out at {answer}, which the journal does not keep any more"
            raise AlreadyExists("REQUEST_ID_REUSED", text, {"sequence": str(answer)})
        return decode(entries[0].body)

    async def _check_order_id(self, order_id: str, request: Request) -> None:
        """Once requests are forgotten, an order's own id tells whether this is a late repetition."""
        is_new = self.machine.seen(request) is None and self.state.order(order_id) is None
        if is_new and await self.history.has_order(order_id):
            raise AlreadyExists("ORDER_ID_TAKEN", f"order {order_id!r} exists", {"name": order_id})

    def _check_ready(self, command: Command) -> None:
        if self.damage:
            raise RefusedByState("JOURNAL_DAMAGED", self.damage[0], {"headSequence": str(self.events.head)})
        if self.loop.broken.done():
            raise Unavailable("NOT_READY", "the journal failed; the daemon is stopping", {"state": "STOPPING"})
        if self.phase is Phase.RUNNING or (self.phase is not Phase.STOPPED and isinstance(command, EngageKillSwitch)):
            return
        if self.phase is not Phase.STARTING:
            raise Unavailable("NOT_READY", "the daemon is stopping; ask again when it is back", {"state": "STOPPING"})
        hindrance = self.machine.obstacles.get(STARTING)
        if hindrance is not None and self.is_connected and isinstance(command, _TAKING_OFF):
            return
        what = "agreeing with the venue; try again in a moment" if hindrance is None else hindrance.detail
        raise Unavailable("NOT_READY", f"the daemon is still starting: {what}", {"state": self._state()})

    # ------------------------------------------------------------ questions

    def evaluate(self, order: SubmitOrder, basis: Decimal | None = None) -> Evaluation:
        """What would become of an order, without making it."""
        return evaluate(order, self.view.at(self.clock.now()), self.machine.deciders, basis)

    def risk_ratio(self, basis: Decimal) -> RiskRatio:
        """The part of `basis` one new trade may lose.

        Raises:
            RefusedByState: the sizer fails.
        """
        try:
            return self.machine.deciders.sizer.risk_ratio(basis)
        except Exception as error:
            raise RefusedByState("SIZING_REFUSED", f"the sizer has no ratio for {basis}: {error}") from error

    def limits(self) -> Sequence[LimitStatus]:
        """Every limit of every rule, the core's own included. A rule that can't list its limits is left out."""
        view, deciders = self.view.at(self.clock.now()), self.machine.deciders
        listed = list(core_limits(view, deciders.limits))
        for rule in deciders.rules:
            try:
                listed += rule.limits(view)
            except Exception:  # noqa: BLE001 - what a plugin can't show keeps nobody from seeing the rest
                listed.append(LimitStatus(rule.name, "failed to list its limits", Decimal(0), None))
        return listed

    def status(self) -> DaemonStatus:
        """How the daemon is."""
        now = asyncio.get_running_loop().time()
        heard = self.feed_link.last_event_at if self.heard_at is None else self.heard_at
        unknown = sum(each.unknown for each in self.state.exposures.values())
        sizes = [_size(path) for path in self.journal.files[:2]] or [0, 0]
        remaining = self.lease_remaining()
        return DaemonStatus(
            mode=self.config.mode,
            state=self._state(),
            reasons=self._reasons(),
            version=self.version,
            start_time=self.start_time,
            current_time=self.clock.now(),
            exchange=self.config.exchange.plugin,
            feed=self.config.feed.plugin,
            market_data_age=_age(self.feed_link.last_event_at, now),
            exchange_age=_age(heard, now),
            reconcile_age=_age(self.reconciler.agreed_at, now),
            unknown_order_count=unknown,
            unknown_orders=list(islice(unknown_ids(self.state), NAMED)) if unknown else (),
            unprotected_positions=list(unprotected(self.state)),
            loop_lag=int(self.pulse.worst_lag * SECOND),
            queue_depth=self.loop.waiting,
            journal_bytes=sizes[0],
            wal_bytes=sizes[1],
            lease_remaining=None if remaining is None else int(remaining * SECOND),
            head_hash=self.journal.chain_head.hash.hex(),
            kept_sequence=self.keeper.kept_sequence,
            kept_age=_age(self.keeper.kept_at, now),
            unclean_start=self.unclean_start,
            stale_instruments=list(self.market_watch.health.stale),
            quarantined_count=sum(self.market_watch.health.quarantined.values()),
            settle=self.config.account.settle,
            journal_id=self.journal_id,
            head=self.events.head,
            balances_age=self._balances_age(),
            exchange_remarks=self.parts.exchange.remarks() if isinstance(self.parts.exchange, Remarking) else (),
        )

    def _balances_age(self) -> int | None:
        """How old the oldest confirmation of a balance is; None if one was never confirmed."""
        times = [self.confirmed.get(currency) for currency in self.state.ledger.totals]
        known = [time for time in times if time is not None]
        return self.clock.now() - min(known) if known and len(known) == len(times) else None

    async def diagnose(self, *, full: bool) -> Sequence[Finding]:
        """What its checks find, now."""
        found = await self.doctor.examine(full=full, is_connected=self.is_connected, damage=self.damage)
        state, why = self._state(), "; ".join(self._reasons())
        verdict = Verdict.OK if state is DaemonState.READY else Verdict.WARNING
        well = Finding("state", ("I22",), verdict, f"{state}: {why}"[:500] if why else str(state))
        return [well, _lease(self.lease_remaining()), self.market_watch.finding(), *found]

    async def reconcile(self) -> Reconciled:
        """Compare the journal with the venue now, and bring it to where the venue is.

        Raises:
            Unavailable: the venue can't be asked; nothing changed.
        """
        if not self.is_connected or self.phase is Phase.STOPPED or self.loop.broken.done():
            raise Unavailable("NOT_READY", "the venue is not connected", {"state": self._state()})
        try:
            return await self.reconciler.run()
        except Exception as error:
            why = f"the venue can't be asked: {type(error).__name__}: {error}"[:300]
            raise Unavailable("EXCHANGE_UNAVAILABLE", why, {"exchange": self.config.exchange.plugin}) from error

    def _state(self) -> DaemonState:
        if self.loop.broken.done() and _is_fenced(self.loop.broken.result()):
            return DaemonState.FENCED
        if self.damage:
            return DaemonState.SAFE
        if self.state.trading_state is TradingState.HALTED:
            return DaemonState.KILLED
        if self.journal_trouble() or not self.pulse.is_alive:
            return DaemonState.SAFE
        obstacles = self.machine.obstacles
        if SYNCING in obstacles or (self.phase is Phase.STARTING and STARTING not in obstacles):
            return DaemonState.SYNCING
        is_fine = self.phase is Phase.RUNNING and not obstacles and self.state.trading_state is TradingState.ACTIVE
        return DaemonState.READY if is_fine else DaemonState.SAFE

    def _reasons(self) -> list[str]:
        reasons = list(self.damage)
        reasons += [] if self.state.trading_state is TradingState.ACTIVE else [self.state.trading_reason]
        obstacles = dict(self.machine.obstacles)
        if trouble := self.journal_trouble():  # the machine hears of it when the commit that waits has ended
            obstacles[JOURNAL] = Obstacle(JOURNAL, trouble)
        reasons += [str(obstacle) for obstacle in obstacles.values()]
        reasons += [] if self.pulse.is_alive else [f"a commit has been under way for {STUCK_AFTER:g} s"]
        return reasons + [one for one in self.loop.anomalies if one not in reasons]

    def plugins(self) -> Sequence[PluginInfo]:
        """What the loaded plugins offer; those that are configured or run a bot are enabled."""
        used = {(one.kind.noun, one.name) for one in self.parts.used}
        used |= {("strategy", bot.spec.strategy) for bot in self.state.bots.values()}
        return [
            PluginInfo(
                one.kind.noun.removesuffix(" rule"),
                one.name,
                one.distribution,
                one.version,
                one.summary,
                (one.kind.noun, one.name) in used,
            )
            for one in self.parts.plugins.all()
        ]


def _lease(remaining: float | None) -> Finding:
    """One daemon leads: as long as this one proves it, nobody else can have begun to send."""
    if remaining is None:
        return Finding("lease", ("I12",), Verdict.NOT_APPLICABLE, "there is none")
    if remaining <= 0:
        return Finding("lease", ("I12",), Verdict.WARNING, "not proved in time: nothing is sent until it is")
    return Finding("lease", ("I12",), Verdict.OK, f"holds for {remaining:.1f} s without another proof")


def _age(then: float | None, now: float) -> int | None:
    return None if then is None else int((now - then) * SECOND)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _is_fenced(failure: BaseException) -> bool:
    return isinstance(failure, Fenced) or isinstance(failure.__cause__, Fenced)
