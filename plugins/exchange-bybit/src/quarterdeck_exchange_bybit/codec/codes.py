"""Owns what Bybit's answer to a request proves: that it was taken, refused, or neither.

A code that is not in these tables proves nothing. Treating doubt as a refusal is the commonest way to trade twice.
"""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What became of a request."""

    TAKEN = "TAKEN"
    """Bybit has it; what comes of it is told by the streams."""
    REFUSED = "REFUSED"
    """Bybit has not done it, for certain."""
    UNKNOWN = "UNKNOWN"
    """It may have been done."""


OK = 0

#: Answers that leave open whether the request was carried out, among families that are refusals otherwise.
_DOUBTFUL = frozenset(
    {
        110030,  # an order of this id exists
        110072,  # an order of this link id exists
        110079,  # the order is being processed
        170001, 170005, 170007, 170032, 170035,  # internal error, rate, time-out, network, submitted for processing
        170141, 170146, 170147, 170149, 170150, 170191, 170212, 170222, 170234, 170310,
    }
)  # fmt: skip

#: Refusals before anything is done: of the request itself, its signature, the account's means, the order's terms.
REFUSALS = (
    frozenset({10001, 10002, 10003, 10004, 10005, 10007, 10008, 10009, 10010, 10017, 10024, 10027, 10028, 10029})
    | {30133, 30134, 30135, 30136, 30208, 30209, 30228, 30256, 33004, 40004, 100028}
    | frozenset(range(110001, 110138))
    | frozenset({170010, 170011, 170019, 170031, 170033, 170034, 170036, 170037, 170105})
    | frozenset(range(170115, 170242))
    | frozenset({170311, 170312, 170313, 170341, 170344, 170346, 170348, 170355, 170358, 170359, 170360, 170371})
    | {170372, 170381, 170382, 170709, 170810}
) - _DOUBTFUL

#: An order with this link id exists: it is to be read, not placed again.
DUPLICATES = frozenset({110030, 110072, 170141})

#: There is no such order to cancel or change: usually it has ended. On its own that is no proof that it never was.
NO_SUCH_ORDER = frozenset({110001, 110008, 110010, 170139, 170142, 170143, 170190, 170213})

#: What was asked for was so already.
UNCHANGED = frozenset({34040, 110025, 110026, 110027, 110043})

#: Too many requests: this one may or may not have been let in.
LIMITED = frozenset({429, 10006, 10018, 10403, 10429, 20003, 170005, 170222})

#: The key no longer works, or never did: asking again changes nothing until somebody has seen to it.
CREDENTIALS = frozenset({10003, 10004, 10005, 10009, 10010, 33004})

#: The clock of the request is out of bounds.
CLOCK = frozenset({10002})

#: The exchange is at work on itself.
MAINTENANCE = frozenset({10016, 10019, 500000})

#: The HTTP status of an address that is turned away.
FORBIDDEN = 403


def verdict(code: int) -> Verdict:
    """What a `retCode` says of a request that would change something. Duplicates are doubt: an order is there."""
    if code == OK:
        return Verdict.TAKEN
    return Verdict.REFUSED if code in REFUSALS else Verdict.UNKNOWN


def http_verdict(status: int) -> Verdict:
    """What an HTTP status other than 200 says. Whatever stood between us and Bybit may have let the request through.

    Only a ban of the address, and what was no request to Bybit at all, are certain.
    """
    return Verdict.REFUSED if status in (400, 401, FORBIDDEN, 404) else Verdict.UNKNOWN
