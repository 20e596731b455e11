"""Whatever the engine records can be told: in a line to people, as an envelope to programs."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.rpc.examples import EVENT_CLASSES, examples_of, recorded
from quarterdeck.cli.event_text import line, told
from quarterdeck.cli.events import as_json
from quarterdeck.client.events import (
    BotStateChanged,
    Event,
    OrderRefused,
    SignalRaised,
    TradingStateChanged,
    Unrecognized,
    read_event,
)
from quarterdeck.client.resources import OrderTerms
from quarterdeck.rpc.convert.envelope import encode
from quarterdeck.v1.event_pb2 import Envelope


@pytest.mark.parametrize("kind", EVENT_CLASSES, ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_an_event_is_one_line_and_one_object(kind: type[Any], data: st.DataObject) -> None:
    event = read_event(Envelope.FromString(encode(data.draw(recorded(examples_of(kind))), "main")))
    assert isinstance(event, Event)
    text = line(event).plain
    assert kind.__name__ in text
    assert len(text.splitlines()) == 1
    told_to_programs = json.loads(json.dumps(as_json(event)))
    assert told_to_programs["type"] == kind.__name__
    assert list(told_to_programs)[-1].replace("_", "") == kind.__name__.lower()


WISH = OrderTerms(
    instrument="instruments/btcusdt",
    side="BUY",
    type="MARKET",
    quantity=None,
    limit_price=None,
    trigger_price=None,
    trailing_distance=None,
    time_in_force=None,
    reduce_only=False,
    stop_loss=Decimal(49000),
    take_profit=None,
    bot="bots/sma",
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            OrderRefused(WISH, "daily-loss", "DAILY_LOSS_REACHED", Decimal("0.03"), Decimal("0.0312")),
            "buy - btcusdt market by daily-loss: DAILY_LOSS_REACHED, 0.0312 against 0.03",
        ),
        (OrderRefused(WISH, "sizer", "FAILED", None, None), "buy - btcusdt market by sizer: FAILED"),
        (
            SignalRaised("bots/sma", "instruments/btcusdt", "ENTER_LONG", Decimal(1), None, "SMA 20 above SMA 50"),
            "sma: enter long btcusdt, SMA 20 above SMA 50",
        ),
        (TradingStateChanged("HALTED", "drill", automatic=False, flatten=False), "halted, drill"),
        (BotStateChanged("bots/sma", "RUNNING", ""), "sma: running"),
        (Unrecognized(), "something this version does not know"),
    ],
    ids=["refused by a limit", "refused otherwise", "signal", "halted", "bot", "unrecognized"],
)
def test_what_happened_is_told_in_a_traders_words(body: Any, said: str) -> None:
    assert told(body) == said
