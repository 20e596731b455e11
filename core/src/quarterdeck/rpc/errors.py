"""Owns the one table from an error's reason to what a caller sees: a status code, and details for programs.

Every status has exactly one ErrorInfo of domain `quarterdeck`. What is not in the table is a bug: its text stays in the
log, under an id that the caller is given.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from protovalidate import ValidationError, Violation

from quarterdeck.domain.errors import InvalidRequest, QuarterdeckError, RefusedByState
from quarterdeck.domain.risk import Refused
from quarterdeck.engine.pipeline import CORE, SIZING
from quarterdeck.rpc.convert.values import prose, rounded

DOMAIN = "quarterdeck"
DETAILS_KEY = "grpc-status-details-bin"

#: How long a caller should wait before it tries again what is not there right now.
RETRY_SECONDS = 1

#: Details travel in one trailing header, and clients take 8 KiB of those by default.
_VIOLATIONS_SHOWN = 8
_TEXT_SHOWN = 200

log = structlog.get_logger(__name__)


class Row(NamedTuple):
    """How one reason looks from outside. `names` is what turns the domain's id into the resource name under `name`."""

    code: StatusCode
    keys: tuple[str, ...] = ()
    names: str = ""


_REFUSED = ("rule", "reason", "limit", "observed", "sequence")

TABLE: Mapping[str, Row] = {
    "INVALID_REQUEST": Row(StatusCode.INVALID_ARGUMENT, ("field",)),
    "PAGE_TOKEN_MISMATCH": Row(StatusCode.INVALID_ARGUMENT),
    "INVALID_SETTINGS": Row(StatusCode.INVALID_ARGUMENT, ("plugin", "field")),
    "ACCOUNT_NOT_FOUND": Row(StatusCode.NOT_FOUND, ("name", "known"), "accounts/"),
    "INSTRUMENT_NOT_FOUND": Row(StatusCode.NOT_FOUND, ("name",), "instruments/"),
    "ORDER_NOT_FOUND": Row(StatusCode.NOT_FOUND, ("name",), "{account}/orders/"),
    "POSITION_NOT_FOUND": Row(StatusCode.NOT_FOUND, ("name",), "{account}/positions/"),
    "BOT_NOT_FOUND": Row(StatusCode.NOT_FOUND, ("name",), "bots/"),
    "PLUGIN_NOT_FOUND": Row(StatusCode.NOT_FOUND, ("kind", "name")),
    "ORDER_ID_TAKEN": Row(StatusCode.ALREADY_EXISTS, ("name",), "{account}/orders/"),
    "BOT_ID_TAKEN": Row(StatusCode.ALREADY_EXISTS, ("name",), "bots/"),
    "REQUEST_ID_REUSED": Row(StatusCode.ALREADY_EXISTS, ("sequence",)),
    "RISK_REFUSED": Row(StatusCode.FAILED_PRECONDITION, _REFUSED),
    "SIZING_REFUSED": Row(StatusCode.FAILED_PRECONDITION, _REFUSED),
    "TRADING_HALTED": Row(StatusCode.FAILED_PRECONDITION, ("state", "since", "sequence")),
    "ORDER_CLOSED": Row(StatusCode.FAILED_PRECONDITION, ("name", "state"), "{account}/orders/"),
    "ORDER_STATE": Row(StatusCode.FAILED_PRECONDITION, ("name", "state"), "{account}/orders/"),
    "NO_POSITION": Row(StatusCode.FAILED_PRECONDITION, ("name",), "{account}/positions/"),
    "BOT_STATE": Row(StatusCode.FAILED_PRECONDITION, ("name", "state"), "bots/"),
    "UNSUPPORTED": Row(StatusCode.FAILED_PRECONDITION, ("feature",)),
    "EXCHANGE_REJECTED": Row(StatusCode.FAILED_PRECONDITION, ("exchange", "detail")),
    "JOURNAL_MISMATCH": Row(StatusCode.FAILED_PRECONDITION, ("journalId",)),
    "ETAG_MISMATCH": Row(StatusCode.ABORTED),
    "POSITION_COMPACTED": Row(StatusCode.OUT_OF_RANGE, ("oldestSequence",)),
    "POSITION_AHEAD": Row(StatusCode.OUT_OF_RANGE, ("headSequence",)),
    "SLOW_READER": Row(StatusCode.RESOURCE_EXHAUSTED, ("lastSequence",)),
    "EXCHANGE_UNAVAILABLE": Row(StatusCode.UNAVAILABLE, ("exchange",)),
    "NOT_READY": Row(StatusCode.UNAVAILABLE, ("state",)),
    "OVERLOADED": Row(StatusCode.UNAVAILABLE, ("limit",)),
    "TIMED_OUT": Row(StatusCode.DEADLINE_EXCEEDED, ("seconds",)),
    "JOURNAL_DAMAGED": Row(StatusCode.FAILED_PRECONDITION, ("headSequence",)),
    "INTERNAL": Row(StatusCode.INTERNAL, ("errorId",)),
}
"""By reason; `keys` is what its metadata holds at least."""


