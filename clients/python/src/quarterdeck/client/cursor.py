"""Owns the place of one reader in the journal: what it has seen, where it goes on, and that it missed nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quarterdeck.client.calls import Unary
from quarterdeck.client.errors import StreamGap
from quarterdeck.client.events import Event, read_event
from quarterdeck.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse
from quarterdeck.v1.system_service_pb2 import GetStatusRequest, GetStatusResponse


class EventCursor:
    """Reads every event after a position once, in order.

    Delivery is at least once: what was seen before is dropped here. Nothing may be missed: without a filter sequences
    rise by one; with one, each message names the position before it. A reader that starts from now asks for the
    position first, so that a connection that breaks before the first message loses nothing either.
    """

    def __init__(
        self, parent: str, after: int | bytes | None, event_types: Iterable[str], journal_id: str, batch_size: int
    ) -> None:
        if after == b"":
            raise ValueError("an empty resume token leads nowhere: only streamed events have one")
        self._parent = parent
        self._event_types = tuple(event_types)
        self._journal_id = journal_id
        self._batch_size = batch_size
        self._token = after if isinstance(after, bytes) else b""
        self._position = None if isinstance(after, bytes) else after

    def opening(self) -> Unary[None] | None:
        """Asks for the journal's present position, if the reader starts from now."""
        if self._token or self._position is not None:
            return None
        return Unary(GetStatusRequest(account=self._parent), self._start)

    def _start(self, answer: GetStatusResponse) -> None:
        self._position = answer.snapshot_sequence
        self._journal_id = self._journal_id or answer.status.journal_id

    def request(self) -> StreamEventsRequest:
        """Opens the stream after what was seen last."""
        request = StreamEventsRequest(
            parent=self._parent,
            event_types=self._event_types,
            batch_size=self._batch_size,
            journal_id=self._journal_id,
        )
        if self._token:
            request.resume_token = self._token
        elif self._position is not None:
            request.after_sequence = self._position
        return request

    def accept(self, answer: StreamEventsResponse) -> Iterator[Event]:
        """The events of a message that were not seen before.

        Raises:
            StreamGap: something before one of them was not received.
            UnknownEvent: an event is of a kind this client does not know and must not skip.
        """
        for message in answer.batch.messages if answer.WhichOneof("item") == "batch" else (answer,):
            which = message.WhichOneof("item")
            if which not in ("envelope", "progress"):
                continue
            is_event = which == "envelope"
            sequence: int = getattr(message, which).sequence
            position = self._position
            if position is not None and (sequence < position or (is_event and sequence == position)):
                continue
            self._check(sequence, is_event, message.prev_sequence)
            event = read_event(message.envelope, message.resume_token) if is_event else None
            self._position, self._token = sequence, message.resume_token
            if event is not None:
                yield event

    def _check(self, sequence: int, is_event: bool, prev_sequence: int) -> None:
        """Everything up to the message before this one must have been seen."""
        if self._position is None:  # resumed by a token from elsewhere: only the daemon knows the position
            return
        before = prev_sequence if self._event_types else sequence - is_event
        if before > self._position:
            raise StreamGap(f"after {self._position} came {sequence}, which follows {before}")
