from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from quarterdeck.domain.market import SECOND, Side
from quarterdeck.domain.order import OrderRole, OrderTerms, OrderType
from quarterdeck.domain.risk import OrderDraft, Refused
from quarterdeck.testing.views import FakeView
from quarterdeck_risk_limits.rules import build_rules
from quarterdeck_risk_limits.settings import RiskLimitsSettings

MARK = Decimal(50_000)
#: Risks 0.2 * 1 000 = 200, exactly 2 % of the account of 10 000.
BUY = OrderTerms("btcusdt", Side.BUY, OrderType.MARKET, Decimal("0.2"), stop_loss=Decimal(49_000))
VIEW = FakeView(marks={"btcusdt": MARK})


def refused(
    terms: OrderTerms = BUY, view: FakeView = VIEW, price: Decimal = MARK, **settings: object
) -> Refused | None:
    """The first refusal, as the gate gives it."""
    draft = OrderDraft(terms, OrderRole.ENTRY, "some-bot", price)
    rules = build_rules(RiskLimitsSettings.model_validate(settings))
    return next((no for no in (rule.check(draft, view) for rule in rules) if no), None)


def test_an_entry_at_every_limit_passes() -> None:
    assert refused() is None


def test_the_gravest_rule_is_asked_first() -> None:
    rules = build_rules(RiskLimitsSettings())
    assert [rule.name for rule in rules] == [
        "drawdown",
        "daily-loss",
        "order-rate",
        "open-positions",
        "price-band",
        "notional",
        "position-risk",
    ]


def test_what_is_off_is_not_asked() -> None:
    off = dict.fromkeys(("max_notional_multiple", "max_open_positions", "price_band", "max_entries_per_minute"), "off")
    rules = build_rules(RiskLimitsSettings.model_validate(off))
    assert [rule.name for rule in rules] == ["drawdown", "daily-loss", "position-risk"]


# --- position risk ---


def test_a_position_may_not_lose_more_than_two_percent_of_equity() -> None:
    larger = replace(BUY, quantity=Decimal("0.201"))
    assert refused(larger) == Refused("position-risk", "POSITION_RISK_TOO_LARGE", Decimal(200), Decimal(201))


def test_a_short_is_measured_to_the_stop_above_it() -> None:
    short = replace(BUY, side=Side.SELL, stop_loss=Decimal(51_000))
    assert refused(short) is None
    assert refused(replace(short, stop_loss=Decimal(51_001))) == Refused(
        "position-risk", "POSITION_RISK_TOO_LARGE", Decimal(200), Decimal("200.2")
    )


def test_what_the_instrument_risks_already_counts() -> None:
    view = replace(VIEW, open_risks={"btcusdt": Decimal("0.01"), "ethusdt": Decimal(1_000)})
    assert refused(view=view) == Refused("position-risk", "POSITION_RISK_TOO_LARGE", Decimal(200), Decimal("200.01"))


def test_without_a_stop_all_of_it_is_at_risk() -> None:
    bare = replace(BUY, stop_loss=None, quantity=Decimal("0.004"))
    assert refused(bare) is None
    assert refused(replace(bare, quantity=Decimal("0.005"))) == Refused(
        "position-risk", "POSITION_RISK_TOO_LARGE", Decimal(200), Decimal(250)
    )
    assert refused(bare, require_stop=True) == Refused("position-risk", "NO_STOP")


@pytest.mark.parametrize(("side", "stop"), [(Side.BUY, 50_000), (Side.BUY, 51_000), (Side.SELL, 49_000)])
def test_a_stop_that_limits_nothing_is_refused(side: Side, stop: int) -> None:
    terms = replace(BUY, side=side, stop_loss=Decimal(stop))
    assert refused(terms) == Refused("position-risk", "STOP_SIDE", MARK, Decimal(stop))


def test_without_equity_there_is_nothing_to_risk() -> None:
    broke = replace(VIEW, equity=Decimal(0))
    *_, notional, position_risk = build_rules(RiskLimitsSettings())
    for rule in (notional, position_risk):
        refusal = rule.check(OrderDraft(BUY, OrderRole.ENTRY, "", MARK), broke)
        assert refusal == Refused(rule.name, "NO_EQUITY", Decimal(0), Decimal(0))


# --- notional ---


def test_an_order_may_be_worth_ten_times_equity() -> None:
    large = replace(BUY, quantity=Decimal(2), stop_loss=Decimal(49_900))
    assert refused(large) is None
    assert refused(replace(large, quantity=Decimal("2.001"))) == Refused(
        "notional", "NOTIONAL_TOO_LARGE", Decimal(100_000), Decimal(100_050)
    )


def test_an_order_may_have_a_limit_in_money_too() -> None:
    assert refused(max_notional=10_000) is None
    assert refused(max_notional=9_999) == Refused("notional", "NOTIONAL_TOO_LARGE", Decimal(9_999), Decimal(10_000))


def test_exposure_counts_what_is_there() -> None:
    view = replace(VIEW, positions={"btcusdt": Decimal("-0.5")}, pending={"btcusdt": Decimal("0.3")})
    assert refused(view=view, max_exposure_multiple=5) is None
    assert refused(view=view, max_exposure_multiple="4.99") == Refused(
        "notional", "EXPOSURE_TOO_LARGE", Decimal(49_900), Decimal(50_000)
    )


# --- traffic ---


