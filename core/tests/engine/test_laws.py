"""The laws of the engine: what is so whatever a trader, a market and a venue on a bad line do."""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.tests.engine.deciders import RatioSizer, Rule, Script
from core.tests.engine.desk import Desk, d, order
from core.tests.engine.venue import Venue
from quarterdeck.domain import report as r
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.errors import CallerError
from quarterdeck.domain.market import HOUR, SECOND, Side
from quarterdeck.domain.order import CLOSED_STATES, TRANSITIONS, OrderRole, OrderState, OrderType
from quarterdeck.domain.risk import TradingState
from quarterdeck.domain.signal import Action, Signal
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.checks import Verdict, check_state
from quarterdeck.engine.effects import AmendAtVenue, CancelAtVenue, QueueOrder, SendOrder
from quarterdeck.engine.fold import fold, rebuild_indexes
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.engine.state import State

SYMBOLS = st.sampled_from(["btcusdt", "btcusdt", "btcusdt-spot"])
BOTS = st.sampled_from(["a", "b"])
OWNERS = st.sampled_from(["", "a", "b"])
LOTS = st.integers(1, 200).map(lambda lots: lots * d("0.001"))
PRICES = st.integers(45_000, 55_000).map(lambda ticks: ticks + d("0.5"))
NUMBERS = st.integers(0, 10**6)
RARELY = st.integers(0, 7).map(lambda number: number == 7)
OUTCOMES = st.sampled_from(["taken"] * 8 + ["answer lost", "lost", "rejected", "never left"])


