"""Owns one account as the server offers it: who serves each of its calls, and the tape that its streams read."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Any, NoReturn

from google.protobuf import descriptor_pool

from quarterdeck.domain.errors import Unavailable
from quarterdeck.rpc.facade import Deck, Shown
from quarterdeck.rpc.limits import Limits, Pace
from quarterdeck.rpc.pages import Listings
from quarterdeck.rpc.routes import Serve
from quarterdeck.rpc.servicers.accounts import AccountServicer
from quarterdeck.rpc.servicers.bots import BotServicer
from quarterdeck.rpc.servicers.events import EventServicer
from quarterdeck.rpc.servicers.market_data import MarketDataServicer
from quarterdeck.rpc.servicers.orders import OrderServicer
from quarterdeck.rpc.servicers.positions import PositionServicer
from quarterdeck.rpc.servicers.risk import RiskServicer
from quarterdeck.rpc.servicers.sizing import SizingServicer
from quarterdeck.rpc.servicers.system import SystemServicer
from quarterdeck.rpc.tape import Tape

PACKAGE = "quarterdeck.v1"

SERVICES = tuple(
    f"{PACKAGE}.{name}Service"
    for name in ("Account", "Bot", "Event", "MarketData", "Order", "Position", "Risk", "Sizing", "System")
)
"""The contract's services."""


class Board:
    """An account that is taken up. `tape` is to be started and stopped."""

    def __init__(self, deck: Deck, pace: Pace, limits: Limits) -> None:
        self.shown: Deck = deck
        self.tape = Tape(deck.events, deck.journal_id, pace.heartbeat)
        listings = Listings()
        self.serves: Mapping[str, Serve] = {
            method: serve
            for service, servicer in (
                ("Account", AccountServicer(deck)),
                ("Bot", BotServicer(deck, listings)),
                ("Event", EventServicer(deck, self.tape, limits)),
                ("MarketData", MarketDataServicer(deck, listings, pace.market, limits.patience)),
                ("Order", OrderServicer(deck, listings)),
                ("Position", PositionServicer(deck, listings)),
                ("Risk", RiskServicer(deck, listings)),
                ("Sizing", SizingServicer(deck)),
                ("System", SystemServicer(deck)),
            )
            for method, serve in methods_of(f"{PACKAGE}.{service}Service", servicer).items()
        }


class Blank:
    """An account of which nothing can be asked now but how it is."""

    tape = None

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        methods = (method.full_name for name in SERVICES for method in _service(name).methods)
        self.serves: Mapping[str, Serve] = dict.fromkeys(methods, self._refuse)

    def _refuse(self, _request: object, _context: object) -> NoReturn:
        status = self.shown.status()
        raise Unavailable("NOT_READY", "; ".join(status.reasons), {"state": status.state})


def methods_of(service: str, servicer: object) -> dict[str, Serve]:
    """A servicer's methods, by their full names in the contract; without those it has not made asynchronous."""
    found = {method.full_name: getattr(servicer, method.name, None) for method in _service(service).methods}
    return {name: serve for name, serve in found.items() if iscoroutinefunction(serve)}


def _service(name: str) -> Any:  # noqa: ANN401 - upb's descriptor, which has no type
    return descriptor_pool.Default().FindServiceByName(name)
