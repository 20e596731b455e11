"""Owns what the engine asks of plugins: the protocols of strategy, sizer, scaler and risk rule, and the view they get.

Deciders are pure of I/O and clocks: they see what they are handed, and propose. Only the core acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Protocol

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle
from quarterdeck.domain.risk import LimitStatus, OrderDraft, Refused, TradingState
from quarterdeck.domain.signal import Holding, Signal
from quarterdeck.domain.sizing import RiskRatio, Scale, Sized, SizingRequest


class AccountView(Protocol):
    """The account as deciders may read it: facts from the journal, valued at the latest marks."""

    @property
    def now(self) -> int:
        """Time of the input being decided, in nanoseconds."""

    @property
    def trading_state(self) -> TradingState:
        """What the account may do."""

    @property
    def wallet(self) -> Decimal:
        """Settle-currency balance, without unrealised profit."""

    @property
    def equity(self) -> Decimal:
        """Wallet plus unrealised profit (and spot holdings) at the latest marks."""

    @property
    def day_start_equity(self) -> Decimal:
        """Equity at the first record of the current UTC day."""

    @property
    def peak_equity(self) -> Decimal:
        """Highest recorded equity."""

    @property
    def open_positions(self) -> int:
        """Instruments with a position or an entry that may still fill."""

    @property
    def exposure_notional(self) -> Decimal:
        """Absolute notional of all positions at the latest marks, plus of all entries that may still fill."""

    def instrument(self, symbol: str) -> Instrument | None:
        """An instrument by id."""

    def mark(self, symbol: str) -> Decimal | None:
        """Latest price seen, or None before the first observation."""

    def position_quantity(self, symbol: str) -> Decimal:
        """Signed position of the account in an instrument."""

    def pending_quantity(self, symbol: str) -> Decimal:
        """Signed quantity of entries that may still fill; an order whose outcome is unknown counts in full."""

    def open_risk(self, symbol: str) -> Decimal:
        """Settle currency lost if every position and pending entry of the instrument ran to its stop. At least zero."""

    def is_held_or_pending(self, symbol: str) -> bool:
        """Whether the instrument counts among `open_positions`."""

    def entries_since(self, time: int) -> int:
        """How many entry orders were approved at or after `time`, at most the last hour's."""


class Strategy(Protocol):
    """Turns candles into signals. Keeps its own indicator state; the same candles must give the same signals."""

    @property
    def warmup(self) -> int:
        """How many closed candles it must have seen before its first signal. It is fed that many before it trades."""

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        """Take in one closed candle; return what should be done now, usually nothing.

        Signals given while warming up are discarded. Raising puts the bot in state FAILED, named in the event.
        """


class Sizer(Protocol):
    """Decides how much."""

    def risk_ratio(self, basis: Decimal) -> RiskRatio:
        """The fraction of `basis` one trade may risk."""

    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        """A quantity, not yet scaled or rounded.

        Raises:
            SizingRefused: there is no sensible size, with the reason. Any other exception also refuses the order.
        """


class Scaler(Protocol):
    """Shrinks a size: by regime, volatility, correlation or a model's confidence. It can't enlarge one."""

    @property
    def name(self) -> str:
        """Name in the sizing trace."""

    def factor(self, request: SizingRequest, view: AccountView) -> Scale:
        """A factor from 0 to 1. Outside of it, or raising, the order is refused."""


class RiskRule(Protocol):
    """Says no. All rules must agree before an order that may add risk is sent."""

    @property
    def name(self) -> str:
        """Name in refusals."""

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        """None to agree. Raising is a refusal too."""

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        """Every limit it keeps and how much is used, for people to read."""
