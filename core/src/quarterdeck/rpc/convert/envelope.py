"""Owns the event codec: a recorded event to the bytes the journal keeps and streams carry, and back, losing nothing.

Obligations are written exactly or not at all. Numbers computed for people (sizes, refusals, averages) are written to
the contract's 18 places.
"""

from __future__ import annotations

from decimal import InvalidOperation

from google.protobuf.message import DecodeError

from quarterdeck.engine import events as e
from quarterdeck.rpc import names
from quarterdeck.rpc.convert.account_events import ACCOUNT_EVENTS
from quarterdeck.rpc.convert.order_events import ORDER_EVENTS
from quarterdeck.rpc.convert.values import NANOSECONDS
from quarterdeck.v1.event_pb2 import Envelope

_CODECS = (*ORDER_EVENTS, *ACCOUNT_EVENTS)
_WRITERS = {codec.event: (codec.field, codec.write) for codec in _CODECS}
_READERS = {codec.field: codec.read for codec in _CODECS}

#: What belongs to the daemon as a whole and to no account.
_OF_THE_DAEMON = frozenset({e.DaemonStarted, e.DaemonStopped})

EVENT_TYPES = frozenset(codec.event.__name__ for codec in _CODECS)
"""The names of all events, as in the contract and in the journal's `type` column."""


def event_type(event: e.Event) -> str:
    """The name of an event's type, as in the contract and in the journal's `type` column."""
    return type(event).__name__


def encode(recorded: e.Recorded, account_id: str) -> bytes:
    """A recorded event as a serialized `quarterdeck.v1.Envelope`. The same event gives the same bytes.

    Raises:
        ValueError: an amount can't be spelt in the contract's decimals.
    """
    event = recorded.event
    kind = type(event)
    account = names.account(account_id)
    envelope = Envelope(
        sequence=recorded.sequence,
        correlation_id=recorded.correlation_id,
        cause_sequence=recorded.cause,
        request_id=recorded.request_id,
        request_digest=recorded.digest,
    )
    if kind not in _OF_THE_DAEMON:
        envelope.account = account
    time = envelope.record_time
    time.seconds, time.nanos = divmod(recorded.time, NANOSECONDS)
    field, write = _WRITERS[kind]
    message = getattr(envelope, field)
    message.SetInParent()
    write(message, event, account)
    return envelope.SerializeToString(deterministic=True)


def decode(body: bytes) -> e.Recorded:
    """What `encode` wrote.

    Raises:
        ValueError: these are not the bytes of an event this version knows.
    """
    try:
        envelope = Envelope.FromString(body)
        field = envelope.WhichOneof("event")
        time = envelope.record_time
        return e.Recorded(
            envelope.sequence,
            time.seconds * NANOSECONDS + time.nanos,
            _READERS[field](getattr(envelope, field)),  # type: ignore[index, arg-type]  # None is no key either
            envelope.correlation_id,
            envelope.cause_sequence,
            envelope.request_id,
            envelope.request_digest,
        )
    except (DecodeError, KeyError, InvalidOperation) as error:
        raise ValueError(f"not an event this version knows: {error!r}") from error
