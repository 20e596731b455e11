"""Owns the client of a soak: wants one thing after another, and asks until it is answered, whatever dies."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

import grpc

from quarterdeck.simulation.dice import dice
from quarterdeck.v1 import order_pb2
from tests.e2e.process import IMPATIENT
from tests.faults import wishes
from tests.faults.wishes import PATIENCE, Answer, Stubs, Wish, refusal
from tests.soak.listing import LISTING, SYMBOLS, about
from tests.soak.stage import Stage

#: Wishes a second, on average.
PACE = 4.0

#: Without any answer for this long the daemon is not coming back.
LOST = 180.0

_SIDES = (order_pb2.Order.SIDE_BUY, order_pb2.Order.SIDE_SELL)


class Client:
    """Draws its wishes from a seed. What it knows of its orders is what it was answered."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._chance = dice(seed, "client")
        self._resting: list[str] = []
        self._sides = dict.fromkeys(SYMBOLS, order_pb2.Order.SIDE_BUY)
        """Which way it mostly trades now: what would be against a position can't carry a stop."""
        self._channel = grpc.insecure_channel(stage.lives.daemon.address, options=IMPATIENT)
        self._stubs = Stubs(self._channel)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="client", daemon=True)
        self.wishes: list[Wish] = []
        self.answers: Counter[str] = Counter()
        self.failure = ""

    def begin(self) -> None:
        """Begin to wish."""
        self._thread.start()

    def stop(self) -> None:
        """Wish for nothing more, once the last wish has its answer."""
        self._over.set()
        self._thread.join()

    def hang_up(self) -> None:
        """Ask nothing any more."""
        self._channel.close()

    def tidy(self) -> None:
        """Everything asked again, and then nothing left: trading released, orders canceled, positions closed."""
        for wish in list(self.wishes):
            self._ask(wish)
        self.wish(wishes.release())
        for bot in ("flip-btc", "flip-eth"):
            self.wish(wishes.stop_bot(bot))
        self.wish(wishes.cancel_all())
        self.close()

    def close(self) -> None:
        """No positions any more."""
        for symbol in SYMBOLS:
            self.wish(wishes.close(symbol))

    def wish(self, wish: Wish) -> Answer | None:
        """Ask for something until it is answered."""
        self.wishes.append(wish)
        answer = self._ask(wish)
        if answer is not None:
            self.answers[answer.reason] += 1
        return answer

    # ------------------------------------------------------------ asking

    def _run(self) -> None:
        while not self._over.wait(self._chance.expovariate(PACE)) and not self.failure:
            self._draw()

    def _ask(self, wish: Wish) -> Answer | None:
        deadline = time.monotonic() + LOST
        while time.monotonic() < deadline:
            try:
                response = wish.method(self._stubs)(wish.request, timeout=PATIENCE)
            except grpc.RpcError as error:
                answer = refusal(error)
                if answer is None:
                    time.sleep(0.05)
                    continue
            else:
                name = response.order.name if hasattr(response, "order") else ""
                answer = Answer("OK", response.sequence, name, response)
            wish.answers.append(answer)
            return answer
        self.failure = f"{type(wish.request).__name__} was not answered within {LOST:g} s"
        return None

    # ------------------------------------------------------------ wishes

    def _draw(self) -> None:
        chance = self._chance
        is_halted = bool(self.wishes) and self.wishes[-1].answers[-1].reason == "TRADING_HALTED"
        if is_halted and chance.random() < 0.3:
            self._release(chance)
            return
        kinds: dict[Callable[[random.Random], None], float] = {
            self._market: 40,
            self._limit: 25,
            self._stop_entry: 3,
            self._reduce: 5,
            self._amend: 6,
            self._cancel: 10,
            self._close: 4,
            self._cancel_all: 0.7,
            self._kill: 0.6,
            self._release: 1,
            self._start_bots: 1,
            self._pause_bot: 0.3,
        }
        chance.choices(list(kinds), list(kinds.values()))[0](chance)

    def _create(self, terms: _Terms, kind: order_pb2.Order.Type.ValueType, *, rests: bool = False) -> None:
        order_id = f"c-{len(self.wishes)}"
        answer = self.wish(
            wishes.create(
                order_id,
                instrument=terms.symbol,
                side=terms.side,
                kind=kind,
                quantity=terms.quantity,
                time_in_force=terms.time_in_force,
                reduce=terms.reduce,
                prices=terms.prices,
            )
        )
        if rests and answer is not None and answer.reason == "OK":
            self._resting.append(order_id)
            del self._resting[:-30]

    def _market(self, chance: random.Random) -> None:
        terms = _Terms(self._stage, chance, self._sides)
        terms.protect()
        self._create(terms, order_pb2.Order.TYPE_MARKET)

    def _limit(self, chance: random.Random) -> None:
        terms = _Terms(self._stage, chance, self._sides)
        terms.at("limit_price", -chance.choice((-0.001, 0.0001, 0.0005, 0.002, 0.01)))
        terms.protect()
        word = chance.choices(("GTC", "IOC", "POST_ONLY", "FOK"), (6, 1, 2, 1))[0]
        terms.time_in_force = order_pb2.Order.TimeInForce.Value(f"TIME_IN_FORCE_{word}")
        self._create(terms, order_pb2.Order.TYPE_LIMIT, rests=True)

    def _stop_entry(self, chance: random.Random) -> None:
        terms = _Terms(self._stage, chance, self._sides)
        terms.at("trigger_price", chance.choice((0.001, 0.003)))
        terms.protect()
        self._create(terms, order_pb2.Order.TYPE_STOP, rests=True)

    def _reduce(self, chance: random.Random) -> None:
        terms = _Terms(self._stage, chance, self._sides)
        buys = terms.side == order_pb2.Order.SIDE_BUY
        terms.side = order_pb2.Order.SIDE_SELL if buys else order_pb2.Order.SIDE_BUY
        terms.reduce = True
        self._create(terms, order_pb2.Order.TYPE_MARKET)

    def _amend(self, chance: random.Random) -> None:
        if not self._resting:
            return
        order_id = chance.choice(self._resting)
        terms = _Terms(self._stage, chance, self._sides)
        terms.at("limit_price", -chance.choice((0.0005, 0.002, 0.01)))
        with_quantity = chance.random() < 0.4
        self.wish(wishes.amend(order_id, terms.prices["limit_price"], terms.quantity if with_quantity else ""))

    def _cancel(self, chance: random.Random) -> None:
        if self._resting:
            self.wish(wishes.cancel(self._resting.pop(chance.randrange(len(self._resting)))))

    def _close(self, chance: random.Random) -> None:
        symbol = chance.choice(SYMBOLS)
        self._sides[symbol] = chance.choice(_SIDES)
        self.wish(wishes.close(symbol))

    def _cancel_all(self, _: random.Random) -> None:
        self.wish(wishes.cancel_all())

    def _kill(self, chance: random.Random) -> None:
        self.wish(wishes.kill(flatten=chance.random() < 0.5))

    def _release(self, _: random.Random) -> None:
        self.wish(wishes.release())

    def _start_bots(self, chance: random.Random) -> None:
        self.wish(wishes.start_bot(chance.choice(("flip-btc", "flip-eth"))))

    def _pause_bot(self, chance: random.Random) -> None:
        self.wish(wishes.pause_bot(chance.choice(("flip-btc", "flip-eth"))))


