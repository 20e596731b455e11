"""Owns the simulated exchange as a whole: accounts, markets, and the way of every request and every message. No I/O.

A server (see `server.py`) carries requests in and messages out; the market is shown to it from outside.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, FundingRate, MarketEvent
from quarterdeck_bybit_simulator import batch
from quarterdeck_bybit_simulator.account import SimAccount
from quarterdeck_bybit_simulator.api import Api
from quarterdeck_bybit_simulator.faults import Faults
from quarterdeck_bybit_simulator.gate import Allowance, Gate, TooMany, limit_headers
from quarterdeck_bybit_simulator.market import markets_of
from quarterdeck_bybit_simulator.order import MILLISECOND, SimOrder, category_of
from quarterdeck_bybit_simulator.refusals import PARAMETER, ROUTE, Refusal
from quarterdeck_bybit_simulator.settings import Member, SimulatorSettings
from quarterdeck_bybit_simulator.trade import Session, TradeService
from quarterdeck_bybit_simulator.truth import Truth

#: Bybit is at work on itself.
_MAINTENANCE = 10016

#: Called with a topic and a message for everybody who has subscribed to it; private ones with whose they are.
Publish = Callable[[str, dict[str, Any], int | None], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: an HTTP status, a body, and headers."""

    status: int
    body: Mapping[str, Any] | str
    headers: Mapping[str, str]


