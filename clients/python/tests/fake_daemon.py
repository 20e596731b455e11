"""A daemon made of scripts: a real gRPC server whose answers, refusals and interruptions a test decides."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import symbol_database
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from clients.python.tests.messages import filled
from quarterdeck.client.calls import METHODS, serialize
from quarterdeck.v1 import event_pb2
from quarterdeck.v1.event_service_pb2 import Progress, StreamEventsRequest, StreamEventsResponse
from quarterdeck.v1.system_service_pb2 import GetStatusResponse

Step = Callable[[grpc.ServicerContext], None]
Answer = Callable[[Any], Message]


def refuse(
    code: grpc.StatusCode,
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
    *,
    message: str = "no",
    retry_after: float | None = None,
    fields: Iterable[tuple[str, str]] = (),
) -> Step:
    """A step that ends a call with an error as the contract describes it; without a reason, with a bare status."""

    def step(context: grpc.ServicerContext) -> None:
        if not reason:
            context.abort(code, message)
        details: list[Message] = [ErrorInfo(reason=reason, domain="quarterdeck", metadata=metadata or {})]
        if retry_after is not None:
            delay = Duration()
            delay.FromNanoseconds(round(retry_after * 1e9))
            details.append(RetryInfo(retry_delay=delay))
        violations = [BadRequest.FieldViolation(field=field, description=text) for field, text in fields]
        if violations:
            details.append(BadRequest(field_violations=violations))
        status = Status(code=code.value[0], message=message)
        for detail in details:
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        context.abort_with_status(rpc_status.to_status(status))

    return step


def stall(seconds: float) -> Step:
    """A step that lets the caller wait, then goes on."""
    return lambda _: time.sleep(seconds)


class FakeDaemon(grpc.GenericRpcHandler):
    """Answers every method of the contract, over a unix socket, from what a test puts into its attributes.

    `answers`: by method, how to answer (anything, if nothing is said); for streams, the messages to send.
    `steps`: by method, what to do before answering; each is used up by one call.
    `journal`: what StreamEvents sends. `interruptions`: after how many messages each connection is broken off.
    `overlap`: how many events before the wanted position a connection begins; after it, if negative.
    `hidden`: sequences never sent. `requests`: every request received, by method.
    """

    def __init__(self, path: str) -> None:
        self.target = f"unix:{path}"
        self.answers: dict[str, Any] = {}
        self.steps: dict[str, deque[Step]] = defaultdict(deque)
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.journal: list[event_pb2.Envelope] = []
        self.journal_id = "a"
        self.interruptions: deque[int] = deque()
        self.overlap = 0
        self.hidden: set[int] = set()
        self._more = threading.Condition()
        self._server: grpc.Server | None = None
        self._generation = 0
        self.answers["GetStatus"] = self._status

    def _status(self, request: Message) -> Message:
        answer = _anything(request)
        answer.MergeFrom(GetStatusResponse(snapshot_sequence=len(self.journal)))
        return answer

    def start(self) -> None:
        """Begin to serve."""
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8), handlers=[self])
        self._server.add_insecure_port(self.target)
        self._server.start()

    def stop(self) -> None:
        """Stop at once, as a crash would."""
        with self._more:
            self._generation += 1
            self._more.notify_all()
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None

    def record(self, *envelopes: event_pb2.Envelope) -> None:
        """Append to the journal, and tell whoever streams it."""
        with self._more:
            self.journal.extend(envelopes)
            self._more.notify_all()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The handler of a method, as gRPC asks for it."""
        name = details.method.rpartition("/")[2]
        if name.startswith("Stream"):
            serve = self._events if name == "StreamEvents" else self._stream
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: serve(name, request, context),
                request_deserializer=request_class(name).FromString,
                response_serializer=serialize,
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._unary(name, request, context),
            request_deserializer=request_class(name).FromString,
            response_serializer=serialize,
        )

    def _begin(self, name: str, request: Message, context: grpc.ServicerContext) -> None:
        self.requests[name].append(request)
        if self.steps[name]:
            self.steps[name].popleft()(context)

    def _unary(self, name: str, request: Message, context: grpc.ServicerContext) -> Message:
        self._begin(name, request, context)
        answer: Message = self.answers.get(name, _anything)(request)
        return answer

    def _stream(self, name: str, request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
        self._begin(name, request, context)
        yield from self.answers.get(name, lambda request: [_anything(request)])(request)

    def _events(
        self, name: str, request: StreamEventsRequest, context: grpc.ServicerContext
    ) -> Iterator[StreamEventsResponse]:
        self._begin(name, request, context)
        generation = self._generation
        position = previous = max(0, self._start(request, context) - self.overlap)
        left = self.interruptions.popleft() if self.interruptions else -1
        while context.is_active():
            with self._more:
                if len(self.journal) <= position and generation == self._generation:
                    self._more.wait(0.05)
                if generation != self._generation:
                    return
                fresh = self.journal[position:]
            for envelope in fresh:
                if left == 0:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "broken off")
                position = envelope.sequence
                if position in self.hidden or not self._wanted(request, envelope):
                    continue
                filtered = previous if request.event_types else 0
                yield StreamEventsResponse(envelope=envelope, resume_token=self.token(position), prev_sequence=filtered)
                previous = position
                left -= 1
            if left == 0:
                context.abort(grpc.StatusCode.UNAVAILABLE, "broken off")
            if fresh:
                yield StreamEventsResponse(
                    progress=Progress(sequence=position),
                    resume_token=self.token(position),
                    prev_sequence=previous if request.event_types else 0,
                )
                previous = position

    def _start(self, request: StreamEventsRequest, context: grpc.ServicerContext) -> int:
        if request.WhichOneof("start") != "resume_token":
            return request.after_sequence
        journal, _, position = request.resume_token.decode().partition(":")
        if journal != self.journal_id:
            refuse(grpc.StatusCode.FAILED_PRECONDITION, "JOURNAL_MISMATCH", {"journalId": self.journal_id})(context)
        return int(position)

    def token(self, sequence: int) -> bytes:
        """The resume token of a position."""
        return f"{self.journal_id}:{sequence}".encode()

    @staticmethod
    def _wanted(request: StreamEventsRequest, envelope: event_pb2.Envelope) -> bool:
        kind = envelope.WhichOneof("event") or ""
        return not request.event_types or kind.replace("_", "") in {each.lower() for each in request.event_types}


def _anything(request: Message) -> Message:
    """Some answer to a request, complete but meaningless."""
    return filled(METHODS[request.DESCRIPTOR.full_name].read(b""))


def request_class(name: str) -> type[Message]:
    """The class of a method's request; the contract names it after the method."""
    found: type[Message] = symbol_database.Default().GetSymbol(f"quarterdeck.v1.{name}Request")
    return found