class _Terms:
    """Terms of an order in the making: prices are given as parts of the market's, in the order's favour."""

    def __init__(
        self, stage: Stage, chance: random.Random, sides: Mapping[str, order_pb2.Order.Side.ValueType]
    ) -> None:
        self._chance = chance
        self.symbol = chance.choice(SYMBOLS)
        self.side = sides[self.symbol] if chance.random() < 0.9 else chance.choice(_SIDES)
        self.reduce = False
        self.time_in_force: order_pb2.Order.TimeInForce.ValueType | None = None
        self.prices: dict[str, str] = {}
        self._price = stage.market.prices[self.symbol]
        self._sign = 1 if self.side == order_pb2.Order.SIDE_BUY else -1
        self.quantity = about(self.symbol, chance.choice((30, 100, 300, 1_000)))

    def at(self, name: str, part: float) -> None:
        """A price, so much of the market's beyond it."""
        tick = LISTING[self.symbol][0].tick_size
        ticks = round(self._price * (1 + self._sign * part) / float(tick))
        self.prices[name] = f"{ticks * tick:f}"

    def protect(self) -> None:
        """A stop, and sometimes a target, within reach of the next seconds or minutes."""
        if self._chance.random() < 0.9:
            self.at("stop_loss", -self._chance.choice((0.004, 0.008, 0.02)) - 0.01 * ("limit_price" in self.prices))
        if self._chance.random() < 0.3:
            self.at("take_profit", self._chance.choice((0.003, 0.006, 0.02)) + 0.003)
