"""Owns who gets in: signatures, receive windows, permissions, and the limits per user and per address."""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from quarterdeck_bybit_simulator.refusals import (
    BAD_KEY,
    BAD_SIGNATURE,
    PARAMETER,
    PERMISSION,
    TIME_WINDOW,
    TOO_MANY,
    Refusal,
)
from quarterdeck_bybit_simulator.settings import SECOND, Member, SimulatorSettings

#: Requests per second and user, by path; `(linear, spot)` where they differ. Others have 50.
LIMITS: Mapping[str, tuple[int, int]] = {
    "/v5/order/create": (10, 20),
    "/v5/order/amend": (10, 10),
    "/v5/order/cancel": (10, 20),
    "/v5/order/cancel-all": (10, 20),
    "/v5/order/create-batch": (10, 20),
    "/v5/order/amend-batch": (10, 20),
    "/v5/order/cancel-batch": (10, 20),
    "/v5/order/disconnected-cancel-all": (5, 5),
    "/v5/position/set-leverage": (10, 10),
    "/v5/position/switch-mode": (10, 10),
    "/v5/position/trading-stop": (10, 10),
    "/v5/account/set-margin-mode": (5, 5),
    "/v5/account/fee-rate": (5, 5),
    "/v5/account/transaction-log": (25, 25),
    "/v5/user/query-api": (10, 10),
}
_USUAL = 50
_AHEAD = 1_000  # a request's time may be this many milliseconds ahead of the server's
_ADDRESS_WINDOW = 5 * SECOND
_CONNECTION_WINDOW = 300 * SECOND


def signature(secret: str, payload: str) -> str:
    """HMAC-SHA256 in hexadecimal, as Bybit signs."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


@dataclass(slots=True)
class Allowance:
    """What is left of a limit, for the answer's headers, and how much was let in. `reset` in milliseconds."""

    limit: int
    left: int
    reset: int
    admitted: int = 0


