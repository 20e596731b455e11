from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from quarterdeck.testing.sizer_suite import SizerSuite
from quarterdeck_sizer_speed_demon import quarterdeck_sizers


class TestSpeedDemon(SizerSuite):
    factory = quarterdeck_sizers()[0]


class TestWithFees(SizerSuite):
    factory = quarterdeck_sizers()[0]
    settings: ClassVar[Mapping[str, object]] = {"include_fees": True, "max_ratio": "0.1", "small_balance": 1}
