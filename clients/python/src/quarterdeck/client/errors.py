"""Owns what can go wrong with a call, as exceptions.

    QuarterdeckError
    ├── InvalidRequest            the call breaks a rule of the contract: mend it
    │   └── PageTokenMismatch     a listing was given up by the daemon: list again
    ├── NotFound
    ├── AlreadyExists             an id was used for something else
    ├── FailedPrecondition        the state of things does not allow it
    │   ├── RiskRefused           a risk rule said no
    │   ├── SizingRefused         no size could be found
    │   ├── TradingHalted
    │   └── JournalMismatch       a resume token of another journal
    ├── Conflict                  what was read has been changed since
    ├── OutOfRange
    │   ├── PositionCompacted     the history before this position is gone
    │   └── PositionAhead         the journal has not reached this position
    ├── ResourceExhausted
    │   └── SlowReader            a stream was not read fast enough
    ├── Unavailable               the daemon or its exchange is away
    ├── DeadlineExceeded          no answer in time: neither yes nor no
    ├── InternalError             something nobody foresaw
    └── StreamError               what arrived can't be relied on
        ├── StreamGap             an event is missing
        ├── UnknownEvent          an event this client does not know, and must not skip
        └── ContractBroken        a message lacks what it must have

Which exception a call raises follows from the error's reason if this client knows it, else from its status code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

DOMAIN = "quarterdeck"
_DETAILS = "grpc-status-details-bin"


class FieldViolation(NamedTuple):
    """One field of a request that breaks a rule, such as `order.limit_price`, and which."""

    field: str
    description: str


@dataclass(frozen=True)
class Failure:
    """What came back instead of an answer.

    `reason` is the contract's word (`ErrorReason` without its prefix), empty if the error is not the daemon's own;
    `code` the name of the gRPC status code; `metadata` everything the message says, for programs; `retry_delay` how
    many seconds to wait before trying again, if the daemon says so.
    """

    message: str
    code: str = ""
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[FieldViolation, ...] = ()
    retry_delay: float | None = None


class QuarterdeckError(Exception):
    """A call, or a stream, failed.

    `request_id` is that of the mutation, if it was one: calling again with the same id and content is safe.
    """

    def __init__(self, failure: Failure | str) -> None:
        self.failure = Failure(failure) if isinstance(failure, str) else failure
        self.request_id = ""
        super().__init__(self.failure.message)

    @property
    def code(self) -> str:
        """The name of the gRPC status code, such as `"NOT_FOUND"`; empty if this client itself found the fault."""
        return self.failure.code

    @property
    def reason(self) -> str:
        """The contract's reason, such as `"ORDER_NOT_FOUND"`; empty if the error is not the daemon's own."""
        return self.failure.reason

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the message says, for programs. Which keys there are follows from the reason."""
        return self.failure.metadata

    def __str__(self) -> str:
        label = self.reason or self.code
        return f"{label}: {self.failure.message}" if label else self.failure.message

    def _number(self, key: str) -> int:
        text = self.metadata.get(key, "")
        return int(text) if text.isdecimal() else 0

    def _amount(self, key: str) -> Decimal | None:
        text = self.metadata.get(key, "")
        return Decimal(text) if text else None


class InvalidRequest(QuarterdeckError):
    """The call breaks a rule of the contract."""

    @property
    def violations(self) -> tuple[FieldViolation, ...]:
        """The fields at fault."""
        return self.failure.violations


class PageTokenMismatch(InvalidRequest):
    """The daemon does not know the listing any more, as after a restart. List again."""


class NotFound(QuarterdeckError):
    """There is no such thing."""


class AlreadyExists(QuarterdeckError):
    """An order_id, bot_id or request_id was used before, for something else."""


class FailedPrecondition(QuarterdeckError):
    """The state of things does not allow it."""


class _Refused(FailedPrecondition):
    """An order was refused before it existed; the refusal is in the journal."""

    @property
    def sequence(self) -> int:
        """Where the refusal was recorded. 0 if it was not."""
        return self._number("sequence")


class _RefusedByRule(_Refused):
    """An order was refused by a rule, or for want of a size."""

    @property
    def rule(self) -> str:
        """Which rule refused, such as `"daily-loss"`."""
        return self.metadata.get("rule", "")

    @property
    def cause(self) -> str:
        """What was wrong, as a stable word of the rule's own, such as `"daily_loss_reached"`."""
        return self.metadata.get("reason", "")

    @property
    def limit(self) -> Decimal | None:
        """Where the limit is. `None` if the cause is no number."""
        return self._amount("limit")

    @property
    def observed(self) -> Decimal | None:
        """What was found. `None` if the cause is no number."""
        return self._amount("observed")


