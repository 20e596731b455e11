from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from quarterdeck.domain.errors import ConfigError
from quarterdeck.domain.instrument import InstrumentKind
from quarterdeck.domain.market import HOUR
from quarterdeck.matching import BasisPoints, FixedFunding, FixedTicks, Latency, LimitFill, NoSlippage, VolumeImpact
from quarterdeck.plugin.validation import validated
from quarterdeck_exchange_paper import PaperSettings
from quarterdeck_exchange_paper.listing import InstrumentTable

README = (Path(__file__).parent.parent / "README.md").read_text()


def settings(**table: object) -> PaperSettings:
    return validated(PaperSettings, table, "[exchange.settings]")


def listed(symbol: str, **table: object) -> object:
    return {instrument.symbol: instrument for instrument in settings(**table).listing()}[symbol]


def test_the_default_list_can_be_traded() -> None:
    found = {instrument.symbol: instrument for instrument in settings().listing()}
    assert list(found) == ["btcusdt", "ethusdt", "solusdt", "xrpusdt", "btcusdt-spot", "ethusdt-spot"]
    for symbol, instrument in found.items():
        spot = symbol.endswith("-spot")
        assert instrument.kind is (InstrumentKind.SPOT if spot else InstrumentKind.LINEAR)
        assert instrument.venue_symbol == symbol.removesuffix("-spot").upper()
        assert instrument.venue_symbol == instrument.base + instrument.quote
        assert instrument.taker_fee_rate == (Decimal("0.001") if spot else Decimal("0.00055"))


def test_fees_for_all_give_way_to_fees_of_one() -> None:
    found = {
        instrument.symbol: instrument.taker_fee_rate
        for instrument in settings(
            taker_fee_rate="0.0003", instruments={"ethusdt": {"taker_fee_rate": "0.0001"}}
        ).listing()
    }
    assert found["btcusdt"] == found["btcusdt-spot"] == Decimal("0.0003")
    assert found["ethusdt"] == Decimal("0.0001")


def test_an_instrument_can_be_added_with_little() -> None:
    table = {
        "adausdt": {"tick_size": 0.0001, "lot_size": 1},
        "adaeur-spot": {"tick_size": 0.01, "lot_size": 1, "quote": "EUR"},
    }
    found = {instrument.symbol: instrument for instrument in settings(instruments=table).listing()}
    ada, spot = found["adausdt"], found["adaeur-spot"]
    assert (ada.kind, ada.base, ada.settle, ada.min_quantity) == (InstrumentKind.LINEAR, "ADA", "USDT", Decimal(1))
    assert (spot.kind, spot.base, spot.quote, spot.settle) == (InstrumentKind.SPOT, "ADA", "EUR", "EUR")
    assert spot.taker_fee_rate == Decimal("0.001")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"balances": {"USDT": -1}}, r"balances.USDT"),
        ({"slippage": {"ticks": -1}}, r"slippage.ticks"),
        ({"slippage": {"luck": 1}}, r"slippage.luck"),
        ({"slippage": {"ticks": 1, "impact": 1}}, r"slippage.*not ticks and impact"),
        ({"latency": {"fixed_ms": 0.5}}, r"latency.fixed_ms"),
        ({"participation": 0}, r"participation"),
        ({"participation": 2}, r"participation"),
        ({"limit_fill": "always"}, r"limit_fill"),
        ({"leverage": {"dogeusdt": 2}}, r"no instrument 'dogeusdt'"),
        ({"leverage": {"btcusdt": 101}}, r"leverage of btcusdt must be from 1 to 100"),
        (
            {"leverage": {"solusdt": 50}, "instruments": {"solusdt": {"maintenance_margin_rate": 0.02}}},
            r"liquidated as it opens",
        ),
        ({"instruments": {"adausdt": {"tick_size": 1}}}, r"instruments.adausdt.*lot_size"),
        ({"instruments": {"adaeur": {"tick_size": 1, "lot_size": 1}}}, r"instruments.adaeur.*base and quote"),
        ({"instruments": {"btcusdt": {"tick": 1}}}, r"instruments.btcusdt.tick"),
        ({"funding": {}}, r"funding.rate"),
        ({"fees": 1}, r"fees"),
    ],
)
def test_what_makes_no_sense_is_refused_by_key(table: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        settings(**table)


def test_settings_reach_the_venue() -> None:
    assert isinstance(settings().venue_settings().slippage, NoSlippage)
    venue = settings(
        slippage={"basis_points": 2},
        latency={"fixed_ms": 80, "jitter_ms": 40, "seed": 7},
        limit_fill="touch",
        participation="0.1",
        default_leverage=3,
        leverage={"btcusdt": 20},
        funding={"rate": "0.0001"},
    ).venue_settings()
    assert venue.slippage == BasisPoints(Decimal(2))
    assert venue.latency == Latency(80_000_000, 40_000_000, 7)
    assert venue.limit_fill is LimitFill.TOUCH
    assert venue.participation == Decimal("0.1")
    assert (venue.default_leverage, venue.leverage) == (Decimal(3), {"btcusdt": Decimal(20)})
    assert venue.funding == FixedFunding(Decimal("0.0001"), 8 * HOUR)
    assert settings(slippage={"ticks": 2}).venue_settings().slippage == FixedTicks(2)
    impact = settings(slippage={"impact": "0.1"}).venue_settings().slippage
    assert impact == VolumeImpact(Decimal("0.1"))


def test_the_readme_lists_every_key() -> None:
    section = README.partition("\n## Settings\n")[2]
    assert re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE) == list(PaperSettings.model_fields)
    for key in InstrumentTable.model_fields:
        assert f"`{key}`" in section


def test_the_example_in_the_readme_is_valid() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    table = tomllib.loads(example)["exchange"]["settings"]
    assert settings(**table).default_leverage == 5
