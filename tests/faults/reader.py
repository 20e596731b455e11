"""Owns a reader of the event stream that lives longer than any daemon, and keeps all it was shown."""

from __future__ import annotations

import threading
import time

import grpc

from quarterdeck.testing.stream_laws import Transcript
from quarterdeck.v1 import event_service_pb2, event_service_pb2_grpc
from tests.e2e.process import IMPATIENT

#: How far the journal is durable can't be known from outside; the laws compare with what it holds in the end.
_UNKNOWN = 2**62


class Reader(threading.Thread):
    """Reads on from where it was, through every restart, until it is closed."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._is_closed = False
        self.transcript = Transcript()

    def run(self) -> None:
        while not self._is_closed:
            connections = self.transcript.connections
            after = connections[-1].reached if connections else 0
            request = event_service_pb2.StreamEventsRequest(parent="accounts/main", after_sequence=after)
            self.transcript.opened(None if connections else 0)
            with grpc.insecure_channel(self._address, options=IMPATIENT) as channel:
                try:
                    for message in event_service_pb2_grpc.EventServiceStub(channel).StreamEvents(request):
                        self.transcript.received(message, _UNKNOWN)
                        if self._is_closed:
                            break
                except grpc.RpcError:
                    time.sleep(0.01)

    def close(self) -> None:
        """Read no more."""
        self._is_closed = True
