from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from quarterdeck.domain.market import DAY, HOUR, MINUTE, SECOND
from quarterdeck.plugin import Settings
from quarterdeck.plugin.fields import Interval, Moment, Speed, interval_ns, interval_text, moment_ns, moment_text


class Example(Settings):
    interval: Interval = "1m"
    start: Moment | None = None
    speed: Speed = "max"


@pytest.mark.parametrize(
    ("text", "length"), [("30s", 30 * SECOND), ("5m", 5 * MINUTE), ("4h", 4 * HOUR), ("1d", DAY), ("7d", 7 * DAY)]
)
def test_intervals(text: str, length: int) -> None:
    assert interval_ns(text) == length
    assert interval_text(length) == text


@pytest.mark.parametrize(
    "text", ["", "m", "0m", "05m", "-1m", "1.5m", "1 m", "1M", "1w", "5", "1234567s", "5m ", "\u0665m"]
)
def test_what_is_no_interval(text: str) -> None:
    with pytest.raises(ValueError, match="is not an interval such as '30s'"):
        interval_ns(text)
    with pytest.raises(ValidationError, match="is not an interval"):
        Example(interval=text)


@given(st.integers(1, 10**15))
def test_interval_text_reads_back(seconds: int) -> None:
    length = min(seconds, 999_999) * SECOND
    assert interval_ns(interval_text(length)) == length


def test_an_interval_finer_than_seconds_can_be_shown() -> None:
    assert interval_text(1_500_000_000) == "1500000000ns"


def test_moments() -> None:
    moment = datetime(2025, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert moment_ns(moment) == 1_735_689_600_123_456_000
    assert moment_text(moment_ns(moment)) == "2025-01-01T00:00:00.123456Z"
    assert moment_text(1_735_689_600_000_000_001) == "2025-01-01T00:00:00.000000001Z"
    assert moment_text(1_735_689_600_000_000_000) == "2025-01-01T00:00:00Z"
    assert moment_ns(datetime(2025, 1, 1, 3, tzinfo=timezone(timedelta(hours=3)))) == 1_735_689_600_000_000_000


@pytest.mark.parametrize("start", [1_735_689_600, 1735689600.0, "2025-01-01", "2025-01-01T00:00:00", "soon", True])
def test_what_is_no_moment(start: object) -> None:
    with pytest.raises(ValidationError):
        Example.model_validate({"start": start})


@pytest.mark.parametrize("speed", ["max", 1, 0.5, 1e9])
def test_speeds(speed: object) -> None:
    assert Example.model_validate({"speed": speed}).speed == speed


@pytest.mark.parametrize("speed", ["fast", 0, -1, True, None, float("inf"), float("nan"), "60"])
def test_what_is_no_speed(speed: object) -> None:
    with pytest.raises(ValidationError):
        Example.model_validate({"speed": speed})
