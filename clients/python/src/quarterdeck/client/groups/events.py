"""Owns questions about everything that happened."""

from __future__ import annotations

from collections.abc import Iterable

from quarterdeck.client.calls import Pages, Stream
from quarterdeck.client.cursor import EventCursor
from quarterdeck.client.events import Event, EventBody, read_event
from quarterdeck.client.names import account_name
from quarterdeck.client.rpc import Group, L, rpc
from quarterdeck.v1 import event_service_pb2 as pb

Kinds = Iterable["type[EventBody] | str"]

#: Events in one message, where so many wait: enough that the message itself costs next to nothing.
BATCH_SIZE = 500


class Events(Group[L]):
    """Everything that happened, in order."""

    @rpc
    def stream(
        self, after: int | bytes | None = None, *, types: Kinds = (), journal_id: str = "", batch_size: int = BATCH_SIZE
    ) -> Stream[Event]:
        """Every event after a position, then each as it is recorded; each once, in order, none missing.

        `after` is a sequence (of an event, a mutation or a listing; 0 is the beginning), the `resume_token` of an
        event, or `None` for whatever is recorded after iteration begins. `types` are the only kinds wanted, as classes
        or names. A stream that breaks goes on where it was, also over restarts of the daemon.

        A number means nothing in another journal, where a token would be refused: give `journal_id` (of the status)
        with one that was kept for later. So many events come in one message at most, where that many wait.

        Raises (while iterating):
            PositionCompacted, PositionAhead, JournalMismatch: the position can't be resumed. List again, then stream.
            StreamGap: an event is missing.
            UnknownEvent: an event is of a kind this client does not know, and must not be skipped.
        """
        return EventCursor(account_name(self.account), after, _names(types), journal_id, batch_size)

    @rpc
    def list(self, after: int = 0, *, types: Kinds = (), limit: int | None = None) -> Pages[Event]:
        """The events after a position that are recorded already, oldest first; at most `limit`."""
        request = pb.ListEventsRequest(
            parent=account_name(self.account), after_sequence=after, event_types=_names(types)
        )
        return Pages(request, _read_page, limit)


def _names(types: Kinds) -> list[str]:
    return [kind if isinstance(kind, str) else kind.__name__ for kind in types]


def _read_page(answer: pb.ListEventsResponse) -> list[Event]:
    return [read_event(envelope) for envelope in answer.envelopes]
