"""Owns Bybit's three WebSockets without the network: who is logged in, who has subscribed to what, who hears what."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from quarterdeck_bybit_simulator.refusals import Refusal
from quarterdeck_bybit_simulator.settings import Member
from quarterdeck_bybit_simulator.simulator import Simulator
from quarterdeck_bybit_simulator.trade import Session, reply

PRIVATE_TOPICS = frozenset({"order", "execution", "position", "wallet", "execution.fast", "dcp", "greeks"})
_PUBLIC_TOPICS = frozenset({"orderbook", "publicTrade", "tickers", "kline"})

#: Disconnection protection: the topic that has to be listened to, and the category it is about, by product.
DCP = {"DERIVATIVES": ("dcp.future", "linear"), "SPOT": ("dcp.spot", "spot")}
_PRODUCTS = frozenset({"linear", "spot", "future", "inverse", "option"})


class Kind(StrEnum):
    """Which socket it is; the public ones are one for each category."""

    LINEAR = "linear"
    SPOT = "spot"
    PRIVATE = "private"
    TRADE = "trade"


@dataclass(eq=False, slots=True)
class Socket:
    """One connection. `send` hands a text to the network."""

    kind: Kind
    connection_id: str
    send: Callable[[str], None]
    address: str = "127.0.0.1"
    member: Member | None = None
    topics: set[str] = field(default_factory=set)
    is_frozen: bool = False
    """It neither reads nor writes any more, and is not closed."""
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.session = Session(self.connection_id, self.address)

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        if not self.is_frozen:
            self.send(json.dumps(message))


class Sockets:
    """All connections. What is published reaches whoever has subscribed, as the faults let it."""

    def __init__(
        self,
        simulator: Simulator,
        later: Callable[[float, Callable[[], None]], object],
        close: Callable[[Socket], None],
    ) -> None:
        self._simulator = simulator
        self._later = later
        self._close = close
        self.open: set[Socket] = set()
        simulator.publish = self._publish

    def leave(self, socket: Socket) -> None:
        """A connection has ended; the last of an account's that listened for it starts its disconnection protection."""
        self.open.discard(socket)
        member = socket.member
        if socket.kind is not Kind.PRIVATE or member is None:
            return
        for product, (topic, category) in DCP.items():
            window = self._simulator.accounts[member.user_id].dcp.get(product)
            if window is not None and topic in socket.topics and not self._is_present(member.user_id, topic):
                self._later(window, partial(self._protect, member.user_id, topic, category))

    def _is_present(self, user: int, topic: str) -> bool:
        return any(
            topic in each.topics and each.member is not None and each.member.user_id == user for each in self.open
        )

    def _protect(self, user: int, topic: str, category: str) -> None:
        if not self._is_present(user, topic):
            self._simulator.disconnected(user, category)

    def restart_trade_service(self) -> None:
        """What is connected to it is told so when it asks for something; whoever connects anew is served."""
        for socket in self.open:
            socket.session.is_leaving = True

    # ------------------------------------------------------------ in

    def hear(self, socket: Socket, text: str) -> None:
        """Take one frame from a client."""
        if socket.is_frozen:
            return
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            socket.say({"success": False, "ret_msg": "error:not JSON", "conn_id": socket.connection_id, "op": ""})
            return
        operation = str(message.get("op", ""))
        if operation == "ping":
            rule = self._simulator.faults.of_request(f"ping:{socket.kind}", "")
            socket.is_frozen = rule is not None and rule.do == "freeze"
            socket.say(self._pong(socket, message))
        elif operation == "auth":
            self._login(socket, message)
        elif operation == "subscribe":
            self._subscribe(socket, message)
        elif operation == "unsubscribe":
            socket.topics.difference_update(map(str, message.get("args") or ()))
            socket.say(self._acknowledged(socket, message, ""))
        elif socket.kind is Kind.TRADE and socket.member is not None:
            self._operate(socket, message)
        else:
            socket.say(self._acknowledged(socket, message, "error:request not supported"))

    def _operate(self, socket: Socket, message: Mapping[str, Any]) -> None:
        rule = self._simulator.faults.of_request(str(message.get("op", "")), _symbol_of(message))
        delay = rule.ms / 1000 if rule is not None else 0.0
        match rule and rule.do:
            case "drop_request":
                self._close(socket)
            case "accept_then_drop":
                self._carry_out(socket, message)
                self._close(socket)
            case "code":
                assert rule is not None, "it says what to do"
                if rule.after:
                    self._carry_out(socket, message)
                now = self._simulator.now()
                socket.say(reply(socket.session, message, now, rule.code, rule.body or "faulty"))
            case "delay_accept":
                self._later(delay, lambda: socket.say(self._carry_out(socket, message)))
            case "delay_answer":
                answer = self._carry_out(socket, message)
                self._later(delay, lambda: socket.say(answer))
            case _:
                socket.say(self._carry_out(socket, message))

    def _carry_out(self, socket: Socket, message: Mapping[str, Any]) -> dict[str, Any]:
        assert socket.member is not None, "only who has logged in operates"
        return self._simulator.operate(socket.member, socket.session, message)

    def _pong(self, socket: Socket, message: Mapping[str, Any]) -> dict[str, Any]:
        request = str(message.get("req_id", ""))
        now = str(self._simulator.now() // 1_000_000)
        if socket.kind in (Kind.LINEAR, Kind.SPOT):
            return {
                "success": True,
                "ret_msg": "pong",
                "conn_id": socket.connection_id,
                "req_id": request,
                "op": "ping",
            }
        if socket.kind is Kind.TRADE:
            return {"retCode": 0, "retMsg": "OK", "op": "pong", "data": [now], "connId": socket.connection_id}
        return {"req_id": request, "op": "pong", "args": [now], "conn_id": socket.connection_id}

    def _login(self, socket: Socket, message: Mapping[str, Any]) -> None:
        arguments = message.get("args")
        try:
            rule = self._simulator.faults.of_request("auth", "")
            if rule is not None:
                raise Refusal(rule.code, "faulty")
            now = self._simulator.now()
            if socket.kind is Kind.TRADE:
                socket.member = self._simulator.trade.login(socket.session, arguments, now)
            else:
                given = arguments if isinstance(arguments, list) else []
                socket.member = self._simulator.gate.login(given, now)
            code, text = 0, "OK" if socket.kind is Kind.TRADE else ""
        except Refusal as refusal:
            code, text = refusal.code, refusal.text
        self._simulator.truth.note("login", id=socket.connection_id, args=arguments, code=code)
        if socket.kind is Kind.TRADE:
            socket.say({"retCode": code, "retMsg": text, "op": "auth", "connId": socket.connection_id})
        else:
            answer = {"success": code == 0, "ret_msg": text, "op": "auth", "conn_id": socket.connection_id}
            socket.say(answer | {"req_id": str(message.get("req_id", ""))})

    def _subscribe(self, socket: Socket, message: Mapping[str, Any]) -> None:
        topics = [str(each) for each in message.get("args") or ()]
        wrong = [topic for topic in topics if not self._may_hear(socket, topic)]
        if wrong or not topics:
            problem = f"error:handler not found,topic:{','.join(wrong)}"
            socket.say(self._acknowledged(socket, message, problem))
            return
        socket.topics.update(topics)
        socket.say(self._acknowledged(socket, message, ""))
        if socket.kind in (Kind.LINEAR, Kind.SPOT):
            for topic in topics:
                first = self._simulator.snapshot(socket.kind.value, topic)
                if first is not None:
                    self._send(socket, topic, first)

    def _may_hear(self, socket: Socket, topic: str) -> bool:
        rule = self._simulator.faults.of_request(f"subscribe:{topic}", "")
        if rule is not None:
            return False
        if socket.kind is Kind.PRIVATE:
            name, _, product = topic.partition(".")
            known = topic in PRIVATE_TOPICS or (name in PRIVATE_TOPICS and product in _PRODUCTS)
            return socket.member is not None and known
        return socket.kind is not Kind.TRADE and topic.partition(".")[0] in _PUBLIC_TOPICS

    def _acknowledged(self, socket: Socket, message: Mapping[str, Any], problem: str) -> dict[str, Any]:
        return {
            "success": not problem,
            "ret_msg": problem,
            "conn_id": socket.connection_id,
            "req_id": str(message.get("req_id", "")),
            "op": str(message.get("op", "")),
        }

    # ------------------------------------------------------------ out

    def _publish(self, topic: str, message: dict[str, Any], user: int | None) -> None:
        for socket in list(self.open):
            if user is None:
                category, _, name = topic.partition(":")
                if socket.kind == category and name in socket.topics:
                    self._send(socket, name, message)
            elif socket.kind is Kind.PRIVATE and socket.member is not None and socket.member.user_id == user:
                self._send_private(socket, topic, message)

    def _send_private(self, socket: Socket, topic: str, message: dict[str, Any]) -> None:
        """A topic may be heard whole, or by product: then only that product's rows, under the narrower name."""
        if topic in socket.topics:
            self._send(socket, topic, message)
        for name in socket.topics:
            base, _, product = name.partition(".")
            if base == topic and product in _PRODUCTS:
                rows = [row for row in message["data"] if row.get("category") == product]
                if rows:
                    self._send(socket, name, message | {"topic": name, "data": rows})

    def _send(self, socket: Socket, topic: str, message: dict[str, Any]) -> None:
        rule = self._simulator.faults.of_message(topic, "")
        if rule is None:
            socket.say(message)
            return
        chance = self._simulator.faults.random
        match rule.do:
            case "mute":
                return
            case "close":
                self._close(socket)
            case "freeze":
                socket.is_frozen = True
            case "dup" | "shuffle":
                for copy in range(rule.times if rule.do == "dup" else 1):
                    delay = chance.uniform(0, rule.shuffle_ms / 1000) if copy or rule.do == "shuffle" else 0.0
                    self._later(delay, lambda: socket.say(message))
            case "delay":
                self._later(rule.ms / 1000, lambda: socket.say(message))
            case "replace":
                socket.send(rule.body)
            case "corrupt":
                socket.say(message | {"data": _corrupted(message.get("data"), rule.field, rule.value)})
            case _:
                socket.say(message)


def _corrupted(data: Any, field: str, value: Any) -> Any:  # noqa: ANN401 - whatever stands under `data`
    if isinstance(data, list):
        return [_corrupted(each, field, value) for each in data]
    if not isinstance(data, dict):
        return data
    kept = {name: each for name, each in data.items() if name != field}
    return kept if value is None else kept | {field: value}


def _symbol_of(message: Mapping[str, Any]) -> str:
    """Whose symbol an operation is about; empty where it says none."""
    arguments = message.get("args")
    first = arguments[0] if isinstance(arguments, list) and arguments else None
    return str(first.get("symbol", "")) if isinstance(first, Mapping) else ""
