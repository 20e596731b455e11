"""Owns the scripted session: what a client wants, in order, under request ids that survive the daemon.

A wish that got no answer is asked again under its id once the daemon is back; what it answers then is held against
everything it has answered before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc

from quarterdeck.v1 import market_data_service_pb2, order_pb2
from tests.e2e.process import IMPATIENT, DaemonProcess
from tests.faults import wishes
from tests.faults.wishes import PATIENCE, Answer, Stubs, Wish, refusal

#: A market fast enough that the bot trades now and then, rules that stay out of the way, but one that refuses.
CONFIG = """\
mode = "paper"
[journal]
url = "{url}"
reserve_mib = 1
[exchange]
plugin = "{venue}"
[exchange.settings.balances]
USDT = "1000000"
[feed]
plugin = "synthetic"
[feed.settings]
seed = 6
speed = 100
[[risk]]
plugin = "limits"
[risk.settings]
max_daily_loss = 1
max_drawdown = 1
max_position_risk = 1
max_notional = 100000
max_entries_per_minute = "off"
price_band = "off"
[[bots]]
id = "crossing"
strategy = "sma-cross"
instrument = "btcusdt"
interval = "1m"
[bots.settings]
fast = 2
slow = 5
"""


class Down(Exception):
    """The daemon has ended before it answered."""


class Session:
    """Plays the script on a daemon, as far as it lives; goes on where it was when there is another."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.daemon = daemon
        self.wishes: list[Wish] = []
        self._script = self._steps()
        self._is_over = False
        self._stubs: Stubs | None = None

    def play(self) -> None:
        """Go on until the script is over.

        Raises:
            Down: the daemon has ended.
        """
        with grpc.insecure_channel(self.daemon.address, options=IMPATIENT) as channel:
            self._stubs = Stubs(channel)
            self._wait_for_market()
            if self.wishes and not self.wishes[-1].answers:
                self._ask(self.wishes[-1])
            while not self._is_over:
                wish = next(self._script, None)
                if wish is None:
                    self._is_over = True
                else:
                    self.wishes.append(wish)
                    self._ask(wish)

    def repeat(self) -> None:
        """Ask everything once more; the answers are added to those of before.

        Raises:
            Down: the daemon has ended.
        """
        with grpc.insecure_channel(self.daemon.address, options=IMPATIENT) as channel:
            self._stubs = Stubs(channel)
            for wish in self.wishes:
                self._ask(wish)

    def misuse(self) -> Answer:
        """Ask for something else under an id that was used; returns what is answered."""
        with grpc.insecure_channel(self.daemon.address, options=IMPATIENT) as channel:
            self._stubs = Stubs(channel)
            used = next(wish for wish in self.wishes if wish.answers and wish.answers[0].reason == "OK")
            other = self._create("another", limit=0.5)
            other.request.request_id = used.request_id
            self._ask(other)
            return other.answers[0]

    # ------------------------------------------------------------ asking

    def _ask(self, wish: Wish) -> None:
        while True:
            assert self._stubs is not None
            try:
                response = wish.method(self._stubs)(wish.request, timeout=PATIENCE)
            except grpc.RpcError as error:
                answer = refusal(error)
                if answer is None:
                    self._wait_for_another_try()
                    continue
                wish.answers.append(answer)
            else:
                order = response.order if hasattr(response, "order") else None
                name = "" if order is None else order.name
                wish.answers.append(Answer("OK", response.sequence, name, response))
            return

    def _wait_for_market(self) -> None:
        """A market order needs a price to be judged by, and a daemon has none before its first candle."""
        while True:
            assert self._stubs is not None
            quotes = self._stubs.market.StreamQuotes(market_data_service_pb2.StreamQuotesRequest(), timeout=PATIENCE)
            try:
                next(iter(quotes))
            except grpc.RpcError:
                self._wait_for_another_try()
            else:
                quotes.cancel()
                return

    def _wait_for_another_try(self) -> None:
        """The call failed on its way: either the daemon is gone, or it is about to be there."""
        time.sleep(0.02)
        if self.daemon.process.poll() is not None:
            raise Down

    # ------------------------------------------------------------ the script

    def _steps(self) -> Iterator[Wish]:
        """About thirty orders, and everything that can be done with them."""
        for number in range(1, 7):
            yield self._create(f"rest-{number}", limit=0.9 - number / 100, stop=0.7)
        yield self._create("market", stop=0.9, target=1.2)
        yield self._create("late", side=order_pb2.Order.SIDE_SELL, limit=1.3, stop=1.5)
        yield self._create("huge", quantity="9")
        yield self._create("rest-1", limit=0.5)  # the id is taken
        yield self._amend("rest-1", 0.85)
        yield self._amend("rest-2", 0.84)
        yield wishes.cancel("rest-1")
        yield wishes.cancel("rest-3")
        yield wishes.cancel("rest-3")  # again, under another id
        yield self._create("part", side=order_pb2.Order.SIDE_SELL, quantity="0.004", reduce=True)
        yield wishes.kill(flatten=False)
        yield self._create("halted", limit=0.8)
        yield wishes.release()
        for number in range(1, 5):
            yield self._create(f"more-{number}", limit=0.9 - number / 100, stop=0.7)
        yield wishes.make_bot("second")
        yield wishes.start_bot("second")
        yield self._amend("more-1", 0.8, "0.005")
        yield self._create("second-market", stop=0.95)
        yield self._create("stop-in", kind=order_pb2.Order.TYPE_STOP, trigger=1.4, stop=1.3)
        yield wishes.pause_bot("second")
        yield wishes.cancel("stop-in")
        yield wishes.kill(flatten=True)
        yield wishes.release()
        yield wishes.start_bot("second")
        for number in range(1, 7):
            yield self._create(f"last-{number}", limit=0.9 - number / 100, stop=0.7)
            if number == 3:
                yield self._create("last-market", stop=0.9)
                yield self._create("third-market", side=order_pb2.Order.SIDE_SELL, stop=1.1)
        yield self._amend("last-2", 0.83)
        yield wishes.cancel("last-1")
        yield wishes.close()
        yield wishes.cancel_all()
        yield self._create("end", limit=0.8)
        yield wishes.stop_bot("second")

    def _create(
        self,
        order_id: str,
        *,
        side: order_pb2.Order.Side.ValueType = order_pb2.Order.SIDE_BUY,
        kind: order_pb2.Order.Type.ValueType | None = None,
        quantity: str = "0.01",
        limit: float = 0.0,
        trigger: float = 0.0,
        stop: float = 0.0,
        target: float = 0.0,
        reduce: bool = False,
    ) -> Wish:
        """An order; prices are parts of the market's."""
        parts = {"limit_price": limit, "trigger_price": trigger, "stop_loss": stop, "take_profit": target}
        prices = {name: _at(part) for name, part in parts.items() if part}
        kind = kind or (order_pb2.Order.TYPE_LIMIT if limit else order_pb2.Order.TYPE_MARKET)
        return wishes.create(order_id, side=side, kind=kind, quantity=quantity, reduce=reduce, prices=prices)

    def _amend(self, order_id: str, part: float, quantity: str = "") -> Wish:
        return wishes.amend(order_id, _at(part), quantity)


#: About where the market of the script's seed begins; it does not go far in the time a script takes.
PRICE = 60_000


def _at(part: float) -> str:
    return str(round(PRICE * part))
