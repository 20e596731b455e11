"""What Bybit opens for us has no id of ours: the names of such orders, and who remembers them."""

from __future__ import annotations

from quarterdeck_exchange_bybit.links import Links

ENTRY = "a1-CEY7-2PZGGK-0000000001-E-C2CJT"


def test_protection_is_known_again_by_bybits_id() -> None:
    links = Links()
    links.remind({ENTRY: "o-1", f"{ENTRY}-sl": "o-2", "x-o-3": "o-3"})
    assert links.of_order("o-2", "", "PartialStopLoss", "btcusdt") == f"{ENTRY}-sl"
    assert links.order_id(f"{ENTRY}-sl") == "o-2"
    assert not links.order_id(ENTRY)  # it carries its name
