"""Owns the one state machine: an input goes in, recorded events and effects come out.

Rule 1: no I/O, no clock, no randomness; time comes in with the input. Rule 2: state changes only by folding the events
that come out. So a history of events rebuilds the state, and the same inputs give the same events.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import assert_never

from quarterdeck.domain.deciders import Strategy
from quarterdeck.domain.errors import AlreadyExists, CallerError
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, FundingRate, Quote, Ticker, Trade
from quarterdeck.domain.report import Acked, Filled, Opened, Report
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine import account, bots, orders
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.ids import LinkIds
from quarterdeck.engine.listing import Refusals, list_instruments
from quarterdeck.engine.market import Market
from quarterdeck.engine.obstacles import Obstacles
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.engine.protection import Gaps, protect
from quarterdeck.engine.reconcile import reconcile
from quarterdeck.engine.reports import apply_report
from quarterdeck.engine.state import BotRecord, State
from quarterdeck.engine.turn import Turn
from quarterdeck.engine.view import View


class Machine:
    """The engine of one account. `ids` mints its link ids; `instruments` are its own, and follow the venue's."""

    def __init__(
        self,
        state: State,
        instruments: dict[str, Instrument],
        deciders: Deciders,
        ids: LinkIds,
    ) -> None:
        self.state = state
        self.instruments = instruments
        self.deciders = deciders
        self.market = Market()
        self.obstacles = Obstacles()
        self.view = View(state, self.market, instruments, self.obstacles)
        self.roster = bots.Roster()
        self.ids = ids
        self.agreement = i.Agreement()
        """What came of the latest look at the venue."""
        self.gaps = Gaps()
        """Positions that lack the stop they should have."""
        self.refusals = Refusals()
        """What the venue refused of late."""
        self._snapshot_due = account.next_snapshot_time(state.snapshot_time) if state.snapshot_time else 0
        self._insist_due = 0

    def step(self, item: i.Input, time: int, request: i.Request = i.NO_REQUEST) -> Turn | None:
        """Take one input; `time` is when it is taken, in nanoseconds.

        Returns None when nothing followed from it, as from most market events, or when the request was handled before:
        `seen` knows where its outcome is.

        Raises:
            CallerError: a command is wrong or not allowed now; nothing was recorded.
            AlreadyExists: the request id was used before for another content.
        """
        if isinstance(item, Candle):
            return self._candle(item, time)
        if isinstance(item, Quote):
            self.market.see(item.symbol, (item.bid + item.ask) / 2)
            return self._tick(time)
        if isinstance(item, Trade):
            self.market.see(item.symbol, item.price)
            return self._tick(time)
        if isinstance(item, Ticker):
            self.market.value(item.symbol, item.mark)
            return self._tick(time)
        if isinstance(item, FundingRate):
            return self._tick(time)
        if request is not i.NO_REQUEST and self.seen(request) is not None:
            return None
        turn = self._turn(time, request)
        if isinstance(item, Report):
            apply_report(turn, item)
            if turn.anomalies:
                self._beware(turn)
            self.refusals.note(turn, self.obstacles)
            if self.gaps.open:
                self.gaps.forget(self.state)
            if self.state.flatten and isinstance(item, Filled):  # it was on its way when everything was to be closed
                orders.flatten_all(turn, self.view)
            if isinstance(item, Acked | Opened):
                account.end_late(turn, item.link_id)
        else:
            self._obey_whole(turn, item)
        return turn if turn.events or turn.effects or turn.anomalies else None

    def seen(self, request: i.Request) -> int | None:
        """Sequence of the outcome of a request that was handled before; None for a new one.

        Raises:
            AlreadyExists: the id was used for another content.
        """
        known = self.state.requests.get(request.request_id) if request.request_id else None
        if known is None:
            return None
        digest, sequence = known
        if digest != request.digest:
            raise AlreadyExists(
                "REQUEST_ID_REUSED",
                f"request {request.request_id} was used before with other content",
                {"sequence": str(sequence)},
            )
        return sequence

    def hindrance(self, link_id: str) -> str:
        """Why an order that was announced may not leave at this very moment; empty if it may."""
        order = self.state.order_by_link(link_id)
        return "" if order is None else orders.hindrance(order, self.view)

    def emptied(self, symbols: Collection[str]) -> Collection[str]:
        """Of these instruments, those in whose books nothing rests that was not asked to end."""
        return orders.emptied(self.state, symbols)

    def attach(self, bot_id: str, strategy: Strategy) -> None:
        """Feed a bot that the journal says is running or paused, after a restart."""
        self.roster.attach(bots.known(self.state, bot_id), strategy)

    # ------------------------------------------------------------ market

    def _candle(self, candle: Candle, time: int) -> Turn | None:
        self.market.see(candle.symbol, candle.close)
        turn: Turn | None = None
        if time >= self._snapshot_due:
            turn = self._tick(time)
        listeners = self.roster.listeners(candle)
        if not listeners:
            return turn
        failed: list[tuple[BotRecord, str]] = []
        for bot, strategy in listeners:
            try:
                wishes = bots.wishes_of(strategy, bot, candle)
            except KeyboardInterrupt:  # somebody's at the terminal, no plugin's
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a strategy raises, only its bot fails
                failed.append((bot, f"{type(error).__name__}: {error}"[:500]))
                continue
            if not wishes:
                continue
            turn = turn or self._turn(time)
            for wish in wishes:
                bots.signal(turn, bot, wish, self.view, self.deciders)
        for bot, failure in failed:
            turn = turn or self._turn(time)
            bots.fail(turn, i.FailBot(bot.spec.bot_id, failure), self.roster)
        return turn

    # ------------------------------------------------------------ commands and notices

    def _obey_whole(self, turn: Turn, item: i.Command | i.Notice) -> None:
        """Obey; what is refused must have recorded nothing."""
        try:
            self._obey(turn, item)
        except CallerError as error:
            if turn.events:
                raise RuntimeError(f"{type(item).__name__} was refused when half of it was recorded") from error
            raise

    def _obey(self, turn: Turn, item: i.Command | i.Notice) -> None:  # noqa: PLR0912 - one line per command
        view, deciders = self.view, self.deciders
        match item:
            case i.Sending():
                orders.announce(turn, item.link_id, view)
            case i.SubmitOrder():
                orders.submit(turn, item, view, deciders)
            case i.CancelOrder():
                orders.cancel(turn, item)
            case i.ResolveOrder():
                orders.resolve(turn, item)
            case i.AmendOrder():
                orders.amend(turn, item, view, deciders)
            case i.CancelAllOrders():
                orders.cancel_all(turn, item)
            case i.ClosePosition():
                orders.close_position(turn, item, view)
            case i.CreateBot():
                bots.create(turn, item, view, self.roster)
            case i.StartBot():
                bots.start(turn, item, self.roster)
            case i.PauseBot():
                bots.pause(turn, item)
            case i.StopBot():
                bots.stop(turn, item, self.roster, view)
            case i.FailBot():
                bots.fail(turn, item, self.roster)
            case i.EngageKillSwitch():
                account.engage(turn, item, view)
            case i.ReleaseKillSwitch():
                account.release(turn, item)
            case i.OpenAccount():
                account.open_account(turn, item)
            case i.StartDaemon():
                turn.emit(e.DaemonStarted(item.version, item.mode, item.plugins, self.ids.epoch))
            case i.StopDaemon():
                turn.emit(e.DaemonStopped(item.reason))
            case i.Disagreement():
                turn.anomalies.append(item.detail)
                self._beware(turn)
            case i.SetObstacle():
                self.obstacles[item.obstacle.name] = item.obstacle
            case i.Reconcile():
                self.agreement = reconcile(turn, item)
                if turn.anomalies:
                    self._beware(turn)
            case i.ListInstruments():
                list_instruments(turn, item, self.instruments)
            case i.ClearObstacle():
                self.obstacles.pop(item.name, None)
            case i.Timer():
                self.obstacles.expire(turn.time)
                self._snapshot_if_due(turn)
                self._insist_if_due(turn)
                if self.state.flatten:
                    orders.flatten_all(turn, view)
                protect(turn, view, self.gaps)
            case _:
                assert_never(item)

    def _beware(self, turn: Turn) -> None:
        """The venue contradicts our records: take no more risk until a person has looked."""
        if self.state.trading_state is TradingState.ACTIVE:
            turn.emit(e.TradingStateChanged(TradingState.REDUCING, turn.anomalies[0], automatic=True))

    # ------------------------------------------------------------ time

    def _tick(self, time: int) -> Turn | None:
        if time < self._snapshot_due or self.state.is_new:
            return None
        turn = self._turn(time)
        self._snapshot_if_due(turn)
        return turn

    def _snapshot_if_due(self, turn: Turn) -> None:
        if turn.time >= self._snapshot_due and not self.state.is_new:
            account.take_snapshot(turn, self.view, self.deciders.sizer)
            self._snapshot_due = account.next_snapshot_time(turn.time)

    def _insist_if_due(self, turn: Turn) -> None:
        if self.state.trading_state is TradingState.HALTED and turn.time >= self._insist_due:
            account.insist(turn)
            self._insist_due = turn.time + account.INSIST_AFTER

    def _turn(self, time: int, request: i.Request = i.NO_REQUEST) -> Turn:
        self.view.at(time)
        return Turn(self.state, self.instruments, time, request, self.ids, self.deciders.venue.immediate)
