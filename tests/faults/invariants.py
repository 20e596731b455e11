"""Owns what must hold of a journal and of everything clients were told, whatever was killed on the way.

Ids are those of the catalogue of invariants; the embedded venue is judged by what the journal says of it, since it goes
with the daemon.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from quarterdeck.daemon.journal import Entry, Journal
from quarterdeck.daemon.keeper import Keeper
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import CLOSED_STATES, TRANSITIONS, UNRESOLVED_STATES, OrderRole, OrderState
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine import events as e
from quarterdeck.engine.checks import Verdict, check_state
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.fold import fold
from quarterdeck.engine.state import State
from quarterdeck.rpc.convert.envelope import decode
from quarterdeck.testing.stream_laws import Transcript, broken_laws
from tests.faults.wishes import Wish


class Told(NamedTuple):
    """A journal as the next start would find it: its lines, what they say, and the state a start would have."""

    entries: list[Entry]
    events: list[Recorded]
    state: State


def read(url: str) -> Told:
    """Everything in a journal that no daemon has open."""
    journal = Journal.open(url, "main")
    try:
        entries = list(journal.iterate(0))
        return Told(entries, [decode(entry.body) for entry in entries], Keeper(journal).load())
    finally:
        journal.close()


def check(told: Told) -> None:
    """All that can be said of a journal by itself."""
    events = told.events
    assert [one.sequence for one in events] == list(range(1, len(events) + 1)), "I09: the journal has a gap"
    times = [one.time for one in events]
    assert times == sorted(times), "time went back"
    _check_intents(events)
    _check_lives(events)
    _check_fills(events)
    _check_kills(events)
    _check_requests(events)
    whole = folded(events)
    assert _facts(whole) == _facts(told.state), "I25: folding everything gives another state than a start has"
    _check_books(events, whole)
    failed = [one for one in check_state(whole, {}) if one.verdict is Verdict.FAILED]
    assert not failed, failed


def folded(events: Iterable[Recorded]) -> State:
    """The state that follows from events alone."""
    state = State()
    for recorded in events:
        fold(state, recorded)
    return state


def _check_intents(events: Sequence[Recorded]) -> None:
    """I01, I02, I03: written down before it is sent, one content for each id, sent once."""
    prepared: dict[str, object] = {}
    links: set[str] = set()
    sent: set[str] = set()
    for one in events:
        match one.event:
            case e.OrderPrepared(order_id, link_id, terms):
                assert link_id not in links, f"I02: link id {link_id} was used twice"
                assert order_id not in prepared, f"I02: order id {order_id} was used twice"
                links.add(link_id)
                prepared[order_id] = terms
            case e.OrderAdopted(order_id, link_id, terms):
                if link_id in links and order_id in prepared:
                    continue  # protection that grew with what it protects
                assert link_id not in links, f"I02: link id {link_id} was used twice"
                links.add(link_id)
                prepared[order_id] = terms
                sent.add(order_id)
            case e.OrderSent(order_id):
                assert order_id in prepared, f"I01: {order_id} was sent before it was written down"
                assert order_id not in sent, f"I03: {order_id} was sent twice"
                sent.add(order_id)
            case e.OrderAcked(order_id) | e.OrderOpened(order_id) | e.OrderFilled(order_id) | e.OrderRejected(order_id):
                assert order_id in sent, f"I01: the venue knows {order_id}, which was never announced"
            case _:
                pass


def _check_lives(events: Sequence[Recorded]) -> None:
    """I06: no order leaves a state it can't leave, and what has traded never becomes less."""
    state = State()
    for recorded in events:
        order_id = getattr(recorded.event, "order_id", "")
        before = state.order(order_id)
        was = None if before is None else (before.state, before.filled_quantity)
        fold(state, recorded)
        after = state.order(order_id)
        if was is None or after is None or isinstance(recorded.event, e.OrderRefused):
            continue
        if after.state is not was[0]:
            assert after.state in TRANSITIONS[was[0]], f"I06: {order_id} went from {was[0]} to {after.state}"
        assert after.filled_quantity >= was[1], f"I06: {order_id} has less filled than before"


def _check_fills(events: Sequence[Recorded]) -> None:
    """I05: each trade once, and together they are what the order says."""
    trades: set[str] = set()
    filled: defaultdict[str, Decimal] = defaultdict(Decimal)
    for one in events:
        if isinstance(one.event, e.OrderFilled):
            fill = one.event
            assert fill.trade_id not in trades, f"I05: trade {fill.trade_id} was booked twice"
            trades.add(fill.trade_id)
            filled[fill.order_id] += fill.quantity
            assert filled[fill.order_id] == fill.filled_quantity, f"I05: fills of {fill.order_id} do not add up"


def _check_kills(events: Sequence[Recorded]) -> None:
    """I07: between the kill and its release nothing that takes risk is approved or sent."""
    roles = {one.event.order_id: one.event.role for one in events if isinstance(one.event, e.OrderPrepared)}
    trading = TradingState.ACTIVE
    for one in events:
        match one.event:
            case e.TradingStateChanged(state):
                trading = state
            case e.OrderPrepared(order_id) | e.OrderSent(order_id) if trading is not TradingState.ACTIVE:
                assert roles[order_id] is not OrderRole.ENTRY, f"I07: {order_id} in spite of {trading}"
            case _:
                pass


