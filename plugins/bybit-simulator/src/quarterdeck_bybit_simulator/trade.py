"""Owns the operations of the trade socket: orders sent, changed and canceled over a connection that is logged in.

They are the methods of REST in another envelope. The limits of the user are shared with it, those of the address not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quarterdeck_bybit_simulator.batch import legs_of
from quarterdeck_bybit_simulator.gate import Allowance, Gate, TooMany, limit_headers
from quarterdeck_bybit_simulator.order import MILLISECOND
from quarterdeck_bybit_simulator.refusals import (
    ADDRESS_LIMIT,
    OPERATION,
    PARAMETER,
    REPEATED_LOGIN,
    REPEATED_REQUEST,
    RESTARTING,
    Refusal,
)
from quarterdeck_bybit_simulator.settings import Member

#: What may be asked for on the socket, by the path of the same method.
PATHS: Mapping[str, str] = {
    f"order.{verb}{batch}": f"/v5/order/{verb}{batch}"
    for verb in ("create", "amend", "cancel")
    for batch in ("", "-batch")
}

_LONGEST_REQUEST_ID = 36

#: Carries out a method for a member: its path, parameters, and how many orders of a batch; returns the result and what
#: stands beside it.
Call = Callable[[Member, str, Mapping[str, Any], int], tuple[dict[str, Any], dict[str, Any]]]


@dataclass(slots=True)
class Session:
    """What a connection to the trade service has said. `is_leaving`: the service behind it restarts."""

    connection_id: str
    address: str = "127.0.0.1"
    requests: set[str] = field(default_factory=set)
    has_logged_in: bool = False
    is_leaving: bool = False


class TradeService:
    """Answers operations."""

    def __init__(self, gate: Gate, call: Call) -> None:
        self._gate = gate
        self._call = call

    def login(self, session: Session, arguments: object, now: int) -> Member:
        """Log a connection in. Raises Refusal."""
        if session.has_logged_in:
            raise Refusal(REPEATED_LOGIN, "Repeat auth")
        if not isinstance(arguments, list) or len(arguments) != 3:
            raise Refusal(PARAMETER, "params error: args")
        member = self._gate.login(arguments, now)
        session.has_logged_in = True
        return member

    def answer(self, member: Member, session: Session, message: Mapping[str, Any], now: int) -> dict[str, Any]:
        """Carry out one operation, such as `order.create`, and answer it."""
        allowance: Allowance | None = None
        data: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        try:
            params, path = self._admit(session, message, now)
            allowance = self._gate.allow(member, path, str(params.get("category", "")), now, legs_of(path, params))
            data, extra = self._call(member, path, params, allowance.admitted)
            code, text = 0, "OK"
        except Refusal as refusal:
            code, text = refusal.code, refusal.text
            if isinstance(refusal, TooMany):
                allowance = refusal.allowance
        return reply(session, message, now, code, text) | {
            "data": data,
            "retExtInfo": extra,
            "header": {"Timenow": str(now // MILLISECOND), **limit_headers(allowance, now)},
        }

    def _admit(self, session: Session, message: Mapping[str, Any], now: int) -> tuple[Mapping[str, Any], str]:
        """The parameters and the path of an operation that may be carried out. Raises Refusal."""
        if session.is_leaving:
            raise Refusal(RESTARTING, "ws trade service is restarting, do not accept new request")
        if not self._gate.allow_operation(session.address, now):
            raise Refusal(ADDRESS_LIMIT, "exceed IP rate limit")
        path = PATHS.get(str(message.get("op", "")))
        if path is None:
            raise Refusal(OPERATION, "op type is not found")
        request = message.get("reqId", "")
        if not isinstance(request, str) or len(request) > _LONGEST_REQUEST_ID:
            raise Refusal(PARAMETER, "params error: reqId")
        if request and request in session.requests:
            raise Refusal(REPEATED_REQUEST, "reqId is duplicated")
        session.requests.add(request)
        header = message.get("header")
        given = header if isinstance(header, Mapping) else {}
        stamp, window = str(given.get("X-BAPI-TIMESTAMP", "")), str(given.get("X-BAPI-RECV-WINDOW", "5000"))
        if not stamp.isdecimal() or not window.isdecimal():
            raise Refusal(PARAMETER, "params error: X-BAPI-TIMESTAMP")
        self._gate.check_window(int(stamp), int(window), now)
        arguments = message.get("args")
        if not isinstance(arguments, list) or len(arguments) != 1 or not isinstance(arguments[0], Mapping):
            raise Refusal(PARAMETER, "params error: args")
        return arguments[0], path


def reply(session: Session, message: Mapping[str, Any], now: int, code: int, text: str) -> dict[str, Any]:
    """The envelope of an answer. Who gives a request no id gets none back."""
    named = {"reqId": message["reqId"]} if message.get("reqId") else {}
    return named | {
        "retCode": code,
        "retMsg": text,
        "op": str(message.get("op", "")),
        "data": {},
        "retExtInfo": {},
        "header": {"Timenow": str(now // MILLISECOND)},
        "connId": session.connection_id,
    }