class Simulator:
    """A Bybit of one's own. Everything happens in the calls; `publish` is called in between."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        settings: SimulatorSettings | None = None,
        *,
        truth: Truth | None = None,
        faults: Faults | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.settings = settings or SimulatorSettings()
        self.truth = Truth() if truth is None else truth  # an empty one is false
        self.faults = faults or Faults()
        self._clock = clock
        listed = list(instruments)
        self.markets = markets_of(listed)
        self.gate = Gate(self.settings)
        self.trade = TradeService(self.gate, self.call)
        self.publish: Publish = _nobody
        self.api = Api(self.markets, self.settings, self.now, self._choose)
        self.accounts: dict[int, SimAccount] = {}
        for member in self.settings.members:
            user = member.user_id

            def tell(topic: str, data: list[dict[str, Any]], user: int = user) -> None:
                self._tell(topic, data, user)

            self.accounts[user] = SimAccount(member, listed, self.settings, self.truth, self.now, tell, self.faults)

    def now(self) -> int:
        """The server's clock, in nanoseconds since the epoch."""
        return self._clock() + self.settings.clock_offset

    def _choose(self, orders: Sequence[SimOrder], count: int) -> Sequence[SimOrder]:
        return self.faults.random.sample(list(orders), count)

    # ------------------------------------------------------------ the market

    def show(self, event: MarketEvent) -> None:
        """Let the market move: what rests trades, and the public topics tell it."""
        market = next((each for each in self.markets.values() if each.instrument.symbol == event.symbol), None)
        if market is None:
            return
        for account in self.accounts.values():
            account.show(event)
        now = self.now()
        for topic, kind, data in market.see(event, now):
            message = {"topic": topic, "type": kind, "ts": now // MILLISECOND, "data": data, "cts": now // MILLISECOND}
            self.publish(f"{market.category}:{topic}", message, None)

    def remember(self, events: Iterable[Candle | FundingRate]) -> None:
        """Give the market a past, oldest first: candles and funding rates that queries find and nobody is told of."""
        markets = {each.instrument.symbol: each for each in self.markets.values()}
        for event in events:
            markets[event.symbol].remember(event)

    def relist(self, instrument: Instrument, status: str = "Trading") -> None:
        """Trade an instrument by other filters from now on, or not any more."""
        market = self.markets[category_of(instrument), instrument.venue_symbol]
        market.instrument, market.status = instrument, status
        for account in self.accounts.values():
            account.instruments[instrument.symbol] = instrument
            account.venue.relist(instrument)

    def snapshot(self, category: str, topic: str) -> dict[str, Any] | None:
        """What a new subscriber of a public topic hears first."""
        kind, _, rest = topic.partition(".")
        market = self.markets.get((category, rest.rpartition(".")[2]))
        if market is None:
            return None
        now = self.now()
        if kind == "orderbook":
            data = market.book(int(rest.partition(".")[0]))
        elif kind == "tickers":
            data = market.ticker(now)
        else:
            return None
        return {"topic": topic, "type": "snapshot", "ts": now // MILLISECOND, "data": data, "cts": now // MILLISECOND}

    def _tell(self, topic: str, data: list[dict[str, Any]], user: int) -> None:
        now = self.now()
        number = len(self.truth) + 1
        rows = [
            {name: value for name, value in row.items() if not (topic == "position" and name == "avgPrice")}
            for row in data
        ]
        message = {"id": f"{user}-{number}", "topic": topic, "creationTime": now // MILLISECOND, "data": rows}
        self.publish(topic, message, user)

    def trade_elsewhere(self, user: int, symbol: str, side: str, quantity: Decimal) -> None:
        """The account's owner trades by hand, in Bybit's own app."""
        market = next(each for each in self.markets.values() if each.instrument.symbol == symbol)
        params = {
            "category": market.category, "symbol": market.instrument.venue_symbol, "side": side,
            "orderType": "Market", "qty": str(quantity), "marketUnit": "baseCoin",
        }  # fmt: skip
        self.api.writes["/v5/order/create"](self.accounts[user], params)
        self._meet_the_book(self.accounts[user], params)

    def trade_late(self, user: int, link_id: str, quantity: Decimal) -> None:
        """Bybit books another trade of an order that has ended."""
        account = self.accounts[user]
        order = account.find("", link_id)
        if order is None or order.is_open:
            raise ValueError(f"{link_id} has not ended")
        account.book_late(order, quantity)
        self._meet_the_book(account, {"category": category_of(order.instrument)})

    def too_late(self, body: str, answer: Answer) -> Answer:
        """Bybit takes a cancel though the order has filled, and says so on the stream."""
        params = _params("POST", "", body)
        for account in self.accounts.values():
            order = account.find(str(params.get("orderId", "")), str(params.get("orderLinkId", "")))
            if order is not None and order.status == "Filled" and isinstance(answer.body, Mapping):
                account.tell_too_late(order)
                result = {"orderId": order.order_id, "orderLinkId": order.link_id}
                return replace(answer, body={**answer.body, "retCode": 0, "retMsg": "OK", "result": result})
        return answer

    # ------------------------------------------------------------ REST

    def handle(self, method: str, path: str, query: str, body: str, headers: Mapping[str, str], address: str) -> Answer:
        """Answer one REST request."""
        now = self.now()
        upper = {name.upper(): value for name, value in headers.items()}
        if not self.gate.allow_address(address, now):
            self.truth.note("banned", path=path, address=address)
            return Answer(403, "<html><body>403 Forbidden</body></html>", {})
        allowance: Allowance | None = None
        extra: dict[str, Any] = {}
        try:
            if self.settings.is_in_maintenance:
                raise Refusal(_MAINTENANCE, "Server error.")
            params = _params(method, query, body)
            result: dict[str, Any]
            if path in self.api.public:
                result = self.api.public[path](params)
            else:
                result, extra, allowance = self._private(path, params, query if method == "GET" else body, upper, now)
            code, text = 0, "OK"
        except Refusal as refusal:
            code, text, result = refusal.code, refusal.text, {}
            if isinstance(refusal, TooMany):
                allowance = refusal.allowance
        self.truth.note("request", method=method, path=path, query=query, body=body, code=code)
        shown = {"retCode": code, "retMsg": text, "result": result, "retExtInfo": extra, "time": now // MILLISECOND}
        return Answer(200, shown, limit_headers(allowance, now))

    def _private(
        self, path: str, params: Mapping[str, Any], payload: str, headers: Mapping[str, str], now: int
    ) -> tuple[dict[str, Any], dict[str, Any], Allowance]:
        if path not in self.api.reads and path not in self.api.writes and path not in batch.SINGLE:
            raise Refusal(ROUTE, "Route not found.")
        member = self.gate.authenticate(headers, payload, now)
        allowance = self.gate.allow(member, path, str(params.get("category", "")), now, batch.legs_of(path, params))
        return *self.call(member, path, params, allowance.admitted), allowance

    def call(
        self, member: Member, path: str, params: Mapping[str, Any], admitted: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Carry out a private method for somebody who has got in; returns the result and what stands beside it.

        Of a batch as many orders as are `admitted`.

        Raises:
            Refusal: it was not done.
        """
        account = self.accounts[member.user_id]
        if path in self.api.reads:
            return self.api.reads[path](account, params), {}
        self.gate.check_trading(member)
        if path in batch.SINGLE:
            method = partial(self.api.writes[batch.SINGLE[path]], account)
            milliseconds = self.now() // MILLISECOND
            result, codes = batch.carry_out(path, params, method, admitted, self.faults, milliseconds)
        else:
            result, codes = self.api.writes[path](account, params), {}
        self._meet_the_book(account, params)
        return result, codes

    def _meet_the_book(self, account: SimAccount, params: Mapping[str, Any]) -> None:
        """What has just come in trades with what stands in the book, not only with what will."""
        category, now = str(params.get("category", "")), self.now()
        for (of, _), market in self.markets.items():
            quote = market.quote(now) if of == category else None
            if quote is not None:
                account.show(quote)

    # ------------------------------------------------------------ the trade socket

    def operate(self, member: Member, session: Session, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one operation of the trade socket, such as `order.create`."""
        session.is_leaving = session.is_leaving or self.settings.is_in_maintenance
        answer = self.trade.answer(member, session, message, self.now())
        self.truth.note("operation", op=message.get("op"), message=dict(message), code=answer["retCode"])
        return answer

    def disconnected(self, user: int, category: str) -> None:
        """An account has not been heard for as long as its disconnection protection waits: its orders end."""
        account = self.accounts[user]
        for order in account.open_orders():
            keeps = self.settings.dcp_keeps_stops and order.is_conditional
            if category_of(order.instrument) == category and not keeps and order.is_open:
                account.cancel(order)
                order.cancel_type = "CancelByDCP"


def _params(method: str, query: str, body: str) -> dict[str, Any]:
    if method == "GET":
        return dict(parse_qsl(query, keep_blank_values=True))
    try:
        parsed = json.loads(body or "{}")
    except ValueError:
        raise Refusal(PARAMETER, "params error: the body is not JSON") from None
    if not isinstance(parsed, dict):
        raise Refusal(PARAMETER, "params error: the body is no object")
    return parsed


def _nobody(topic: str, message: dict[str, Any], user: int | None) -> None:
    """Nobody listens."""