def _check_requests(events: Sequence[Recorded]) -> None:
    """I11: one outcome for each request."""
    outcomes: dict[str, str] = {}
    for one in events:
        if one.request_id:
            assert one.request_id not in outcomes, f"I11: request {one.request_id} was carried out twice"
            outcomes[one.request_id] = one.digest


def _check_books(events: Sequence[Recorded], state: State) -> None:
    """I04: positions are the sum of trades, shares add up to them, and money only moves between accounts."""
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    money: defaultdict[str, Decimal] = defaultdict(Decimal)
    for one in events:
        match one.event:
            case e.AccountOpened(_, _, balances):
                for currency, amount in balances:
                    money[currency] += amount
            case e.OrderFilled() as fill:
                held[fill.symbol] += fill.quantity if fill.side is Side.BUY else -fill.quantity
                money[state.settle] += sum(
                    (p.amount for p in fill.postings if p.currency == state.settle and str(p.book) == "WALLET"),
                    Decimal(0),
                )
            case e.FundingPaid(amount=amount) | e.BalanceAdjusted(amount=amount):
                money[state.settle] += amount
            case _:
                pass
    for symbol in held.keys() | state.positions.keys():
        position = state.positions[symbol].quantity if symbol in state.positions else Decimal(0)
        assert position == held[symbol], f"I04: {symbol}: {position} held, {held[symbol]} traded"
        shares = sum((one.quantity for one in state.shares.get(symbol, {}).values()), Decimal(0))
        assert position == shares, f"I04: {symbol}: {position} held, {shares} owned"
    assert state.wallet == money[state.settle], f"I04: wallet {state.wallet}, moved {money[state.settle]}"


# ---------------------------------------------------------------- clients


def check_stream(transcript: Transcript, told: Told) -> None:
    """I09, I10: each event once, in order, without a gap, and just as the journal has it."""
    broken = broken_laws(transcript, told.entries)
    assert not broken, f"I09, I10: {broken[:5]}"


#: Wishes that can be fulfilled already, so that there is nothing to write down; asked again, there may be.
_MAY_BE_NOTHING = {
    "CancelOrderRequest",
    "CancelAllOrdersRequest",
    "ClosePositionRequest",
    "EngageKillSwitchRequest",
    "ReleaseKillSwitchRequest",
    "StartBotRequest",
    "PauseBotRequest",
    "StopBotRequest",
}


def check_answers(wishes: Sequence[Wish], told: Told) -> None:
    """I10, I11: what was confirmed is written down, and asking again gave the same answer."""
    outcomes = {one.request_id: one for one in told.events if one.request_id}
    for wish in wishes:
        kind = type(wish.request).__name__
        known = outcomes.get(wish.request_id)
        said = [answer for answer in wish.answers if answer.reason == "OK" or answer.sequence]
        for answer in said:
            if known is None or answer.sequence < known.sequence:
                assert kind in _MAY_BE_NOTHING, f"I10: {kind} was confirmed and is not written down: {wish.request}"
            else:
                assert answer.sequence == known.sequence, f"I11: {kind} {wish.request}: {answer} but it is {known}"
        assert len({answer.reason for answer in said}) <= 1, f"I11: {kind} was answered {said}"


def check_promises(wishes: Sequence[Wish], told: Told) -> None:
    """What an answer said of an order is still true: an end stays an end, what had traded has traded."""
    for wish in wishes:
        for answer in wish.answers:
            if answer.reason != "OK" or not answer.name:
                continue
            order = told.state.order(answer.name.rpartition("/")[2])
            assert order is not None, f"I10: {answer.name} is lost"
            shown = answer.response.order
            state = OrderState(type(shown).State.Name(shown.state).removeprefix("STATE_"))
            if state in CLOSED_STATES:
                assert order.state is state, f"I06: {answer.name} was {state} and is {order.state}"
            assert order.filled_quantity >= Decimal(shown.filled_quantity.value or "0"), f"I06: {answer.name} unfilled"


# ---------------------------------------------------------------- recovery


#: Fields of the state that tell of starts, not of the account.
_OF_STARTS = {"sequence", "time", "clean", "epoch", "crash_times"}


def _facts(state: State) -> Mapping[str, object]:
    """A state to compare: everything of it, as plain data."""
    plain = _plain(state)
    assert isinstance(plain, dict)
    return plain


def account(state: State) -> Mapping[str, object]:
    """What a start must not change of a state in which nothing is unanswered."""
    return {name: value for name, value in _facts(state).items() if name not in _OF_STARTS}


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def check_recovered(first: Told, again: Told) -> None:
    """I21: a start after a start finds everything settled: it records that it began, and nothing else.

    A kill switch that flattens goes on doing so. Killed while it does, another start may go on with exits, never more.
    """
    new = again.events[len(first.events) :]
    assert again.events[: len(first.events)] == first.events, "history changed"
    others = [one.event for one in new if not isinstance(one.event, e.DaemonStarted)]
    if any(order.state in UNRESOLVED_STATES for order in first.state.open_orders.values()):
        assert first.state.trading_state is TradingState.HALTED, "I21: a start left an order whose outcome is unknown"
        roles = {event.role for event in others if isinstance(event, e.OrderPrepared)}
        assert roles <= {OrderRole.EXIT}, f"I21: another start prepared {roles}"
        return
    assert not others, f"I21: another start recorded {others}"
    assert account(again.state) == account(first.state), "I21: another start changed the account"
