"""Deciders that do as they are told, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from quarterdeck.domain.deciders import AccountView
from quarterdeck.domain.market import Candle
from quarterdeck.domain.risk import LimitStatus, OrderDraft, Refused
from quarterdeck.domain.signal import Holding, Signal
from quarterdeck.domain.sizing import RiskRatio, Scale, Sized, SizingRequest


@dataclass
class RatioSizer:
    """Risks one fraction of whatever the account is."""

    ratio: Decimal = Decimal("0.01")
    asked: list[SizingRequest] = field(default_factory=list)

    def risk_ratio(self, basis: Decimal) -> RiskRatio:
        return RiskRatio(self.ratio, "only")

    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        self.asked.append(request)
        risk = request.basis * self.ratio
        return Sized(risk / abs(request.entry_price - request.stop_price), risk, self.ratio, "only")


@dataclass
class SizerThat:
    """Sizes by calling something."""

    answers: Callable[[], Sized]

    def risk_ratio(self, basis: Decimal) -> RiskRatio:
        raise RuntimeError("no curve today")

    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        return self.answers()


@dataclass
class FactorScaler:
    """Shrinks by one factor."""

    name: str
    by: Decimal

    def factor(self, request: SizingRequest, view: AccountView) -> Scale:
        return Scale(self.by)


@dataclass
class Rule:
    """Answers with what it was given, and remembers the drafts it saw."""

    name: str = "yes"
    answer: Callable[[OrderDraft, AccountView], Refused | None] = lambda draft, view: None
    seen: list[OrderDraft] = field(default_factory=list)

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        self.seen.append(draft)
        return self.answer(draft, view)

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        return ()


@dataclass
class Script:
    """A strategy that signals what it is handed before each candle."""

    wishes: list[Signal] = field(default_factory=list)
    holdings: list[Holding] = field(default_factory=list)
    warmup: int = 0

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        self.holdings.append(holding)
        wishes, self.wishes = self.wishes, []
        return wishes
