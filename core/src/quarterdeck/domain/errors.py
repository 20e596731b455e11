"""Owns the errors a caller can cause or meet, grouped by who must act. `rpc/errors.py` maps them to the wire, once.

QuarterdeckError
├── CallerError            the call is wrong: change it
│   ├── InvalidRequest     a field is malformed or contradicts another
│   ├── NotFound           no such thing
│   ├── AlreadyExists      the id is taken by something else
│   └── RefusedByState     it is not allowed as things stand (closed order, halted trading, refused by risk)
├── Unavailable            try again later; nothing was recorded
└── ConfigError            the daemon can't start like this
"""

from __future__ import annotations

from collections.abc import Mapping


class QuarterdeckError(Exception):
    """Base of all. `reason` is a name of the contract's ErrorReason enum; `data` repeats what the text says."""

    def __init__(self, reason: str, message: str, data: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.data = dict(data or {})


class CallerError(QuarterdeckError):
    """The call is wrong, or not allowed now."""


class InvalidRequest(CallerError):
    """A field is malformed, out of range or contradicts another; `data['field']` names it."""

    def __init__(self, field: str, message: str, reason: str = "INVALID_REQUEST", **data: str) -> None:
        super().__init__(reason, f"{field}: {message}", {"field": field} | data)


class NotFound(CallerError):
    """No such thing; `data['name']` is what was asked for, `data['known']` what there is, where that is told."""

    def __init__(self, kind: str, name: str, known: str = "") -> None:
        there, data = (f"; there is {known}", {"known": known}) if known else ("", {})
        super().__init__(f"{kind.upper()}_NOT_FOUND", f"no {kind} {name!r}{there}", {"name": name} | data)


class AlreadyExists(CallerError):
    """The id stands for something else already."""


class RefusedByState(CallerError):
    """Not allowed as things stand."""


class Unavailable(QuarterdeckError):
    """Something needed is not there right now; nothing was recorded."""


class ConfigError(QuarterdeckError):
    """The daemon can't start: configuration, plugin or data is wrong. The text says how to mend it."""

    def __init__(self, message: str) -> None:
        super().__init__("CONFIG", message)
