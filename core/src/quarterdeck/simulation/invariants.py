"""Owns what must hold of every run, whatever went wrong in it: one function for each invariant, named by its id.

Each compares what the core believes (its journal, its state) and what it told others with the truth. It yields a
sentence for each violation. `check` asks all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal

from quarterdeck.daemon.journal.snapshots import dump_state
from quarterdeck.domain.bot import BotState
from quarterdeck.domain.order import OrderRole, OrderState, OrderTerms
from quarterdeck.domain.report import Filled
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine import events as e
from quarterdeck.engine.checks import Verdict, check_state
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.fold import fold
from quarterdeck.engine.protection import lacking
from quarterdeck.engine.state import State
from quarterdeck.rpc.convert.envelope import decode
from quarterdeck.simulation.market import INSTRUMENTS
from quarterdeck.simulation.timeline import Timeline, allowed, forgotten, mistaken
from quarterdeck.simulation.venue import FOREIGN
from quarterdeck.simulation.world import Evidence
from quarterdeck.testing.stream_laws import LAWS, broken_laws, durable_before_visible

Violations = Iterator[str]


class Case:
    """The evidence of one run, with the journal read."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.truth = evidence.truth
        self.events: list[Recorded] = [decode(entry.body) for entry in evidence.entries]
        self.lost: list[list[Recorded]] = [[decode(entry.body) for entry in lost] for lost in evidence.lost]
        self.timeline = Timeline(self.events)
        self.links = _links(self.events)
        """Order id to link id, for every order the journal has."""

    @property
    def state(self) -> State | None:
        """The live state at the end."""
        return None if self.evidence.core is None else self.evidence.core.deck.state

    def of_link(self, kind: type[object]) -> dict[str, list[int]]:
        """Sequences of the events of one kind, by the order's link id."""
        found: dict[str, list[int]] = {}
        for events in (*self.lost, self.events):
            links = _links(events)
            for recorded in events:
                if isinstance(recorded.event, kind):
                    link = links.get(getattr(recorded.event, "order_id", ""), "")
                    found.setdefault(link, []).append(recorded.sequence)
        return found


def _links(events: Iterable[Recorded]) -> dict[str, str]:
    """Order id to link id."""
    made = (recorded.event for recorded in events)
    return {event.order_id: event.link_id for event in made if isinstance(event, e.OrderPrepared | e.OrderAdopted)}


def i01_intent_before_send(case: Case) -> Violations:
    """Every request that left was announced in the journal, on the disk, before it left."""
    announced = {
        "create": case.of_link(e.OrderSent),
        "cancel": case.of_link(e.OrderCancelRequested),
        "amend": case.of_link(e.OrderAmendRequested),
    }
    for sent in case.truth.sent:
        sequences = announced[sent.kind].get(sent.link_id, [])
        if not any(sequence <= sent.head for sequence in sequences):
            yield f"a {sent.kind} of {sent.link_id} left when the disk was at {sent.head}; its events are {sequences}"


def i02_one_id_one_content(case: Case) -> Violations:
    """No link id was ever sent with two contents."""
    contents: dict[str, OrderTerms] = {}
    for sent in case.truth.sent:
        if sent.terms is not None and contents.setdefault(sent.link_id, sent.terms) != sent.terms:
            yield f"{sent.link_id} was sent with two contents"


def i03_at_most_one_effect(case: Case) -> Violations:
    """Each intent was sent once and taken in at most once."""
    sends = Counter(sent.link_id for sent in case.truth.sent if sent.kind == "create")
    yield from (f"{link} was sent {count} times" for link, count in sends.items() if count > 1)
    taken = Counter(one.link_id for one in case.truth.taken if not one.reason)
    yield from (f"{link} was taken in {count} times" for link, count in taken.items() if count > 1)


def i04_conservation(case: Case) -> Violations:
    """Positions and wallet are what the venue has, to the last digit."""
    state, venue = case.state, case.evidence.venue
    if state is None or venue is None:
        return
    at_venue = {one.symbol: one.quantity for one in venue.positions(venue.now)}
    for instrument in INSTRUMENTS:
        symbol = instrument.symbol
        held = state.positions[symbol].quantity if symbol in state.positions else Decimal(0)
        if not held == at_venue.get(symbol, 0) == case.truth.position(symbol):
            yield (
                f"{symbol}: the journal holds {held}, the venue {at_venue.get(symbol, 0)}, "
                f"all trades add up to {case.truth.position(symbol)}"
            )
    wallet = venue.balances(venue.now)["USDT"]
    if state.wallet != wallet:
        yield f"the journal's wallet is {state.wallet}, the venue's {wallet}"


