from __future__ import annotations

from decimal import Decimal

from quarterdeck.plugin import AccountView
from quarterdeck.testing.views import BTCUSDT, FakeView


def test_a_fresh_account_is_flat_and_has_seen_nothing() -> None:
    view: AccountView = FakeView()
    assert (view.open_positions, view.exposure_notional) == (0, Decimal(0))
    assert view.mark("btcusdt") is None
    assert view.open_risk("btcusdt") == 0
    assert view.instrument("btcusdt") is BTCUSDT
    assert view.instrument("nothing") is None


def test_what_is_counted_follows_from_what_is_held() -> None:
    view = FakeView(
        marks={"btcusdt": Decimal(50_000)},
        positions={"btcusdt": Decimal("-0.2"), "ethusdt": Decimal(0)},
        pending={"btcusdt": Decimal("0.1"), "solusdt": Decimal(5)},
    )
    assert view.open_positions == 2
    assert view.exposure_notional == 15_000
    assert view.is_held_or_pending("solusdt")
    assert not view.is_held_or_pending("ethusdt")


def test_entries_are_counted_from_a_moment_on() -> None:
    view = FakeView(entry_times=(1, 2, 3))
    assert [view.entries_since(moment) for moment in (0, 2, 4)] == [3, 2, 0]