class RiskRefused(_RefusedByRule):
    """A risk rule said no."""


class SizingRefused(_RefusedByRule):
    """No size could be found: nothing is left after rounding, or the sizer failed."""


class TradingHalted(_Refused):
    """Trading is reducing or halted, and the order is not for less."""

    @property
    def state(self) -> str:
        """What trading is allowed: `"REDUCING"` or `"HALTED"`."""
        return self.metadata.get("state", "")


class JournalMismatch(FailedPrecondition):
    """The resume token belongs to another journal. List again, then stream."""


class Conflict(QuarterdeckError):
    """What was read has been changed since. Read it again."""


class OutOfRange(QuarterdeckError):
    """A position the journal does not have."""


class PositionCompacted(OutOfRange):
    """The history before this position is gone. List again, then stream."""

    @property
    def oldest_sequence(self) -> int:
        """The oldest position still there."""
        return self._number("oldestSequence")


class PositionAhead(OutOfRange):
    """The journal has not reached this position. List again, then stream."""

    @property
    def head_sequence(self) -> int:
        """The last event recorded."""
        return self._number("headSequence")


class ResourceExhausted(QuarterdeckError):
    """Too much was asked for."""


class SlowReader(ResourceExhausted):
    """A stream was not read fast enough. Streams of this client resume by themselves."""

    @property
    def last_sequence(self) -> int:
        """The last event that was sent; some before it may not have arrived. 0 for streams of the market."""
        return self._number("lastSequence")


class Unavailable(QuarterdeckError):
    """The daemon, or the exchange behind it, can't be reached.

    With a reason, nothing was recorded. Without one the connection broke, and a mutation may or may not have been
    recorded: call again with the same request_id.
    """


class DeadlineExceeded(QuarterdeckError):
    """No answer came in time. A mutation may or may not have been recorded: call again with the same request_id."""


class InternalError(QuarterdeckError):
    """Something nobody foresaw."""

    @property
    def error_id(self) -> str:
        """What to look for in the daemon's log."""
        return self.metadata.get("errorId", "")


class StreamError(QuarterdeckError):
    """What arrived can't be relied on."""


class StreamGap(StreamError):
    """An event is missing between two that arrived. List again, then stream."""


class UnknownEvent(StreamError):
    """An event this client does not know and must not skip: the daemon is newer than the client."""


class ContractBroken(StreamError):
    """A message lacks what it must have, or says what it can't."""


_BY_REASON: Mapping[str, type[QuarterdeckError]] = {
    "PAGE_TOKEN_MISMATCH": PageTokenMismatch,
    "RISK_REFUSED": RiskRefused,
    "SIZING_REFUSED": SizingRefused,
    "TRADING_HALTED": TradingHalted,
    "JOURNAL_MISMATCH": JournalMismatch,
    "POSITION_COMPACTED": PositionCompacted,
    "POSITION_AHEAD": PositionAhead,
    "SLOW_READER": SlowReader,
}

_BY_CODE: Mapping[str, type[QuarterdeckError]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "FAILED_PRECONDITION": FailedPrecondition,
    "ABORTED": Conflict,
    "OUT_OF_RANGE": OutOfRange,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "UNAVAILABLE": Unavailable,
    "CANCELLED": Unavailable,  # by a daemon that stops; this client's own cancellations never become exceptions
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "INTERNAL": InternalError,
}


def error_from(call: grpc.RpcError) -> QuarterdeckError:
    """The exception for a call that failed, sync or async."""
    failure = _failure(call)
    kind = _BY_REASON.get(failure.reason) or _BY_CODE.get(failure.code) or QuarterdeckError
    return kind(failure)


def _failure(call: grpc.RpcError) -> Failure:
    if not isinstance(call, grpc.Call | grpc.aio.AioRpcError):
        return Failure(str(call))
    code = call.code().name
    metadata = call.trailing_metadata() or ()
    packed = next((value for key, value in metadata if key == _DETAILS), None)
    if not isinstance(packed, bytes):
        return Failure(call.details() or code, code)
    info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
    status = Status.FromString(packed)
    for detail in status.details:
        any(detail.Unpack(message) for message in (info, bad, retry))
    ours = info.domain == DOMAIN
    return Failure(
        message=status.message or call.details() or code,
        code=code,
        reason=info.reason if ours else "",
        metadata=dict(info.metadata) if ours else {},
        violations=tuple(FieldViolation(each.field, each.description) for each in bad.field_violations),
        retry_delay=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
    )
