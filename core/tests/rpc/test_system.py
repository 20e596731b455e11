"""The daemon about itself, over the wire."""

from __future__ import annotations

import pytest

from core.tests.rpc.deck import FakeDeck
from quarterdeck.v1.system_service_pb2 import ReconcileRequest
from quarterdeck.v1.system_service_pb2_grpc import SystemServiceStub


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[SystemServiceStub]:
    return SystemServiceStub


def test_a_reconciliation_tells_what_was_found(grpc_stub: SystemServiceStub, deck: FakeDeck) -> None:
    found = grpc_stub.Reconcile(ReconcileRequest(), timeout=10)
    assert list(found.differences) == ["position btcusdt: 1 here, 2 at the venue"]
    counts = (found.order_count, found.position_count, found.booked_count, found.adjusted_count, found.asked_count)
    assert (counts, found.look_count) == ((3, 2, 1, 0, 4), 6)
    assert found.duration.ToTimedelta().total_seconds() == 5
    assert found.look_time.ToNanoseconds() == deck.time
    assert found.snapshot_sequence == deck.events.head