@dataclass(slots=True)
class Gate:
    """Lets requests in. Times in nanoseconds of the server's clock."""

    settings: SimulatorSettings
    _used: dict[tuple[int, str, str], deque[int]] = field(default_factory=dict)
    _seen: dict[str, deque[int]] = field(default_factory=dict)
    _banned: dict[str, int] = field(default_factory=dict)
    _operations: dict[str, deque[int]] = field(default_factory=dict)
    _connections: dict[str, deque[int]] = field(default_factory=dict)

    def member(self, api_key: str) -> Member:
        """Whose key it is. Raises Refusal."""
        found = next((one for one in self.settings.members if one.api_key == api_key), None)
        if found is None:
            raise Refusal(BAD_KEY, "API key is invalid.")
        return found

    def authenticate(self, headers: Mapping[str, str], payload: str, now: int) -> Member:
        """Check the signature and the window of a signed request; `payload` is its query or its body.

        Raises:
            Refusal: the request never got in.
        """
        key, stamp = headers.get("X-BAPI-API-KEY", ""), headers.get("X-BAPI-TIMESTAMP", "")
        window = headers.get("X-BAPI-RECV-WINDOW", "") or "5000"
        member = self.member(key)
        if not stamp.isdecimal() or not window.isdecimal():
            raise Refusal(PARAMETER, "timestamp or recv_window is not a number")
        expected = signature(member.api_secret, f"{stamp}{key}{window}{payload}")
        if not hmac.compare_digest(expected, headers.get("X-BAPI-SIGN", "")):
            raise Refusal(BAD_SIGNATURE, "error sign! please check your sign generation algorithm.")
        self.check_window(int(stamp), int(window), now)
        return member

    def check_window(self, stamp: int, window: int, now: int) -> None:
        """A request's own time has to lie within its window before the server's, and less than a second after it."""
        server = now // 1_000_000
        if not server - window <= stamp < server + _AHEAD:
            raise Refusal(
                TIME_WINDOW,
                "invalid request, please check your server timestamp or recv_window param. "
                f"req_timestamp[{stamp}],server_timestamp[{server}],recv_window[{window}]",
            )

    def check_trading(self, member: Member) -> None:
        """Whether a key may change anything."""
        if member.is_read_only or not member.may_trade:
            raise Refusal(PERMISSION, "Permission denied, please check your API key permissions.")

    def login(self, arguments: Iterable[object], now: int) -> Member:
        """Check the arguments of a socket's `auth`: key, expiry, signature."""
        key, expires, signed = [*arguments, "", "", ""][:3]
        member = self.member(str(key))
        if not isinstance(expires, int | str) or not str(expires).isdecimal() or int(expires) <= now // 1_000_000:
            raise Refusal(BAD_SIGNATURE, "Params Error: expires is in the past")
        if not hmac.compare_digest(signature(member.api_secret, f"GET/realtime{expires}"), str(signed)):
            raise Refusal(BAD_SIGNATURE, "Invalid sign")
        return member

    def allow(self, member: Member, path: str, category: str, now: int, count: int = 1) -> Allowance:
        """Count what a request of a user takes, as much of it as is let in.

        Raises:
            Refusal: there was too much in this second already.
        """
        linear, spot = LIMITS.get(path, (_USUAL, _USUAL))
        limit = spot if category == "spot" else linear
        used = self._used.setdefault((member.user_id, path, category), deque())
        while used and used[0] <= now - SECOND:
            used.popleft()
        reset = (used[0] + SECOND if used else now) // 1_000_000
        if len(used) >= limit and self.settings.limits_apply:
            raise TooMany(Allowance(limit, 0, reset))
        admitted = min(count, limit - len(used)) if self.settings.limits_apply else count
        used.extend([now] * admitted)
        return Allowance(limit, max(0, limit - len(used)), reset, admitted)

    def allow_address(self, address: str, now: int) -> bool:
        """Count a request of an address; False while it is banned."""
        if self._banned.get(address, 0) > now:
            return False
        seen = self._seen.setdefault(address, deque())
        while seen and seen[0] <= now - _ADDRESS_WINDOW:
            seen.popleft()
        seen.append(now)
        if len(seen) > self.settings.address_limit and self.settings.limits_apply:
            self.ban(address, now)
            return False
        return True

    def allow_operation(self, address: str, now: int) -> bool:
        """Count an operation of the trade socket, which knows no ban; False when there were too many in this second."""
        return self._count(self._operations, address, now, SECOND, self.settings.operation_limit)

    def allow_connection(self, address: str, now: int) -> bool:
        """Count a new socket of an address; False when there were too many in five minutes."""
        return self._count(self._connections, address, now, _CONNECTION_WINDOW, self.settings.connection_limit)

    def _count(self, seen: dict[str, deque[int]], address: str, now: int, window: int, limit: int) -> bool:
        times = seen.setdefault(address, deque())
        while times and times[0] <= now - window:
            times.popleft()
        if len(times) >= limit and self.settings.limits_apply:
            return False
        times.append(now)
        return True

    def ban(self, address: str, now: int) -> None:
        """Turn an address away for a while."""
        self._banned[address] = now + self.settings.ban


class TooMany(Refusal):
    """A user's limit is used up."""

    def __init__(self, allowance: Allowance) -> None:
        super().__init__(TOO_MANY, "Too many visits. Exceeded the API Rate Limit.")
        self.allowance = allowance


def limit_headers(allowance: Allowance | None, now: int) -> dict[str, str]:
    """How a limit stands, as answers say it."""
    headers = {"Timenow": str(now // 1_000_000)}
    if allowance is not None:
        headers |= {
            "X-Bapi-Limit": str(allowance.limit),
            "X-Bapi-Limit-Status": str(allowance.left),
            "X-Bapi-Limit-Reset-Timestamp": str(allowance.reset),
        }
    return headers
