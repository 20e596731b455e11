from __future__ import annotations

import inspect
from decimal import Decimal

import grpc
import pytest

from clients.python.tests.conftest import Face
from clients.python.tests.fake_daemon import FakeDaemon, refuse
from quarterdeck.client import (
    AlreadyExists,
    Backoff,
    Conflict,
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    InvalidRequest,
    NotFound,
    OutOfRange,
    QuarterdeckError,
    ResourceExhausted,
    RiskRefused,
    SizingRefused,
    TradingHalted,
    Unavailable,
    errors,
)

NEVER_AGAIN = Backoff(initial=60, maximum=60)  # longer than any call may take


async def raised_by(
    face: Face, daemon: FakeDaemon, code: str, reason: str, metadata: dict[str, str] | None = None
) -> QuarterdeckError:
    daemon.steps["GetStatus"].append(refuse(grpc.StatusCode[code], reason, metadata, message="as it is"))
    with pytest.raises(QuarterdeckError) as raised:
        await face.call(face.client.with_options(backoff=NEVER_AGAIN).system.status())
    assert (raised.value.code, raised.value.reason) == (code, reason)
    assert raised.value.metadata == (metadata or {})
    return raised.value


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        ("INVALID_ARGUMENT", "INVALID_SETTINGS", InvalidRequest),
        ("INVALID_ARGUMENT", "PAGE_TOKEN_MISMATCH", errors.PageTokenMismatch),
        ("NOT_FOUND", "BOT_NOT_FOUND", NotFound),
        ("ALREADY_EXISTS", "REQUEST_ID_REUSED", AlreadyExists),
        ("FAILED_PRECONDITION", "RISK_REFUSED", RiskRefused),
        ("FAILED_PRECONDITION", "SIZING_REFUSED", SizingRefused),
        ("FAILED_PRECONDITION", "TRADING_HALTED", TradingHalted),
        ("FAILED_PRECONDITION", "JOURNAL_MISMATCH", errors.JournalMismatch),
        ("FAILED_PRECONDITION", "ORDER_CLOSED", FailedPrecondition),
        ("FAILED_PRECONDITION", "A_REASON_OF_TOMORROW", FailedPrecondition),
        ("ABORTED", "ETAG_MISMATCH", Conflict),
        ("OUT_OF_RANGE", "POSITION_COMPACTED", errors.PositionCompacted),
        ("OUT_OF_RANGE", "POSITION_AHEAD", errors.PositionAhead),
        ("OUT_OF_RANGE", "", OutOfRange),
        ("RESOURCE_EXHAUSTED", "SLOW_READER", errors.SlowReader),
        ("RESOURCE_EXHAUSTED", "", ResourceExhausted),
        ("UNAVAILABLE", "EXCHANGE_UNAVAILABLE", Unavailable),
        ("UNAVAILABLE", "", Unavailable),
        ("DEADLINE_EXCEEDED", "", DeadlineExceeded),
        ("INTERNAL", "INTERNAL", InternalError),
        ("PERMISSION_DENIED", "", QuarterdeckError),
    ],
)
async def test_the_exception_follows_from_the_reason_or_else_the_code(
    face: Face, daemon: FakeDaemon, code: str, reason: str, expected: type[QuarterdeckError]
) -> None:
    assert type(await raised_by(face, daemon, code, reason)) is expected


async def test_a_refusal_is_data(face: Face, daemon: FakeDaemon) -> None:
    error = await raised_by(
        face,
        daemon,
        "FAILED_PRECONDITION",
        "RISK_REFUSED",
        {
            "rule": "daily-loss",
            "reason": "DAILY_LOSS_REACHED",
            "limit": "0.03",
            "observed": "0.0301",
            "sequence": "17",
        },
    )
    assert isinstance(error, RiskRefused)
    assert (error.rule, error.cause, error.sequence) == ("daily-loss", "DAILY_LOSS_REACHED", 17)
    assert (error.limit, error.observed) == (Decimal("0.03"), Decimal("0.0301"))


async def test_a_refusal_may_have_no_number(face: Face, daemon: FakeDaemon) -> None:
    error = await raised_by(face, daemon, "FAILED_PRECONDITION", "SIZING_REFUSED", {"rule": "sizer", "sequence": ""})
    assert isinstance(error, SizingRefused)
    assert (error.limit, error.observed, error.cause, error.sequence) == (None, None, "", 0)


async def test_what_else_errors_tell(face: Face, daemon: FakeDaemon) -> None:
    error = await raised_by(face, daemon, "INTERNAL", "INTERNAL", {"errorId": "e-1"})
    assert isinstance(error, InternalError)
    assert error.error_id == "e-1"
    halted = await raised_by(
        face, daemon, "FAILED_PRECONDITION", "TRADING_HALTED", {"state": "HALTED", "sequence": "3"}
    )
    assert isinstance(halted, TradingHalted)
    assert (halted.state, halted.sequence) == ("HALTED", 3)
    assert str(halted) == "TRADING_HALTED: as it is"
    compacted = await raised_by(face, daemon, "OUT_OF_RANGE", "POSITION_COMPACTED", {"oldestSequence": "9"})
    assert isinstance(compacted, errors.PositionCompacted)
    assert compacted.oldest_sequence == 9
    ahead = await raised_by(face, daemon, "OUT_OF_RANGE", "POSITION_AHEAD", {"headSequence": "4"})
    assert isinstance(ahead, errors.PositionAhead)
    assert ahead.head_sequence == 4


async def test_another_domain_is_not_ours(face: Face, daemon: FakeDaemon) -> None:
    def proxied(context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", b"\x08\x05"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "by a proxy")

    daemon.steps["GetStatus"].append(proxied)
    with pytest.raises(NotFound) as raised:
        await face.call(face.client.system.status())
    assert (raised.value.reason, str(raised.value)) == ("", "NOT_FOUND: by a proxy")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Every public exception stands in the module's docstring, below its parent and further in."""
    lines = (errors.__doc__ or "").splitlines()
    depth = {
        word: line.index(word)
        for line in lines
        for word in line.replace("├", " ").replace("└", " ").replace("│", " ").replace("─", " ").split()[:1]
        if inspect.isclass(getattr(errors, word, None))
    }
    public = {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, QuarterdeckError) and not name.startswith("_")
    }
    assert set(depth) == set(public)
    for name, kind in public.items():
        if kind is not QuarterdeckError:
            parent = next(each.__name__ for each in kind.__mro__[1:] if not each.__name__.startswith("_"))
            assert depth[parent] < depth[name]
            assert list(depth).index(parent) < list(depth).index(name)
