"""Owns the account as deciders see it: state valued at the latest marks. Implements `domain.deciders.AccountView`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine.market import Market
from quarterdeck.engine.obstacles import Obstacle, Obstacles
from quarterdeck.engine.state import Exposure, State


class View:
    """Reads through to the state, so it is always current; nothing here can be written."""

    __slots__ = ("_equity", "_instruments", "_market", "_now", "_obstacles", "_state", "_valued_at")

    def __init__(
        self,
        state: State,
        market: Market,
        instruments: Mapping[str, Instrument],
        obstacles: Obstacles,
    ) -> None:
        self._state = state
        self._market = market
        self._instruments = instruments
        self._obstacles = obstacles
        self._now = 0
        self._equity = ZERO
        self._valued_at = (-1, -1)

    def at(self, now: int) -> View:
        """This view, at the time of the input being decided."""
        self._now = now
        return self

    @property
    def now(self) -> int:
        """Time of the input being decided, in nanoseconds."""
        return self._now

    @property
    def trading_state(self) -> TradingState:
        """What the account may do."""
        return self._state.trading_state

    def obstacle(self, symbol: str) -> Obstacle | None:
        """Why nothing that adds risk may leave for an instrument now; None if nothing stands in the way."""
        return self._obstacles.to(symbol, self._now)

    @property
    def wallet(self) -> Decimal:
        """Settle-currency balance, without unrealised profit."""
        return self._state.wallet

    @property
    def unrealized_pnl(self) -> Decimal:
        """Profit of all contracts if closed at their marks; a position without a mark counts at its entry price."""
        total = ZERO
        for symbol, position in self._state.positions.items():
            if position.quantity and not self._is_spot(symbol):
                mark = self._market.worth(symbol)
                if mark is not None:
                    total += position.unrealized_pnl(mark)
        return total

    @property
    def equity(self) -> Decimal:
        """Wallet plus unrealised profit, plus what is held of other currencies at the mark of their spot instrument."""
        now = (self._state.sequence, self._market.version)
        if now != self._valued_at:  # every rule asks for it, and nothing else moves it
            self._equity = self._state.wallet + self.unrealized_pnl + self._spot_value()
            self._valued_at = now
        return self._equity

    def _is_spot(self, symbol: str) -> bool:
        instrument = self._instruments.get(symbol)
        return instrument is not None and instrument.kind is InstrumentKind.SPOT

    def _spot_value(self) -> Decimal:
        if len(self._state.ledger.totals) <= 1:
            return ZERO
        total = ZERO
        counted: set[str] = set()
        for instrument in self._instruments.values():
            if instrument.kind is not InstrumentKind.SPOT or instrument.quote != self._state.settle:
                continue
            if instrument.base in counted:
                continue
            held = self._state.ledger.wallet(instrument.base)
            if held:
                counted.add(instrument.base)
                total += held * (self._market.mark(instrument.symbol) or ZERO)
        return total

    @property
    def day_start_equity(self) -> Decimal:
        """Equity at the first record of the current UTC day."""
        return self._state.day_start_equity

    @property
    def peak_equity(self) -> Decimal:
        """Highest recorded equity."""
        return self._state.peak_equity

    @property
    def open_positions(self) -> int:
        """Instruments with a position or an entry that may still fill."""
        state = self._state
        count = 0
        for symbol in state.exposures.keys() | state.positions.keys():
            if self.is_held_or_pending(symbol):
                count += 1
        return count

    @property
    def exposure_notional(self) -> Decimal:
        """Absolute notional of all positions at the latest marks, plus of all entries that may still fill."""
        total = ZERO
        for symbol, position in self._state.positions.items():
            if position.quantity:
                mark = self._market.worth(symbol)
                total += abs(position.cost if mark is None else position.quantity * mark)
        for exposure in self._state.exposures.values():
            total += exposure.pending_notional
        return total

    def instrument(self, symbol: str) -> Instrument | None:
        """An instrument by id."""
        return self._instruments.get(symbol)

    def mark(self, symbol: str) -> Decimal | None:
        """Latest price seen, or None before the first observation."""
        return self._market.mark(symbol)

    def worth(self, symbol: str) -> Decimal | None:
        """What a position in it is valued at: the venue's mark price, the latest price where it states none."""
        return self._market.worth(symbol)

    def position_quantity(self, symbol: str) -> Decimal:
        """Signed position of the account in an instrument."""
        position = self._state.positions.get(symbol)
        return ZERO if position is None else position.quantity

    def pending_quantity(self, symbol: str) -> Decimal:
        """Signed quantity of entries that may still fill; an order whose outcome is unknown counts in full."""
        exposure = self._exposure(symbol)
        return exposure.pending_buy - exposure.pending_sell

    def open_risk(self, symbol: str) -> Decimal:
        """Settle currency lost if every position and pending entry ran from its entry price to its stop; at least zero.

        What has no stop is counted as lost whole, at its entry price.
        """
        exposure = self._exposure(symbol)
        position = self._state.positions.get(symbol)
        if position is None or not position.quantity:
            return exposure.pending_risk
        cost, held = abs(position.cost), abs(position.quantity)
        covered, stopped = exposure.stopped_quantity, exposure.stopped_value
        if covered > held:  # stops that outlive a part of the position can't close more than is left
            covered, stopped = held, stopped * held / covered
        loss = cost - stopped if position.quantity > 0 else stopped + cost - 2 * covered * cost / held
        return max(loss, ZERO) + exposure.pending_risk

    def is_held_or_pending(self, symbol: str) -> bool:
        """Whether the instrument counts among `open_positions`."""
        position = self._state.positions.get(symbol)
        if position is not None and position.quantity:
            return True
        exposure = self._exposure(symbol)
        return bool(exposure.pending_buy or exposure.pending_sell)

    def entries_since(self, time: int) -> int:
        """How many entry orders were approved at or after `time`, at most the last hour's."""
        times = self._state.entry_times
        return len(times) - bisect_left(times, time)

    def unknown_orders(self, symbol: str) -> int:
        """Orders of the instrument whose outcome is not known."""
        return self._exposure(symbol).unknown

    def share_quantity(self, symbol: str, bot_id: str) -> Decimal:
        """Signed quantity one owner holds of an instrument."""
        return self._state.share(symbol, bot_id).quantity

    @property
    def open_order_count(self) -> int:
        """Orders of any role that may still trade."""
        return len(self._state.open_orders)

    def _exposure(self, symbol: str) -> Exposure:
        return self._state.exposures.get(symbol) or _NO_EXPOSURE


_NO_EXPOSURE = Exposure()
