"""Bots: their commands, and the way of a candle through a strategy to an order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from core.tests.engine.deciders import Script
from core.tests.engine.desk import IDS, Desk, d, names, order
from quarterdeck.domain import report as r
from quarterdeck.domain.bot import BotSpec, BotState
from quarterdeck.domain.errors import AlreadyExists, InvalidRequest, NotFound, RefusedByState
from quarterdeck.domain.market import MINUTE, Candle, Side
from quarterdeck.domain.order import OrderRole, OrderState, OrderType
from quarterdeck.domain.signal import FLAT, Action, Holding, Signal
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.machine import Machine

LONG = Signal(Action.ENTER_LONG, stop=49_000.0, reason="up")
SHORT = Signal(Action.ENTER_SHORT, stop=51_000.0)
EXIT = Signal(Action.EXIT, reason="done")


@dataclass
class Fails:
    """A strategy that raises, or answers nonsense."""

    answers: Callable[[], Iterable[Signal]]
    warmup: int = field(default=0)

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        return self.answers()


# ---------------------------------------------------------------- commands


def test_a_new_bot_is_stopped_and_fed_nothing(desk: Desk) -> None:
    assert names(desk.create_bot("sma")) == ["BotCreated"]
    assert desk.state.bots["sma"].state is BotState.STOPPED
    assert desk.candle(50_000.0) == []


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (BotSpec("sma", "s", "btcusdt", MINUTE), AlreadyExists),
        (BotSpec("new", "s", "dogeusdt", MINUTE), NotFound),
        (BotSpec("new", "s", "btcusdt", 0), InvalidRequest),
    ],
)
def test_a_bot_that_can_not_be(desk: Desk, spec: BotSpec, error: type[Exception]) -> None:
    desk.create_bot("sma")
    before = desk.state.sequence
    with pytest.raises(error):
        desk.take(i.CreateBot(spec))
    assert desk.state.sequence == before


@pytest.mark.parametrize("command", [i.StartBot("x", None), i.PauseBot("x"), i.StopBot("x"), i.FailBot("x", "")])
def test_a_bot_nobody_knows(desk: Desk, command: i.Input) -> None:
    with pytest.raises(NotFound) as refused:
        desk.take(command)
    assert refused.value.reason == "BOT_NOT_FOUND"


def test_a_bot_starts_pauses_resumes_and_stops(desk: Desk) -> None:
    script = desk.bot()
    bot = desk.state.bots["sma"]
    assert bot.state is BotState.RUNNING
    assert names(desk.take(i.PauseBot("sma"))) == ["BotStateChanged"]
    assert desk.take(i.PauseBot("sma")) == []
    assert names(desk.start_bot("sma", None)) == ["BotStateChanged"]
    assert names(desk.take(i.StopBot("sma"))) == ["BotStateChanged"]
    assert desk.take(i.StopBot("sma")) == []
    desk.candle(50_000.0)
    assert script.holdings == []


def test_a_running_bot_keeps_its_strategy(desk: Desk) -> None:
    first, second = desk.bot(), Script()
    assert desk.start_bot("sma", second) == []
    assert desk.start_bot("sma", None) == []
    desk.candle(50_000.0)
    assert (len(first.holdings), len(second.holdings)) == (1, 0)


def test_a_stopped_bot_needs_a_strategy_to_start(desk: Desk) -> None:
    desk.create_bot("sma")
    with pytest.raises(RefusedByState) as refused:
        desk.start_bot("sma", None)
    assert (refused.value.reason, refused.value.data) == ("BOT_STATE", {"name": "sma", "state": "STOPPED"})
    with pytest.raises(RefusedByState):
        desk.take(i.PauseBot("sma"))


def test_after_a_restart_a_paused_bot_does_not_resume_without_its_strategy(desk: Desk) -> None:
    desk.bot()
    desk.take(i.PauseBot("sma"))
    restarted = Machine(desk.replayed(), desk.machine.instruments, desk.machine.deciders, IDS)
    with pytest.raises(RefusedByState):
        restarted.step(i.StartBot("sma", None), desk.now)
    script = Script()
    restarted.attach("sma", script)
    restarted.step(i.StartBot("sma", None), desk.now)
    assert restarted.state.bots["sma"].state is BotState.RUNNING
    restarted.step(Candle("btcusdt", MINUTE, desk.now, 1.0, 1.0, 1.0, 1.0, 1.0), desk.now)
    assert len(script.holdings) == 1


def test_a_bot_is_fed_its_instruments_candles_of_its_interval_only(desk: Desk) -> None:
    script = desk.bot()
    desk.candle(50_000.0, interval=5 * MINUTE)
    desk.candle(50_000.0, "btcusdt-spot")
    assert script.holdings == []
    desk.candle(50_000.0)
    assert script.holdings == [FLAT]


def test_stopping_withdraws_entries_and_closes_only_when_asked(desk: Desk) -> None:
    script = desk.bot()
    desk.hold("0.1", bot_id="sma")
    limit = desk.work(desk.submit("0.1", bot_id="sma", type=OrderType.LIMIT, limit_price="49000"))
    mine = desk.work(desk.submit("0.1", type=OrderType.LIMIT, limit_price="49000"))
    assert names(desk.take(i.StopBot("sma"))) == ["BotStateChanged", "OrderCancelRequested"]
    assert (limit.cancel_requested, mine.cancel_requested) == (True, False)
    assert names(desk.take(i.StopBot("sma", flatten=True))) == ["OrderPrepared"]
    closing = desk.order(desk.last(e.OrderPrepared).order_id)
    assert (closing.bot_id, closing.terms.quantity, closing.role) == ("sma", d("0.1"), OrderRole.EXIT)
    assert script.holdings == []


# ---------------------------------------------------------------- signals


def test_a_signal_becomes_a_sized_order_that_carries_its_protection(desk: Desk) -> None:
    script = desk.bot()
    wish = Signal(Action.ENTER_LONG, stop=48_999.97, take_profit=52_000.04, reason="up")
    raised, prepared = desk.wish(script, wish)
    assert raised == e.SignalRaised("sma", "btcusdt", Action.ENTER_LONG, d(49_000), d(52_000), "up")
    assert isinstance(prepared, e.OrderPrepared)
    assert (prepared.terms.side, prepared.terms.type) == (Side.BUY, OrderType.MARKET)
    assert (prepared.terms.stop_loss, prepared.terms.take_profit) == (d(49_000), d(52_000))
    assert prepared.terms.quantity == d("0.1")
    assert {recorded.correlation_id for recorded in desk.journal[-2:]} == {prepared.order_id} == {"sma-1"}


def test_a_signal_with_a_limit_is_a_limit_order(desk: Desk) -> None:
    script = desk.bot()
    desk.wish(script, Signal(Action.ENTER_SHORT, stop=51_000.0, limit=50_500.0))
    terms = desk.last(e.OrderPrepared).terms
    assert (terms.side, terms.type, terms.limit_price) == (Side.SELL, OrderType.LIMIT, d(50_500))
    assert terms.quantity == d("0.2")


def test_a_strategy_sees_what_its_bot_holds_and_no_other(desk: Desk) -> None:
    script, other = desk.bot("a"), desk.bot("b")
    desk.wish(script, LONG)
    entry = desk.order("a-1")
    desk.candle(50_000.0)
    assert script.holdings[-1] == Holding(busy=True)
    desk.work(entry)
    desk.fill(entry, "0.04", 50_010)
    desk.candle(50_000.0)
    assert script.holdings[-1] == Holding(d("0.04"), d(50_010), busy=True)
    desk.fill(entry, "0.06", 50_010)
    desk.candle(50_000.0)
    assert script.holdings[-1] == Holding(d("0.1"), d(50_010))
    assert other.holdings[-1] == FLAT
    assert script.holdings[-1].direction == 1
    assert desk.state.bots["a"].trades == 2


def test_an_exit_closes_what_the_bot_holds(desk: Desk) -> None:
    script = desk.bot()
    desk.hold("0.1", Side.SELL, bot_id="sma")
    desk.hold("0.2", Side.SELL)
    raised, prepared = desk.wish(script, EXIT)
    assert isinstance(raised, e.SignalRaised)
    assert isinstance(prepared, e.OrderPrepared)
    assert (prepared.terms.side, prepared.terms.quantity, prepared.role) == (Side.BUY, d("0.1"), OrderRole.EXIT)
    assert prepared.terms.reduce_only


def dropped(desk: Desk, script: Script, *wishes: Signal) -> list[str]:
    """Why each of the signals was dropped."""
    return [event.reason for event in desk.wish(script, *wishes) if isinstance(event, e.SignalDropped)]


def test_reasons_to_drop_a_signal(desk: Desk) -> None:
    script = desk.bot()
    assert dropped(desk, script, EXIT) == ["NOTHING_HELD"]
    assert dropped(desk, script, LONG, LONG) == ["ORDER_WORKING"]
    entry = desk.work(desk.order(desk.last(e.OrderPrepared).order_id))
    assert dropped(desk, script, LONG) == ["ORDER_WORKING"]
    desk.fill(entry)
    assert dropped(desk, script, LONG) == ["HOLDING"]
    assert dropped(desk, script, SHORT) == ["HOLDING"]
    assert dropped(desk, script, EXIT, EXIT) == ["EXIT_WORKING"]
    desk.fill(desk.work(desk.order(desk.last(e.OrderPrepared).order_id)))
    desk.take(i.PauseBot("sma"))
    assert dropped(desk, script, LONG) == ["PAUSED"]


def test_a_paused_bot_still_exits(desk: Desk) -> None:
    script = desk.bot()
    desk.hold("0.1", bot_id="sma")
    desk.take(i.PauseBot("sma"))
    assert names(desk.wish(script, EXIT)) == ["SignalRaised", "OrderPrepared"]


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (Signal(Action.ENTER_LONG, stop=float("nan")), "INVALID_PRICE: stop nan"),
        (Signal(Action.ENTER_LONG, stop=float("inf")), "INVALID_PRICE: stop inf"),
        (Signal(Action.ENTER_LONG, stop=1e300), "INVALID_PRICE: stop 1e+300"),
        (Signal(Action.ENTER_LONG, stop=0.0), "INVALID_PRICE: stop 0.0"),
        (Signal(Action.ENTER_LONG, stop=-1.0), "INVALID_PRICE: stop -1.0"),
        (Signal(Action.ENTER_LONG, stop=49_000.0, take_profit=float("nan")), "INVALID_PRICE: take_profit nan"),
        (Signal(Action.ENTER_LONG, stop=49_000.0, limit=float("nan")), "INVALID_PRICE: limit nan"),
        (
            Signal(Action.ENTER_LONG, stop=51_000.0),
            "order.stop_loss: must be below the entry price",
        ),
        (
            Signal(Action.ENTER_SHORT, stop=49_000.0),
            "order.stop_loss: must be above the entry price",
        ),
        (Signal(Action.ENTER_LONG), "order.quantity: give a quantity, or a stop_loss to size the order by"),
        (Signal(Action.ENTER_LONG, stop=0.01), "order.stop_loss: must be above zero, was 0.0"),
    ],
)
def test_a_wish_that_makes_no_order_is_dropped_with_its_reason(desk: Desk, wish: Signal, reason: str) -> None:
    script = desk.bot()
    assert names(desk.wish(script, wish)) == ["SignalRaised", "SignalDropped"]
    assert desk.last(e.SignalDropped).reason.startswith(reason)
    assert desk.state.bots["sma"].state is BotState.RUNNING
    assert names(desk.wish(script, LONG)) == ["SignalRaised", "OrderPrepared"]


def test_whole_numbers_and_numpys_are_prices(desk: Desk) -> None:
    script = desk.bot()
    desk.wish(script, Signal(Action.ENTER_LONG, stop=49_000))
    assert desk.last(e.SignalRaised).stop_price == 49_000


def test_a_refused_signal_is_told_as_a_refused_order(desk: Desk) -> None:
    script = desk.bot()
    desk.take(i.EngageKillSwitch("enough"))
    assert names(desk.wish(script, LONG)) == ["SignalRaised", "OrderRefused"]
    desk.take(i.ReleaseKillSwitch("go"))
    desk.wish(script, LONG)
    ids = [event.order_id for event in desk.events(e.OrderRefused)]
    assert desk.last(e.OrderPrepared).order_id not in ids


def test_every_signal_comes_to_exactly_one_end_with_an_id_of_its_own(desk: Desk) -> None:
    script = desk.bot()
    desk.wish(script, EXIT, LONG, LONG, Signal(Action.ENTER_LONG), EXIT)
    raised = [recorded for recorded in desk.journal if isinstance(recorded.event, e.SignalRaised)]
    ends = [
        recorded
        for recorded in desk.journal
        if isinstance(recorded.event, e.SignalDropped | e.OrderPrepared | e.OrderRefused)
    ]
    assert [each.correlation_id for each in raised] == [each.correlation_id for each in ends]
    assert len({each.correlation_id for each in raised}) == 5


# ---------------------------------------------------------------- strategies that fail


@pytest.mark.parametrize(
    ("answers", "failure"),
    [
        (lambda: int("x"), "ValueError: invalid literal for int() with base 10: 'x'"),
        (lambda: cast("Any", None), "TypeError: 'NoneType' object is not iterable"),
        (lambda: cast("Any", ["BUY"]), "TypeError: signalled 'BUY', which is no Signal"),
        (lambda: (1 / 0 for _ in range(1)), "ZeroDivisionError: division by zero"),
        (lambda: (_ for _ in [LONG, cast("Any", 1)]), "TypeError: signalled 1, which is no Signal"),
    ],
)
def test_a_strategy_that_fails_takes_only_its_bot_down(
    desk: Desk, answers: Callable[[], Iterable[Signal]], failure: str
) -> None:
    desk.create_bot("bad")
    desk.start_bot("bad", Fails(answers))
    good = desk.bot("good")
    limit = desk.work(desk.submit("0.1", bot_id="bad", type=OrderType.LIMIT, limit_price="49000"))
    stop = desk.protect(desk.hold("0.1", bot_id="bad", stop_loss="49000"))
    events = desk.wish(good, LONG)
    assert e.BotStateChanged("bad", BotState.FAILED, failure) in events
    assert any(isinstance(event, e.OrderPrepared) and event.bot_id == "good" for event in events)
    assert (limit.cancel_requested, stop.cancel_requested) == (True, False)
    assert desk.state.bots["bad"].failure == failure
    assert names(desk.candle(50_000.0)) == []
    assert desk.state == desk.replayed()


def test_a_failed_bot_can_be_started_anew(desk: Desk) -> None:
    script = desk.bot()
    assert names(desk.take(i.FailBot("sma", "ImportError: gone"))) == ["BotStateChanged"]
    assert desk.take(i.FailBot("sma", "ImportError: gone")) == []
    assert desk.state.bots["sma"].failure == "ImportError: gone"
    desk.candle(50_000.0)
    assert script.holdings == []
    desk.start_bot("sma", script)
    assert (desk.state.bots["sma"].state, desk.state.bots["sma"].failure) == (BotState.RUNNING, "")
    desk.candle(50_000.0)
    assert len(script.holdings) == 1


def test_a_long_failure_is_cut(desk: Desk) -> None:
    desk.create_bot("bad")
    desk.start_bot("bad", Fails(lambda: cast("Any", ["x" * 10_000])))
    desk.candle(50_000.0)
    assert len(desk.state.bots["bad"].failure) == 500


# ---------------------------------------------------------------- several bots


def test_two_bots_on_one_instrument_have_shares_of_their_own(desk: Desk) -> None:
    first, second = desk.bot("a"), desk.bot("b")
    desk.wish(first, LONG)
    desk.fill(desk.work(desk.order("a-1")), price=50_000)
    desk.wish(second, LONG, price=50_000.0)
    entry = desk.work(desk.order(desk.last(e.OrderPrepared).order_id))
    desk.fill(entry, price=50_100)
    shares = desk.state.shares["btcusdt"]
    assert (shares["a"].average_price, shares["b"].average_price) == (d(50_000), d(50_100))
    assert sum((share.quantity for share in shares.values()), d(0)) == desk.state.positions["btcusdt"].quantity
    first_stop, second_stop = desk.protect(desk.order("a-1")), desk.protect(entry)
    desk.wish(first, EXIT)
    desk.fill(desk.work(desk.order(desk.last(e.OrderPrepared).order_id)), price=50_200)
    assert (first_stop.cancel_requested, second_stop.cancel_requested) == (True, False)
    desk.candle(50_200.0)
    assert first.holdings[-1] == FLAT
    assert second.holdings[-1].quantity == entry.terms.quantity
    desk.take(r.Canceled(first_stop.link_id, "as asked", desk.now))
    assert desk.state.exposure("btcusdt").stopped_quantity == entry.terms.quantity


def test_a_bot_may_not_enter_against_another(desk: Desk) -> None:
    first, second = desk.bot("a"), desk.bot("b")
    desk.wish(first, LONG)
    desk.wish(second, SHORT)
    assert desk.last(e.OrderRefused).refusal.reason == "AGAINST_POSITION"


def test_an_order_by_hand_in_a_bots_name_makes_it_busy(desk: Desk) -> None:
    script = desk.bot()
    placed = desk.submit("0.1", bot_id="sma")
    assert dropped(desk, script, LONG) == ["ORDER_WORKING"]
    desk.take(i.CancelOrder(placed.order_id))
    desk.send(placed)
    assert placed.state is OrderState.NOT_SENT
    assert names(desk.wish(script, LONG)) == ["SignalRaised", "OrderPrepared"]


def test_the_command_that_a_dry_run_takes_is_the_one_a_signal_makes(desk: Desk) -> None:
    script = desk.bot()
    desk.wish(script, LONG)
    by_signal = desk.last(e.OrderPrepared)
    desk.take(i.CancelOrder(by_signal.order_id))
    desk.send(desk.order(by_signal.order_id))
    desk.take(order(None, stop_loss="49000", bot_id="sma"))
    by_hand = desk.last(e.OrderPrepared)
    assert (by_hand.terms, by_hand.sizing, by_hand.rules) == (by_signal.terms, by_signal.sizing, by_signal.rules)
