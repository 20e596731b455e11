"""Owns carrying a plan out: each act at its time, on the simulated Bybit or on the daemon's process."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

from quarterdeck_bybit_simulator.order import category_of
from quarterdeck_bybit_simulator.refusals import Refusal
from tests.soak import protection
from tests.soak.plan import Act
from tests.soak.stage import USER, Stage

MILLISECOND = 1_000_000


class Nemesis:
    """Does what a plan says. Everything that lasts is taken back when its time is over, or all at once by `relent`."""

    def __init__(self, stage: Stage, plan: list[Act]) -> None:
        self._stage = stage
        self._plan = plan
        self._ends: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self.acts: Counter[str] = Counter()
        self.others = 0
        """Acts that are no rules of the simulator's, which counts itself how often one was met."""

    def run(self, seconds: float, interrupted: Callable[[], bool]) -> None:
        """Carry it out for so long. Processes that have ended are started again."""
        began = time.monotonic()
        plan = iter(self._plan)
        act = next(plan, None)
        while (now := time.monotonic() - began) < seconds and not interrupted():
            while act is not None and act.at <= now:
                self._do(act, now)
                act = next(plan, None)
            while self._ends and self._ends[0][0] <= now:
                heapq.heappop(self._ends)[2]()
            self._stage.lives.watch()
            time.sleep(0.05)
        self.relent()

    def relent(self) -> None:
        """Let everything go right again."""
        for _, _, end in self._ends:
            end()
        self._ends.clear()
        self._stage.running.call(self._stage.simulator.faults.clear)

    # ------------------------------------------------------------ acts

    def _do(self, act: Act, now: float) -> None:
        self.acts[act.kind] += 1
        stage, data = self._stage, act.data
        call, settings = stage.running.call, stage.simulator.settings
        ends = now + act.seconds
        if "do" in data:
            rule = call(lambda: stage.simulator.faults.add(data))
            self._later(ends, lambda: call(lambda: stage.simulator.faults.remove(rule)))
            return
        self.others += 1
        if act.kind == "maintenance":
            settings.is_in_maintenance = True
            self._later(ends, lambda: setattr(settings, "is_in_maintenance", False))
        elif "ms" in data:
            name = {"invisible orders": "visibility_delay", "stale reads": "read_lag"}[act.kind]
            setattr(settings, name, int(data["ms"] * MILLISECOND))
            self._later(ends, lambda: setattr(settings, name, 0))
        else:
            self._do_at_once(act)

    def _do_at_once(self, act: Act) -> None:
        stage, lives, data = self._stage, self._stage.lives, act.data
        call = stage.running.call
        match act.kind:
            case "all sockets dropped":
                call(stage.running.server.drop_all)
            case "service restarted":
                call(stage.account.forget_recent)
            case "by hand":
                call(lambda: self._trade_by_hand(data["symbol"], data["side"], Decimal(data["quantity"])))
            case "stop removed":
                call(self._remove_stop)
            case "funding":
                stage.market.fund(data["symbol"], data["rate"])
            case "transfer":
                call(lambda: stage.account.adjust("USDT", Decimal(data["amount"])))
            case "liquidation":
                call(self._liquidate)
            case "kill":
                lives.kill()
            case "failpoint":
                lives.kill(data["point"])
            case "pause":
                lives.pause(act.seconds)
            case "restart":
                lives.restart()
            case _:
                raise AssertionError(f"nobody knows how to do {act}")

    def _later(self, at: float, end: Callable[[], object]) -> None:
        heapq.heappush(self._ends, (at, next(self._numbers), end))

    def _trade_by_hand(self, symbol: str, side: str, quantity: Decimal) -> None:
        with suppress(Refusal):  # there may be nothing to sell
            self._stage.simulator.trade_elsewhere(USER, symbol, side, quantity)

    def _remove_stop(self) -> None:
        """The account's owner takes a stop off in Bybit's own app."""
        account = self._stage.account
        stops = [one for one in account.open_orders() if one.stop_type in protection.STOPS and not one.was_triggered]
        if stops:
            market = f"{category_of(stops[0].instrument)} {stops[0].instrument.venue_symbol}"
            self._stage.simulator.truth.note("removed", symbol=market)
            account.cancel(stops[0])

    def _liquidate(self) -> None:
        """The margin is gone when the next price is seen, and the money is put back after that.

        Enough is left to pay for the end: Bybit does not say how it books what its insurance fund pays.
        """
        account, prices = self._stage.account, self._stage.market.prices
        held = [(account.instruments[one.symbol], one.quantity) for one in account.venue.positions() if one.quantity]
        if not held:
            return
        needed = sum(
            abs(quantity) * Decimal(str(prices[one.symbol])) * one.maintenance_margin_rate for one, quantity in held
        )
        taken = (account.venue.margin_balance("USDT") - needed * Decimal("0.7")).quantize(Decimal("0.01"))
        account.adjust("USDT", -taken)
        for market in self._stage.simulator.markets.values():
            quote = market.quote(self._stage.simulator.now())
            if quote is not None:
                account.show(quote)
        account.adjust("USDT", taken)
