"""Owns what each failure of a call or of a start means to a user, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from quarterdeck.cli.problem import Problem
from quarterdeck.client import DeadlineExceeded, InvalidRequest, QuarterdeckError, Unavailable
from quarterdeck.domain import errors as domain

HINTS: Mapping[str, str] = {
    "PAGE_TOKEN_MISMATCH": "Give the command again.",
    "INVALID_SETTINGS": "The plugin's README lists its settings.",
    "ACCOUNT_NOT_FOUND": "Give the account of the daemon's configuration with --account.",
    "INSTRUMENT_NOT_FOUND": "`quarterdeck instruments` lists what can be traded.",
    "ORDER_NOT_FOUND": "`quarterdeck orders --all` lists the orders.",
    "POSITION_NOT_FOUND": "`quarterdeck positions` lists what is held.",
    "BOT_NOT_FOUND": "`quarterdeck bot list` lists the bots.",
    "PLUGIN_NOT_FOUND": "`quarterdeck plugins` lists what is there.",
    "ORDER_ID_TAKEN": "Give another --id.",
    "BOT_ID_TAKEN": "Give another id.",
    "REQUEST_ID_REUSED": "Give another --request-id, or leave it out.",
    "RISK_REFUSED": "`quarterdeck risk state` shows the limits.",
    "SIZING_REFUSED": "`quarterdeck size` shows how a size is found.",
    "TRADING_HALTED": "`quarterdeck risk state` shows why; `quarterdeck risk release` lets trading go on.",
    "ORDER_CLOSED": "`quarterdeck order get` shows what became of it.",
    "ORDER_STATE": "`quarterdeck order get` shows how it is.",
    "NO_POSITION": "`quarterdeck positions` lists what is held.",
    "BOT_STATE": "`quarterdeck bot list` shows what the bots do.",
    "POSITION_COMPACTED": "Begin later: the error says where the history begins now.",
    "POSITION_AHEAD": "Begin earlier: the error says where the journal ends.",
    "EXCHANGE_UNAVAILABLE": "Try again in a moment; `quarterdeck status` shows how the daemon is.",
    "NOT_READY": "Try again in a moment.",
    "JOURNAL_DAMAGED": "`quarterdeck status` says what is wrong and what to do.",
    "INTERNAL": "The daemon's log says more under that id.",
}
"""What to do about an error of the contract, by its reason."""


def problem_of(error: Exception, address: str) -> Problem | None:
    """What to tell the user; None for an error that is no user's."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, domain.QuarterdeckError):
        first, *details = str(error).splitlines()
        return Problem(
            first, code="FAILED_PRECONDITION", reason=error.reason, details=[line.strip() for line in details]
        )
    if isinstance(error, Unavailable) and not error.reason:
        return Problem(
            f"No daemon answers at {address}.",
            code=error.code,
            metadata={"address": address, "detail": error.failure.message},
            hint="Start one with `quarterdeck serve`, or say where it is with --address.",
        )
    if isinstance(error, DeadlineExceeded):
        return _unanswered(error, address)
    return _failed_call(error) if isinstance(error, QuarterdeckError) else None


def failed_start(error: domain.QuarterdeckError, hint: str = "") -> Problem:
    """A daemon of this process that can't be started as it is. Its text says everything, one fault a line."""
    first, *more = str(error).splitlines()
    details = [line.strip() for line in more]
    return Problem(first, code="FAILED_PRECONDITION", reason=error.reason, details=details, hint=hint)


def _unanswered(error: DeadlineExceeded, address: str) -> Problem:
    """Neither yes nor no: what was wished for may have been recorded."""
    again = (
        f"It may have been recorded: give it again with --request-id {error.request_id}." if error.request_id else ""
    )
    return Problem(
        f"The daemon at {address} did not answer in time.",
        code=error.code,
        metadata={"address": address, "request_id": error.request_id},
        hint=again or "`quarterdeck status` shows how it is.",
    )


def _failed_call(error: QuarterdeckError) -> Problem:
    violations = error.violations if isinstance(error, InvalidRequest) else ()
    return Problem(
        "The daemon does not take this:" if violations else error.failure.message,
        code=error.code,
        reason=error.reason,
        metadata=error.metadata,
        violations={each.field: each.description for each in violations},
        hint=HINTS.get(error.reason, ""),
    )