def i05_execution_once(case: Case) -> Violations:
    """Every trade of the venue is booked, once."""
    booked = Counter(r.event.trade_id for r in case.events if isinstance(r.event, e.OrderFilled))
    real = {one.what.trade_id: one.what for one in case.truth.moved if isinstance(one.what, Filled)}
    yield from (f"trade {trade} is booked {count} times" for trade, count in booked.items() if count > 1)
    yield from (f"trade {trade} never happened" for trade in booked.keys() - real.keys())
    if case.state is not None:
        for trade in sorted(real.keys() - booked.keys(), key=int):
            yield f"trade {trade} of {real[trade].link_id} is not booked"


_FINAL = frozenset({OrderState.FILLED, OrderState.REJECTED, OrderState.NOT_SENT, OrderState.ABSENT})
_SAYS: Mapping[type[object], OrderState] = {
    e.OrderPrepared: OrderState.PREPARED,
    e.OrderSent: OrderState.SENT,
    e.OrderAcked: OrderState.ACKED,
    e.OrderOpened: OrderState.OPEN,
    e.OrderUnknown: OrderState.UNKNOWN,
    e.OrderNotSent: OrderState.NOT_SENT,
    e.OrderAbsent: OrderState.ABSENT,
    e.OrderRejected: OrderState.REJECTED,
    e.OrderCanceled: OrderState.CANCELED,
    e.OrderExpired: OrderState.EXPIRED,
}


def i06_monotone_order(case: Case) -> Violations:
    """No order leaves a final state, and what was filled never becomes less."""
    final: dict[str, OrderState] = {}
    filled: dict[str, Decimal] = {}
    for recorded in case.events:
        event = recorded.event
        state = event.order_state if isinstance(event, e.OrderFilled) else _SAYS.get(type(event))
        if state is None:
            continue
        order_id: str = getattr(event, "order_id")  # noqa: B009 - every one of these events has it
        if order_id in final:
            yield f"{order_id} was {final[order_id]} and became {state} at {recorded.sequence}"
        if state in _FINAL:
            final[order_id] = state
        if isinstance(event, e.OrderFilled):
            if event.filled_quantity <= filled.get(order_id, Decimal(0)):
                yield f"{order_id} had {filled[order_id]} filled, and {event.filled_quantity} at {recorded.sequence}"
            filled[order_id] = event.filled_quantity


def i07_kill_gate(case: Case) -> Violations:
    """While the kill switch is on the disk no entry leaves."""
    changes = [(r.sequence, r.event.state) for r in case.events if isinstance(r.event, e.TradingStateChanged)]
    roles = {r.event.link_id: r.event.role for r in case.events if isinstance(r.event, e.OrderPrepared)}
    for sent in case.truth.sent:
        if sent.kind != "create" or roles.get(sent.link_id) is not OrderRole.ENTRY:
            continue
        state = next((state for sequence, state in reversed(changes) if sequence <= sent.head), TradingState.ACTIVE)
        if state is TradingState.HALTED:
            yield f"the entry {sent.link_id} left while trading was halted, the disk at {sent.head}"


def i08_protected(case: Case) -> Violations:
    """What works at the venue works here, stops included, and the other way round, in the run as well as at its end.

    At the end every stop that is wanted works.
    """
    state, venue = case.state, case.evidence.venue
    if state is None or venue is None:
        return
    here = {one.link_id: one.leaves_quantity for one in state.open_orders.values()}
    there = {one.link_id: one.terms.quantity - one.filled_quantity for one in venue.open_orders(venue.now)}
    for link in sorted(here.keys() | there.keys()):
        if here.get(link) != there.get(link):
            yield f"order {link}: {here.get(link, 'none')} works here, {there.get(link, 'none')} at the venue"
    for each in lacking(state, {one.symbol: one for one in INSTRUMENTS}):
        yield f"{each} should have a stop and has none"
    if not case.lost:
        yield from mistaken(case.timeline, venue.worked(), case.truth, venue.now, allowed(case.evidence.plan))


def i09_stream(case: Case) -> Violations:
    """Streams are ordered, unique, without a gap, resumable anywhere, and their bookmarks are true."""
    laws = [law for law in LAWS if law is not durable_before_visible]
    for number, transcript in enumerate(case.evidence.transcripts):
        for broken in broken_laws(transcript, case.evidence.entries, laws):
            yield f"reader {number}: {broken}"


