"""The event codec: what is read is what was written, whatever happened."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tests.rpc.examples import EVENT_CLASSES, examples_of, recorded
from quarterdeck.domain.bot import BotState
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderTerms, OrderType
from quarterdeck.domain.risk import Refused
from quarterdeck.engine import events as e
from quarterdeck.rpc.convert.envelope import EVENT_TYPES, decode, encode, event_type
from quarterdeck.v1.event_pb2 import Envelope


@pytest.mark.parametrize("kind", EVENT_CLASSES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_an_event_is_read_as_it_was_written(kind: type[Any], data: st.DataObject) -> None:
    written = data.draw(recorded(examples_of(kind)))
    body = encode(written, "main")
    assert decode(body) == written
    assert encode(decode(body), "main") == body


def test_every_event_is_known_by_the_name_of_its_message() -> None:
    messages = {
        str(field.message_type and field.message_type.name)
        for field in Envelope.DESCRIPTOR.oneofs_by_name["event"].fields
    }
    assert messages == EVENT_TYPES == {kind.__name__ for kind in EVENT_CLASSES}
    assert event_type(e.OrderTriggered("o-1")) == "OrderTriggered"


def test_a_stream_reader_finds_names_terms_and_role() -> None:
    body = encode(e.Recorded(7, 1_700_000_000_123_456_789, prepared(), "o-1", 3, "r", "d"), "main")
    envelope = Envelope.FromString(body)
    order = envelope.order_prepared.order
    assert envelope.account == "accounts/main"
    assert envelope.record_time.ToNanoseconds() == 1_700_000_000_123_456_789
    assert (order.name, order.instrument, order.bot) == ("accounts/main/orders/o-1", "instruments/btcusdt", "bots/sma")
    assert (order.link_id, order.quantity.value, order.stop_loss.value) == ("a1-X-1-E", "0.100", "49000")
    assert (order.State.Name(order.state), order.Role.Name(order.role)) == ("STATE_PREPARED", "ROLE_ENTRY")
    assert envelope.order_prepared.reference_price.value == "50000"


def test_what_concerns_the_daemon_belongs_to_no_account() -> None:
    body = encode(e.Recorded(1, 0, e.DaemonStarted("0.1.0", "demo", ())), "main")
    assert Envelope.FromString(body).account == ""


@pytest.mark.parametrize("quantity", ["0.0000000000000000001", "1E+19", "NaN", "Infinity"])
def test_what_is_owed_is_never_rounded(quantity: str) -> None:
    event = e.OrderCanceled("o-1", Decimal(quantity), "")
    with pytest.raises(ValueError, match="not a decimal"):
        encode(e.Recorded(1, 0, event), "main")


@pytest.mark.parametrize(
    ("observed", "written"),
    [
        (Decimal(1) / Decimal(3), "0.333333333333333333"),
        (Decimal(-1) / Decimal(3), "-0.333333333333333333"),
        (Decimal("1E-30"), "0"),
        (Decimal("NaN"), ""),
        (Decimal("-NaN12"), ""),
        (Decimal("-0.00"), "0"),
        (Decimal("120.50"), "120.5"),
        (Decimal(120), "120"),
        (Decimal("1.2E+3"), "1200"),
        (Decimal("-Infinity"), ""),
        (Decimal("1E+25"), ""),
        (Decimal("12345678901234567.12345678901234567890"), "12345678901234567.123456789012345679"),
    ],
)
def test_what_was_computed_for_people_is_rounded_or_left_out(observed: Decimal, written: str) -> None:
    event = e.OrderRefused("o-1", prepared().terms, OrderRole.ENTRY, "", Refused("rule", "REASON", None, observed))
    body = encode(e.Recorded(1, 0, event), "main")
    assert Envelope.FromString(body).order_refused.observed.value == written


def test_text_that_is_no_unicode_does_not_stop_the_journal() -> None:
    event = e.BotStateChanged("sma", BotState.FAILED, "no file \udcff")
    assert decode(encode(e.Recorded(1, 0, event), "main")).event.failure == "no file ?"  # type: ignore[union-attr]  # the event above


@pytest.mark.parametrize("body", [b"", b"\xff", Envelope(sequence=1).SerializeToString()])
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not an event"):
        decode(body)


def prepared() -> e.OrderPrepared:
    terms = OrderTerms("btcusdt", Side.BUY, OrderType.MARKET, Decimal("0.100"), stop_loss=Decimal(49000))
    return e.OrderPrepared("o-1", "a1-X-1-E", terms, OrderRole.ENTRY, "sma", Decimal(50000), None, ("r",))