def test_ten_instruments_at_once() -> None:
    nine = {f"coin{number}usdt": Decimal(1) for number in range(9)}
    assert refused(view=replace(VIEW, positions=nine)) is None
    ten = {**nine, "ethusdt": Decimal(1)}
    assert refused(view=replace(VIEW, positions=ten)) == Refused(
        "open-positions", "OPEN_POSITIONS_REACHED", Decimal(10), Decimal(11)
    )


def test_an_instrument_that_is_held_may_be_added_to() -> None:
    ten = {**{f"coin{number}usdt": Decimal(1) for number in range(9)}, "btcusdt": Decimal(1)}
    assert refused(view=replace(VIEW, positions=ten)) is None


@pytest.mark.parametrize(("price", "seen"), [("52500.1", "0.05000200"), ("47499.9", "0.05000200")])
def test_a_price_stays_within_five_percent_of_the_mark(price: str, seen: str) -> None:
    limit = replace(BUY, type=OrderType.LIMIT, limit_price=Decimal(price), stop_loss=None)
    assert refused(limit, price=Decimal(price)) == Refused(
        "price-band", "PRICE_OUT_OF_BAND", Decimal("0.05"), Decimal(seen)
    )


@pytest.mark.parametrize("price", ["52500", "47500"])
def test_the_edge_of_the_band_is_inside(price: str) -> None:
    tiny = replace(BUY, quantity=Decimal("0.001"), stop_loss=None)
    assert refused(tiny, price=Decimal(price)) is None


@pytest.mark.parametrize("marks", [{}, {"btcusdt": Decimal(0)}])
def test_without_a_mark_no_price_is_near_it(marks: dict[str, Decimal]) -> None:
    assert refused(view=replace(VIEW, marks=marks)) == Refused("price-band", "NO_MARK")


def test_sixty_entries_in_a_minute() -> None:
    times = [VIEW.now - second * SECOND for second in range(59, -1, -1)]
    assert refused(view=replace(VIEW, entry_times=times)) == Refused(
        "order-rate", "ORDER_RATE_REACHED", Decimal(60), Decimal(61)
    )
    a_minute_old = [VIEW.now - 60 * SECOND, *times[1:]]
    assert refused(view=replace(VIEW, entry_times=a_minute_old)) is None


# --- losses ---


@pytest.mark.parametrize(
    ("rule", "reference", "percent", "reason"),
    [
        ("daily-loss", "day_start_equity", 3, "DAILY_LOSS_REACHED"),
        ("drawdown", "peak_equity", 5, "DRAWDOWN_REACHED"),
    ],
)
def test_a_loss_ends_entries_once_it_reaches_the_limit(rule: str, reference: str, percent: int, reason: str) -> None:
    earlier = Decimal(20_000)
    limit = Decimal(percent) / 100
    at_limit = earlier * (1 - limit)
    start = replace(VIEW, day_start_equity=at_limit, peak_equity=at_limit)
    view = replace(start, equity=at_limit, **{reference: earlier})  # type: ignore[arg-type]  # both fields are Decimals
    assert refused(view=view) == Refused(rule, reason, limit, limit)
    just_above = replace(view, equity=at_limit + Decimal("0.00000001"))
    assert refused(view=just_above) is None
    worse = replace(view, equity=at_limit - Decimal("0.00000001"))
    assert refused(view=worse) == Refused(rule, reason, limit, limit + Decimal("0.00000001"))


@pytest.mark.parametrize(("rule", "reference"), [("daily-loss", "day_start_equity"), ("drawdown", "peak_equity")])
def test_a_loss_from_nothing_can_not_be_measured(rule: str, reference: str) -> None:
    view = replace(VIEW, **{reference: Decimal(0)})  # type: ignore[arg-type]  # both fields are Decimals
    assert refused(view=view) == Refused(rule, "NO_REFERENCE_EQUITY", Decimal(0), Decimal(0))


# --- limits ---


def test_every_limit_is_listed_with_what_is_used_of_it() -> None:
    view = replace(
        VIEW,
        equity=Decimal(9_800),
        peak_equity=Decimal(11_200),
        positions={"btcusdt": Decimal("0.1")},
        entry_times=[VIEW.now - 60 * SECOND, VIEW.now - 59 * SECOND],
    )
    settings = RiskLimitsSettings.model_validate({"max_notional": 7_000, "max_exposure_multiple": 2})
    listed = {
        (status.rule, status.name): (status.limit, status.observed)
        for rule in build_rules(settings)
        for status in rule.limits(view)
    }
    assert listed == {
        ("drawdown", "max_drawdown"): (Decimal("0.05"), Decimal("0.125")),
        ("daily-loss", "max_daily_loss"): (Decimal("0.03"), Decimal("0.02")),
        ("order-rate", "max_entries_per_minute"): (60, 1),
        ("open-positions", "max_open_positions"): (10, 1),
        ("price-band", "price_band"): (Decimal("0.05"), None),
        ("notional", "max_notional_multiple"): (98_000, None),
        ("notional", "max_notional"): (7_000, None),
        ("notional", "max_exposure_multiple"): (19_600, 5_000),
        ("position-risk", "max_position_risk"): (196, None),
    }


def test_an_account_that_never_had_money_has_lost_all_of_it() -> None:
    nothing = Decimal(0)
    view = replace(VIEW, equity=nothing, day_start_equity=nothing, peak_equity=nothing)
    lost = {status.name: status.observed for rule in build_rules(RiskLimitsSettings()) for status in rule.limits(view)}
    assert lost["max_drawdown"] == lost["max_daily_loss"] == 1