def i10_durable_before_visible(case: Case) -> Violations:
    """What a reader or a caller has seen is in the journal, byte for byte."""
    if case.lost:  # what is older than a copy is lost with the journal it was in
        return
    sequences = {entry.sequence for entry in case.evidence.entries}
    for number, transcript in enumerate(case.evidence.transcripts):
        for broken in broken_laws(transcript, case.evidence.entries, [durable_before_visible]):
            yield f"reader {number}: {broken}"
    for wish in case.evidence.wishes:
        for answer in wish.answers:
            if answer.sequence and answer.sequence not in sequences:
                yield f"request {wish.request.request_id} was answered with event {answer.sequence}, which is gone"


def i11_command_once(case: Case) -> Violations:
    """A request is carried out at most once, its answer stays the same, and its id can't be used for anything else."""
    recorded: dict[str, list[Recorded]] = {}
    if case.lost:
        return
    for one in case.events:
        if one.request_id:
            recorded.setdefault(one.request_id, []).append(one)
    for wish in case.evidence.wishes:
        request = wish.request
        found = recorded.get(request.request_id, [])
        if len(found) > 1:
            yield f"request {request.request_id} was carried out at {[one.sequence for one in found]}"
        done = [one for one in found if one.digest == request.digest]
        told = {answer.sequence for answer in wish.answers if answer.kind == "ok" and answer.sequence}
        if told and told != {one.sequence for one in done}:
            yield f"request {request.request_id} was answered with {sorted(told)}; the journal has {found}"
        if done and wish.answers and wish.answers[-1].kind == "fail":
            yield f"request {request.request_id} was refused ({wish.answers[-1].reason}) and is at {done[0].sequence}"
        if wish.is_forged and found and any(answer.kind == "ok" for answer in wish.answers):
            yield f"request id {request.request_id} was used twice with other content"


def i12_single_writer(case: Case) -> Violations:
    """What a process sends carries an epoch above that of every process before it."""
    latest, sender = "", ""
    for sent in case.truth.sent:
        epoch = sent.link_id.split("-")[2]
        if sent.kind == "create":
            if sent.process != sender and epoch <= latest:
                yield f"{sent.process} sent {sent.link_id}, and epoch {latest} had been there before"
            if sent.process == sender and epoch != latest:
                yield f"{sent.process} changed its epoch from {latest} with {sent.link_id}"
            latest, sender = max(epoch, latest), sent.process


def i15_plugin_containment(case: Case) -> Violations:
    """A verdict that is missing is a refusal, and a strategy that fails takes nobody with it but its bot."""
    prepared = {(r.time, r.event.terms) for r in case.events if isinstance(r.event, e.OrderPrepared)}
    for one in case.truth.misjudged:
        if (one.time, one.terms) in prepared:
            yield f"an order was prepared at {one.time} though a rule failed: {one.terms}"
    symbols = {r.event.spec.bot_id: r.event.spec.symbol for r in case.events if isinstance(r.event, e.BotCreated)}
    for recorded in case.events:
        event = recorded.event
        if not isinstance(event, e.BotStateChanged) or event.state is not BotState.FAILED:
            continue
        if symbols[event.bot_id] not in case.truth.failed:
            yield f"bot {event.bot_id} failed at {recorded.sequence}, and its strategy did not"


def i16_exact_numbers(case: Case) -> Violations:
    """What was sent is on the tick and the lot."""
    by_symbol = {one.symbol: one for one in INSTRUMENTS}
    for sent in case.truth.sent:
        if sent.terms is None:
            continue
        instrument, terms = by_symbol[sent.terms.symbol], sent.terms
        if terms.quantity <= 0 or terms.quantity % instrument.lot_size:
            yield f"{sent.link_id}: quantity {terms.quantity} is off the lot"
        for price in (terms.limit_price, terms.trigger_price, terms.stop_loss, terms.take_profit):
            if price is not None and (price <= 0 or price % instrument.tick_size):
                yield f"{sent.link_id}: price {price} is off the tick"


def i19_audit_chain(case: Case) -> Violations:
    """What the journal holds is what was written; where it is not, that is noticed before anything is done with it."""
    if case.evidence.broken:
        yield case.evidence.broken
    yield from case.evidence.unnoticed


_AGAIN = (e.DaemonStarted, e.DaemonStopped, e.PortfolioSnapshotTaken)