class Laws(RuleBasedStateMachine):
    """What may happen to an account, and what is so whatever happened."""

    @initialize(immediate=st.booleans())
    def open(self, immediate: bool) -> None:
        use_money_context()
        self.desk = Desk(Deciders(RatioSizer(), rules=[Rule()], venue=Capabilities(immediate=immediate)))
        self.venue = Venue()
        self.scripts: dict[str, Script] = {}
        self.requests: dict[str, tuple[i.Command, i.Request]] = {}
        self.sent: set[str] = set()
        self.snapshots: list[State] = []
        self.history: dict[str, list[OrderState]] = defaultdict(list)
        self.deposits = Decimal(0)
        for bot in ("a", "b"):
            self.scripts[bot] = self.desk.bot(bot)

    # ------------------------------------------------------------ what may happen
    # Few rules with a choice in each: they are drawn alike often, and most draws should lead to a trade.

    def ask(self, command: i.Command) -> None:
        """A caller's command; whatever is refused leaves no trace."""
        request = i.Request(f"r{len(self.requests)}", repr(command))
        before = self.desk.state.sequence
        try:
            self.desk.take(command, request)
        except CallerError:
            assert self.desk.state.sequence == before
        else:
            self.requests[request.request_id] = (command, request)

    def pick(self, number: int) -> str:
        """One of the orders in memory, the latest for the smallest numbers."""
        known = ["none", *self.desk.state.closed_orders, *self.desk.state.open_orders]
        return known[-1 - number % len(known)]

    @rule(symbol=SYMBOLS, against=RARELY, lots=LOTS, owner=OWNERS, price=PRICES, protected=st.booleans(), halted=RARELY)
    def enter(
        self, symbol: str, against: bool, lots: Decimal, owner: str, price: Decimal, protected: bool, halted: bool
    ) -> None:
        if not halted:
            self.ask(i.ReleaseKillSwitch("go on"))
        view = self.desk.machine.view
        is_long = view.position_quantity(symbol) >= 0 and view.pending_quantity(symbol) >= 0
        side = Side.BUY if is_long is not against else Side.SELL
        away = side.sign * d(1_000)
        terms: dict[str, Any] = {"stop_loss": price - away, "take_profit": price + away} if protected else {}
        self.ask(
            order(str(lots), side, symbol=symbol, bot_id=owner, type=OrderType.LIMIT, limit_price=price, **terms),
        )
        self.flow(price)

    @rule(bot=BOTS, action=st.sampled_from(Action), price=PRICES, away=st.integers(-50, 1_000))
    def signal(self, bot: str, action: Action, price: Decimal, away: int) -> None:
        stop = float(price) - action.side.sign * away
        self.desk.wish(self.scripts[bot], Signal(action, stop=stop), price=float(price))
        self.flow(price)

    @rule(verb=st.sampled_from(["cancel", "amend", "leave", "close", "all"]), number=NUMBERS, lots=LOTS, owner=OWNERS)
    def manage(self, verb: str, number: int, lots: Decimal, owner: str) -> None:
        match verb:
            case "cancel":
                self.ask(i.CancelOrder(self.pick(number)))
            case "amend":
                price = 45_000 + d(number % 10_000)
                order_id = self.pick(number)
                self.ask(i.AmendOrder(order_id, lots, price) if number % 2 else i.AmendOrder(order_id, lots))
            case "leave":
                side = Side.SELL if self.desk.machine.view.share_quantity("btcusdt", owner) > 0 else Side.BUY
                self.ask(order(str(lots), side, bot_id=owner, reduce_only=True))
            case "close":
                self.ask(i.ClosePosition("btcusdt", owner))
            case _:
                self.ask(i.CancelAllOrders(bot_id=owner))
        self.flow(number)

    @rule(verb=st.sampled_from(["pause", "stop", "flatten", "fail", "halt", "halt and flatten"]), bot=BOTS)
    def intervene(self, verb: str, bot: str) -> None:
        match verb:
            case "pause":
                self.ask(i.PauseBot(bot))
            case "fail":
                self.desk.take(i.FailBot(bot, "made to"))
            case "stop" | "flatten":
                self.ask(i.StopBot(bot, flatten=verb == "flatten"))
            case _:
                self.ask(i.EngageKillSwitch("enough", flatten=verb != "halt"))

    @rule(bot=BOTS)
    def start(self, bot: str) -> None:
        self.ask(i.StartBot(bot, self.scripts[bot]))

    @rule(verb=st.sampled_from(["hours", "transfer", "funding", "remember"]), number=st.integers(-30, 30))
    def pass_time(self, verb: str, number: int) -> None:
        now = self.desk.now
        match verb:
            case "hours":
                self.desk.now += abs(number) * HOUR
                self.desk.take(i.Timer.TICK)
            case "transfer":
                self.deposits += 0 if f"c{number}" in self.desk.state.change_ids else number
                self.desk.take(r.BalanceChanged(f"c{number}", "USDT", d(number), "transfer", now))
            case "funding":
                self.desk.take(r.FundingSettled(f"f{number}", "btcusdt", d(number), d("0.0001"), d(1), now))
            case _:
                self.snapshots.append(deepcopy(self.desk.state))

    @precondition(lambda self: self.requests)
    @rule(number=NUMBERS)
    def retry(self, number: int) -> None:
        """The same request id twice adds no event."""
        command, request = list(self.requests.values())[number % len(self.requests)]
        if self.desk.machine.seen(request) is not None:
            before = deepcopy(self.desk.state)
            assert self.desk.take(command, request) == []
            assert self.desk.state == before

    # ------------------------------------------------------------ the line to the venue

    def flow(self, number: Decimal | int) -> None:
        """On a good line, as it is for half of the numbers: all effects go out and all answers come in."""
        while number % 4 >= 2 and (self.desk.effects or self.venue.wire):
            self.act([0] * len(self.desk.effects), "taken")
            self.deliver_all()

    @precondition(lambda self: self.desk.effects)
    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=6), how=OUTCOMES)
    def act(self, numbers: list[int], how: str) -> None:
        """Effects go out, not always the oldest first."""
        effects, now = self.desk.effects, self.desk.now
        for number in numbers:
            if not effects:
                return
            match effects.pop(number % len(effects)):
                case QueueOrder(link_id):
                    self.desk.take(i.Sending(link_id))
                case SendOrder(link_id) as send:
                    assert link_id not in self.sent
                    self.sent.add(link_id)
                    self.venue.place(send, how, now)
                case CancelAtVenue() as wish:
                    self.venue.cancel(wish, now)
                case AmendAtVenue() as change:
                    self.venue.amend(change, now)

    @precondition(lambda self: self.venue.working())
    @rule(number=NUMBERS, lots=LOTS, price=PRICES, expires=RARELY)
    def trade(self, number: int, lots: Decimal, price: Decimal, expires: bool) -> None:
        working = self.venue.working()
        link = working[number % len(working)]
        if expires:
            self.venue.expire(link, self.desk.now)
        else:
            self.venue.trade(link, lots, price, self.desk.now)
        self.flow(number)

    @precondition(lambda self: self.venue.working())
    @rule(number=NUMBERS, seconds=st.integers(1, 6))
    def lose(self, number: int, seconds: int) -> None:
        """The venue ends an order by itself, and seconds pass: what it protected may be protected anew, or closed."""
        working = self.venue.working()
        self.venue.lose(working[number % len(working)], self.desk.now)
        for _ in range(seconds):
            self.desk.now += SECOND
            self.desk.take(i.Timer.TICK)
        self.flow(number)

    @precondition(lambda self: self.venue.wire)
    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=4), again=RARELY)
    def deliver(self, numbers: list[int], again: bool) -> None:
        """Reports that are under way arrive in any order, and may arrive again."""
        wire = self.venue.wire
        for number in numbers:
            if wire:
                index = number % len(wire)
                self.desk.take(wire[index] if again else wire.pop(index))

    @precondition(lambda self: self.venue.wire)
    @rule()
    def deliver_all(self) -> None:
        for report in self.venue.wire:
            self.desk.take(report)
        self.venue.wire.clear()

    # ------------------------------------------------------------ what is always so

    @invariant()
    def the_laws_hold(self) -> None:
        self.orders_move_as_the_table_says()
        self.nothing_is_filled_beyond_its_quantity_unseen()
        self.shares_add_up_to_positions()
        self.money_is_conserved()
        self.indexes_are_what_the_orders_say()
        self.the_sequence_has_no_gap_and_ids_are_unique()
        self.no_entry_leaves_while_trading_is_not_active()
        self.nothing_fails_the_checks_of_a_running_daemon()
        self.no_stop_is_wanted_for_more_than_is_held()

    def no_stop_is_wanted_for_more_than_is_held(self) -> None:
        state = self.desk.state
        for symbol, owners in state.stops.items():
            for owner, wanted in owners.items():
                assert wanted
                assert 0 < min(wanted.values()) <= sum(wanted.values()) <= abs(state.share(symbol, owner).quantity)

    def money_is_conserved(self) -> None:
        state = self.desk.state
        for currency in state.ledger.totals:
            assert state.ledger.balance(currency) == 0
        assert state.realized_pnl == sum((each.realized_pnl for each in state.positions.values()), Decimal(0))
        assert state.fees == sum((each.fees for each in state.positions.values()), Decimal(0))
        spot = sum(
            (f.side.sign * f.quantity * f.price for f in self.desk.events(e.OrderFilled) if f.symbol == "btcusdt-spot"),
            Decimal(0),
        )
        realized = state.positions["btcusdt"].realized_pnl if "btcusdt" in state.positions else 0
        assert state.wallet == 10_000 + self.deposits + realized - state.fees + state.funding - spot

    def shares_add_up_to_positions(self) -> None:
        state = self.desk.state
        for symbol, position in state.positions.items():
            shares = state.shares[symbol].values()
            assert sum((share.quantity for share in shares), Decimal(0)) == position.quantity
            assert sum((share.fees for share in shares), Decimal(0)) == position.fees
            paid = sum((share.cost - share.realized_pnl for share in shares), Decimal(0))
            assert paid == position.cost - position.realized_pnl

    def orders_move_as_the_table_says(self) -> None:
        state = self.desk.state
        for placed in (*state.open_orders.values(), *state.closed_orders.values()):
            assert (placed.state in CLOSED_STATES) == (placed.order_id in state.closed_orders)
            past = self.history[placed.order_id]
            if not past or past[-1] is not placed.state:
                past.append(placed.state)
            ends = [each for each in past if each in CLOSED_STATES]
            assert past[-len(ends) :] == ends or not ends, past  # what has ended never works again
            assert len(ends) <= 1 or (len(ends) == 2 and ends[1] is OrderState.FILLED), past
            assert not ends or set(TRANSITIONS[ends[-1]]) <= CLOSED_STATES

    def nothing_is_filled_beyond_its_quantity_unseen(self) -> None:
        state = self.desk.state
        for placed in (*state.open_orders.values(), *state.closed_orders.values()):
            if placed.filled_quantity > placed.terms.quantity:
                assert any(placed.order_id in anomaly for anomaly in self.desk.anomalies)
            fills = [fill for fill in self.desk.events(e.OrderFilled) if fill.order_id == placed.order_id]
            assert sum((fill.quantity for fill in fills), Decimal(0)) == placed.filled_quantity
            assert sum((fill.quantity * fill.price for fill in fills), Decimal(0)) == placed.cost
            assert len({fill.trade_id for fill in fills}) == len(fills) == len(state.trades.get(placed.order_id, []))

    def indexes_are_what_the_orders_say(self) -> None:
        state = self.desk.state
        rebuilt = deepcopy(state)
        rebuild_indexes(rebuilt)
        assert rebuilt.exposures == state.exposures
        assert rebuilt.bots == state.bots
        assert {link: order_id for link, order_id in state.links.items() if state.order(order_id) is None} == {}

    def the_sequence_has_no_gap_and_ids_are_unique(self) -> None:
        journal = self.desk.journal
        assert [recorded.sequence for recorded in journal] == list(range(1, len(journal) + 1))
        assert self.desk.state.sequence == len(journal)
        made = [event.order_id for event in self.desk.events(e.OrderPrepared)]
        minted = [event.order_id for event in self.desk.events(e.OrderRefused) if event.order_id not in self.history]
        assert len(set(made + minted)) == len(made + minted)

    def no_entry_leaves_while_trading_is_not_active(self) -> None:
        trading = TradingState.ACTIVE
        roles: dict[str, OrderRole] = {}
        for recorded in self.desk.journal:
            match recorded.event:
                case e.TradingStateChanged(state):
                    trading = state
                case e.OrderPrepared(order_id=order_id, role=role):
                    roles[order_id] = role
                    assert trading is TradingState.ACTIVE or role is not OrderRole.ENTRY
                case e.OrderSent(order_id=order_id) if order_id in self.sent:
                    assert trading is TradingState.ACTIVE or roles[order_id] is not OrderRole.ENTRY

    def nothing_fails_the_checks_of_a_running_daemon(self) -> None:
        found = check_state(self.desk.state, self.desk.machine.instruments)
        assert [each for each in found if each.verdict is Verdict.FAILED] == []

    def teardown(self) -> None:
        """Replay gives the same state, from the start or any snapshot; after the storm, venue and account agree."""
        if not hasattr(self, "desk"):
            return
        for start in (State(), *self.snapshots):
            for recorded in self.desk.journal[start.sequence :]:
                fold(start, recorded)
            assert start == self.desk.state
        for report in self.venue.said * 2:
            self.desk.take(report)
        for link, working in self.venue.orders.items():
            parts = [each for each in self.desk.state.orders_at_venue(f"x-{link}") if each.filled_quantity]
            assert sum((each.filled_quantity for each in parts), Decimal(0)) == working.filled
            placed = self.desk.state.order_by_link(link)
            if placed is None:  # all of it had traded before anybody heard of it
                assert parts
                assert not working.is_open
            elif placed.state is not OrderState.UNKNOWN:
                assert placed.is_open == working.is_open, (placed, working)
        self.the_laws_hold()
        assert self.desk.replayed() == self.desk.state


Laws.TestCase.settings = settings(max_examples=100, stateful_step_count=80)
TestLaws = Laws.TestCase