class Answer(NamedTuple):
    """How a call ends that failed."""

    code: StatusCode
    status: Status


def answer_to(error: Exception, account: str, method: str) -> Answer:
    """What the caller of `method` gets to see of an error. `account` is the account's name."""
    if isinstance(error, ValidationError):
        return _invalid(error)
    row = TABLE.get(error.reason) if isinstance(error, QuarterdeckError) else None
    if row is None or not isinstance(error, QuarterdeckError) or row.code is StatusCode.INTERNAL:
        return _unforeseen(error, method)
    data = dict(error.data)
    if row.names and "name" in data and "/" not in data["name"]:
        data["name"] = row.names.format(account=account) + data["name"]
    answer = _answer(row.code, error.reason, str(error), data)
    if row.code is StatusCode.INVALID_ARGUMENT and "field" in data:
        bad = BadRequest()
        said = str(error).removeprefix(f"{data['field']}: ")
        bad.field_violations.add(field=_short(data["field"]), description=_short(said), reason=error.reason)
        answer.status.details.add().Pack(bad)
    if row.code is StatusCode.UNAVAILABLE:
        answer.status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS)))
    return answer


def refused(refusal: Refused, sequence: int, trading_since: int) -> RefusedByState:
    """The error that tells a caller of a refusal recorded at `sequence`; 0 if it was not recorded."""
    place = {"sequence": str(sequence)}
    if refusal.rule == CORE and refusal.reason.startswith("TRADING_"):
        state = refusal.reason.removeprefix("TRADING_")
        moment = Timestamp()
        moment.FromNanoseconds(trading_since)
        since = moment.ToJsonString()
        return RefusedByState(
            "TRADING_HALTED", f"trading is {state} since {since}", {"state": state, "since": since, **place}
        )
    numbers = {"limit": refusal.limit, "observed": refusal.observed}
    data = {key: spelt for key, value in numbers.items() if value is not None and (spelt := rounded(value))}
    said = ", ".join(f"{key} {value}" for key, value in data.items())
    text = f"{refusal.rule} refused the order: {refusal.reason}" + (f" ({said})" if said else "")
    nothing_left = refusal.rule == CORE and refusal.reason == "BELOW_MIN_QUANTITY" and not refusal.observed
    reason = "SIZING_REFUSED" if refusal.rule == SIZING or nothing_left else "RISK_REFUSED"
    return RefusedByState(reason, text, {"rule": refusal.rule, "reason": refusal.reason, **data, **place})


@contextmanager
def fields_called(fields: Mapping[str, str]) -> Iterator[None]:
    """Name a field as the caller's own request does, where the engine knows it under another name."""
    try:
        yield
    except InvalidRequest as error:
        field = error.data["field"]
        if field not in fields:
            raise
        problem = str(error).removeprefix(f"{field}: ")
        raise InvalidRequest(fields[field], problem, error.reason) from error


def _invalid(error: ValidationError) -> Answer:
    bad = BadRequest()
    for violation in error.violations[:_VIOLATIONS_SHOWN]:
        bad.field_violations.add(
            field=_short(_path(violation)),
            description=_short(violation.proto.message),
            reason=violation.proto.rule_id,
        )
    first = bad.field_violations[0]
    more = len(error.violations) - 1
    text = f"{first.field}: {first.description}" if first.field else first.description
    if more:
        text += f" (and {more} more)"
    answer = _answer(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", text, {"field": first.field})
    answer.status.details.add().Pack(bad)
    return answer


def _path(violation: Violation) -> str:
    """The field a rule was broken by, such as `order.limit_price` or `event_types[2]`; empty for the whole message."""
    path = ""
    for element in violation.proto.field.elements if violation.proto.field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
    return path


def _unforeseen(error: Exception, method: str) -> Answer:
    error_id = secrets.token_hex(8)
    log.error("a call failed unexpectedly", method=method, error_id=error_id, exc_info=error)
    text = f"something went wrong that nobody foresaw; the daemon's log tells more under {error_id}"
    return _answer(StatusCode.INTERNAL, "INTERNAL", text, {"errorId": error_id})


def _answer(code: StatusCode, reason: str, message: str, data: Mapping[str, str]) -> Answer:
    status = Status(code=code.value[0], message=_short(message))
    metadata = {key: _short(value) for key, value in data.items()}
    status.details.add().Pack(ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata))
    return Answer(code, status)


def _short(text: str) -> str:
    text = prose(text)
    return text if len(text) <= _TEXT_SHOWN else text[: _TEXT_SHOWN - 1] + "…"