def i21_recovery_again(case: Case) -> Violations:
    """Starting again when nothing has happened changes nothing: no order, no fill, no adjustment."""
    for recorded in case.events:
        if recorded.sequence > case.evidence.mark and not isinstance(recorded.event, _AGAIN):
            yield f"a start when all was quiet recorded {recorded.event} at {recorded.sequence}"


def i22_convergence(case: Case) -> Violations:
    """When the faults have stopped the daemon is up, and nothing of it failed unexpectedly."""
    if case.evidence.core is None:
        yield "the daemon is not up"
    yield from (f"a process failed without a fault: {failure}" for failure in case.evidence.failures)
    yield from (f"nobody caught: {complaint}" for complaint in case.evidence.complaints)
    if not case.lost and case.evidence.venue is not None:
        yield from forgotten(case.timeline, case.truth, case.evidence.venue.now)


def i23_unknown_stays_unknown(case: Case) -> Violations:
    """Only evidence ends an order: what is called absent, not sent or rejected was never taken in."""
    taken = {one.link_id for one in case.truth.taken if not one.reason}
    rejected_late = {
        link for link in taken if case.evidence.venue is not None and case.evidence.venue.was_rejected(link)
    }
    for recorded in case.events:
        event = recorded.event
        if isinstance(event, e.OrderAbsent | e.OrderNotSent | e.OrderRejected):
            link = case.links[event.order_id]
            if link in taken and not (link in rejected_late and isinstance(event, e.OrderRejected)):
                yield f"{event.order_id} is {type(event).__name__} at {recorded.sequence}, yet it was taken in"


def i24_venue_made_facts(case: Case) -> Violations:
    """What others did is booked as theirs; and nothing is made up: the venue's history explains everything here.

    Trades that are heard of in another order than they happened realise their profit at other times than at the venue.
    Then the wallet is adjusted, and adjusted back when the position is closed; nothing else may be.
    """
    roles = {r.event.order_id: r.event.role for r in case.events if isinstance(r.event, e.OrderAdopted)}
    booked = {r.event.trade_id: r.event.order_id for r in case.events if isinstance(r.event, e.OrderFilled)}
    for one in case.truth.moved:
        if isinstance(one.what, Filled) and one.what.link_id.startswith(FOREIGN):
            order_id = booked.get(one.what.trade_id)
            if order_id is not None and roles.get(order_id) is not OrderRole.EXTERNAL:
                yield f"trade {one.what.trade_id} was made by somebody else and is booked to {order_id}"
    latest, is_reordered = 0, False
    for recorded in case.events:
        event = recorded.event
        if isinstance(event, e.OrderFilled):
            is_reordered |= int(event.trade_id) < latest
            latest = max(latest, int(event.trade_id))
        is_adjusted = isinstance(event, e.BalanceAdjusted) and event.unexplained and not is_reordered
        if isinstance(event, e.PositionAdjusted) or is_adjusted:
            yield f"{event} at {recorded.sequence} was not called for"


def i25_replay(case: Case) -> Violations:
    """Folding the journal again gives the live state."""
    state = State()
    for recorded in case.events:
        fold(state, recorded)
    live = case.state
    if live is not None and dump_state(state) != dump_state(live):
        yield "the journal folded again gives another state than the one that lives"
    for finding in check_state(state, {one.symbol: one for one in INSTRUMENTS}):
        if finding.verdict is Verdict.FAILED:
            yield f"{finding.check}: {finding.detail}"


INVARIANTS: tuple[Callable[[Case], Violations], ...] = (
    i01_intent_before_send,
    i02_one_id_one_content,
    i03_at_most_one_effect,
    i04_conservation,
    i05_execution_once,
    i06_monotone_order,
    i07_kill_gate,
    i08_protected,
    i09_stream,
    i10_durable_before_visible,
    i11_command_once,
    i12_single_writer,
    i15_plugin_containment,
    i16_exact_numbers,
    i19_audit_chain,
    i21_recovery_again,
    i22_convergence,
    i23_unknown_stays_unknown,
    i24_venue_made_facts,
    i25_replay,
)

#: Violations of one invariant that are told; one fault often shows many times.
TOLD = 5


def check(evidence: Evidence) -> list[str]:
    """Every violation, as `I04: what`."""
    case = Case(evidence)
    found: list[str] = []
    for invariant in INVARIANTS:
        name = invariant.__name__.partition("_")[0].upper()
        found += [f"{name}: {violation}" for violation, _ in zip(invariant(case), range(TOLD), strict=False)]
    return found
