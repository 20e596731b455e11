"""Owns the order of things: one input at a time, written down before anything of it is seen or sent.

    inputs ──► machine.step (fold at once) ──► journal, one fsync for all that queued ──► publish, act, answer

While a commit is under way new inputs wait, so what is in memory and not yet durable is never decided upon by a reader:
`settled` lets reads wait for the same commit. A commit that fails ends the daemon; memory is ahead of the journal then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from quarterdeck.daemon.clock import Clock
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.domain.errors import QuarterdeckError, Unavailable
from quarterdeck.engine.effects import Effect
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.inputs import NO_REQUEST, Input, Request, SubmitOrder
from quarterdeck.engine.machine import Machine

#: Inputs taken between two commits; bounds how long readers wait behind a burst.
BATCH = 256

#: Seconds that the news of `note` waits for company: a caller's next order is there sooner.
LINGER = 0.001

#: Rounds of the event loop that orders wait which came during a commit. In them what came of it goes on its way, and a
#: caller who is answered asks again: a few large commits cost much less than many small ones. Nothing else waits: what
#: takes risk off, such as the kill switch, is taken in the next round, and all that came before it as well.
ROUNDS = 30


class Committer(Protocol):
    """Makes events durable, in order."""

    def commit(self, events: Sequence[Recorded], done: Callable[[BaseException | None], None]) -> None:
        """Start writing; `done` is called on the event loop once all of them are durable, or with what went wrong."""


#: The first event a command led to; its sequence alone if the same request was handled before; None if there is none.
Answer = Recorded | int | None
Publish = Callable[[Sequence[Recorded]], None]
Act = Callable[[Sequence[Effect]], None]
_Waiting = tuple[asyncio.Future[Answer], Answer]


class Loop:
    """Feeds the machine. Everything here runs on the event loop's thread."""

    def __init__(self, machine: Machine, committer: Committer, clock: Clock) -> None:
        self._machine = machine
        self._committer = committer
        self._clock = clock
        self._inputs: deque[tuple[Input, Request, asyncio.Future[Answer] | None]] = deque()
        self._busy = False
        self._rounds = 0
        """How many rounds of the event loop to wait before inputs are taken; 0 if nothing hurries."""
        self._counting = False
        self._lingering: asyncio.TimerHandle | None = None
        self._readers: list[asyncio.Future[None]] = []
        self._idlers: list[asyncio.Future[None]] = []
        self._outstanding = 0
        self._publish: list[Publish] = []
        self._act: Act = _no_link
        self.anomalies: deque[str] = deque(maxlen=100)
        self.broken: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def connect(self, act: Act, publish: Sequence[Publish]) -> None:
        """Say who acts on effects and who hears of durable events."""
        self._act = act
        self._publish = list(publish)

    # ------------------------------------------------------------ in

    def post(self, item: Input) -> None:
        """Take news that nobody waits for: market events, reports, notices."""
        self._inputs.append((item, NO_REQUEST, None))
        self._hurry()

    def note(self, item: Input) -> None:
        """Take news that nobody has to hear of at once, such as that an order works now.

        It lingers a moment for inputs to share a commit with, instead of having them wait for its own. Readers never
        miss it: whoever wants to know how things stand ends the wait.
        """
        self._inputs.append((item, NO_REQUEST, None))
        if self._idlers:
            self._hurry()
        else:
            self._linger()

    def take(self, item: Input) -> None:
        """Take news at once instead of in the event loop's next round; for feeds that replay at full speed."""
        self._inputs.append((item, NO_REQUEST, None))
        if not self._busy:
            self.pump()

    def ask(self, item: Input, request: Request = NO_REQUEST) -> asyncio.Future[Answer]:
        """Take a command. The future is done once its outcome is durable.

        It fails with the CallerError the engine raised; then nothing was recorded.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self.broken.done():  # nothing is taken any more, so nobody would ever answer
            answer.set_exception(_stopping())
            return answer
        self._inputs.append((item, request, answer))
        may_wait = isinstance(item, SubmitOrder) and (self._busy or self._rounds)
        self._hurry(ROUNDS if may_wait else 1)
        return answer

    def pump(self) -> None:
        """Take all waiting inputs now, unless a commit is under way."""
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._busy or self.broken.done():
            return
        events: list[Recorded] = []
        effects: list[Effect] = []
        waiting: list[_Waiting] = []
        inputs = self._inputs
        step, now = self._machine.step, self._clock.now
        taken = 0
        while inputs and taken < BATCH:
            item, request, answer = inputs.popleft()
            taken += 1
            try:
                repeated = self._machine.seen(request)
                if repeated is not None:
                    if answer is not None:
                        waiting.append((answer, repeated))
                    continue
                turn = step(item, now(), request)
            except QuarterdeckError as error:
                if answer is not None and not answer.cancelled():
                    answer.set_exception(error)
                continue
            except BaseException as error:  # noqa: BLE001 - a bug in the core: what is in memory can't be trusted
                self._break(error, waiting if answer is None else [*waiting, (answer, None)])
                return
            if turn is None:
                if answer is not None:
                    waiting.append((answer, None))
                continue
            events += turn.events
            effects += turn.effects
            self.anomalies.extend(turn.anomalies)
            if answer is not None:
                waiting.append((answer, turn.events[0] if turn.events else None))
        self._rounds = 1 if inputs else 0
        if events:
            self._busy = True
            self._committer.commit(events, lambda failure: self._committed(failure, events, effects, waiting))
        else:
            self._finish(effects, waiting)

    # ------------------------------------------------------------ out

    def _committed(
        self,
        failure: BaseException | None,
        events: list[Recorded],
        effects: list[Effect],
        waiting: list[_Waiting],
    ) -> None:
        self._busy = False
        if failure is not None:
            self._break(failure, waiting)
            return
        failpoint("loop.durable")
        for publish in self._publish:
            publish(events)
        failpoint("loop.published")
        _wake(self._readers)  # before the next inputs, else a reader could wait for ever
        self._finish(effects, waiting)

    def _finish(self, effects: list[Effect], waiting: list[_Waiting]) -> None:
        if effects:
            self._act(effects)
            if waiting:  # what is on its way to the venue does not wait for answers to be written
                asyncio.get_running_loop().call_soon(_answer, waiting)
        elif waiting:
            _answer(waiting)
        if self._inputs and (self._rounds or self._idlers):
            self._rounds = 1 if self._idlers else self._rounds
            self._count()
        elif self._inputs:
            self._linger()
        elif self.is_idle:
            _wake(self._idlers)

    def _hurry(self, rounds: int = 1) -> None:
        """Have the inputs taken within so many rounds of the event loop, counted from the end of a commit under way."""
        self._rounds = min(self._rounds or rounds, rounds)
        self._count()

    def _count(self) -> None:
        if not self._counting and not self._busy:
            self._counting = True
            asyncio.get_running_loop().call_soon(self._end_round)

    def _end_round(self) -> None:
        self._counting = False
        if self._busy or not self._rounds:  # what hurried was taken meanwhile
            return
        self._rounds -= 1
        if self._rounds:
            self._count()
        else:
            self.pump()

    def _linger(self) -> None:
        if self._lingering is None and not self._rounds and not self._busy:
            self._lingering = asyncio.get_running_loop().call_later(LINGER, self.pump)

    def fail(self, error: BaseException) -> None:
        """Take nothing any more, because of something that happened elsewhere."""
        self._break(error, ())

    def _break(self, error: BaseException, waiting: Sequence[_Waiting]) -> None:
        """Nothing more is taken. Whoever waits is told; whether what they asked for is durable, nobody knows."""
        if not self.broken.done():
            self.broken.set_result(error)
        unheard = [answer for answer, _ in waiting] + [answer for _, _, answer in self._inputs if answer is not None]
        self._inputs.clear()
        for answer in unheard:
            if not answer.done():
                answer.set_exception(_stopping())
        _wake(self._readers)
        _wake(self._idlers)

    # ------------------------------------------------------------ waiting

    def hindrance(self, link_id: str) -> str:
        """Why an order may not leave at this very moment; empty if it may. What is not durable yet counts, too."""
        return self._machine.hindrance(link_id)

    def emptied(self, symbols: Collection[str]) -> Collection[str]:
        """Of these instruments, those in whose books nothing rests that was not asked to end."""
        return self._machine.emptied(symbols)

    @property
    def is_settled(self) -> bool:
        """Whether everything in memory is durable, and no news lingers."""
        return not self._busy and self._lingering is None

    @property
    def waiting(self) -> int:
        """Inputs that wait to be taken."""
        return len(self._inputs)

    async def settled(self) -> int:
        """Wait until everything in memory is durable, news that lingers included; returns the sequence it is at."""
        while not self.is_settled:
            if self._busy:
                await _wait_in(self._readers)
            else:
                self.pump()
        return self._machine.state.sequence

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing left to do: no inputs, no commit, no request at the venue."""
        return not (self._busy or self._inputs or self._outstanding)

    async def idle(self) -> None:
        """Wait until all that follows from what was posted has happened."""
        if self._lingering is not None:
            self.pump()
        while not self.is_idle and not self.broken.done():
            await _wait_in(self._idlers)

    def begin(self) -> None:
        """The order link starts a request at the venue."""
        self._outstanding += 1

    def end(self) -> None:
        """That request is over, and what came of it has been posted."""
        self._outstanding -= 1
        if self.is_idle:
            _wake(self._idlers)


def _wait_in(queue: list[asyncio.Future[None]]) -> asyncio.Future[None]:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    queue.append(waiter)
    return waiter


def _answer(waiting: Sequence[_Waiting]) -> None:
    for answer, outcome in waiting:
        if not answer.done():
            answer.set_result(outcome)
    failpoint("loop.answered")


def _wake(queue: list[asyncio.Future[None]]) -> None:
    waiters = queue.copy()
    queue.clear()
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


def _stopping() -> Unavailable:
    return Unavailable("NOT_READY", "the daemon is stopping; ask again when it is back", {"state": "STOPPING"})


def _no_link(effects: Sequence[Effect]) -> None:
    raise RuntimeError(f"no order link is connected for {effects}")
