from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from quarterdeck.testing.checks import build, check_factory
from quarterdeck.testing.exchange_stage import EmbeddedStage
from quarterdeck.testing.exchange_suite import ExchangeSuite
from quarterdeck_exchange_paper import quarterdeck_exchanges

FACTORY = quarterdeck_exchanges()[0]


def test_factory() -> None:
    check_factory(FACTORY, {})


class TestPlain(ExchangeSuite):
    settings: Mapping[str, object] = MappingProxyType({})

    def stage(self) -> EmbeddedStage:
        return EmbeddedStage(lambda: build(FACTORY, self.settings), self.symbol)


class TestCheapCoin(TestPlain):
    """A price with more places than digits, and a least quantity that is worth less than min_notional."""

    symbol = "xrpusdt"
    price = Decimal("0.5")
    quantity = Decimal(1_000)


class TestWithCosts(TestPlain):
    settings = MappingProxyType(
        {
            "slippage": {"basis_points": 5},
            "maker_fee_rate": "-0.0001",
            "limit_fill": "touch",
            "participation": "0.5",
            "funding": {"rate": "0.0001", "hours": 1},
        },
    )
