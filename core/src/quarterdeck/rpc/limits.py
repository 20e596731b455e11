"""Owns how much one server takes on, and how fast it is: beyond it callers are told so, and nobody else is hurt."""

from __future__ import annotations

from dataclasses import dataclass

#: The largest request; none of the contract's comes near it.
REQUEST_BYTES = 256 * 1024

#: All headers of a call together.
METADATA_BYTES = 16 * 1024

#: What one message with several events may grow to; clients take 4 MiB if they are not told otherwise.
BATCH_BYTES = 1024 * 1024

#: Events one message may carry.
BATCH_EVENTS = 1_000

#: Events a stream holds while its reader takes them. With `REQUEST_BYTES` it bounds what a slow reader costs.
PAGE = 256

#: Calls that are taken however many are under way: what stops trading, and what tells how the daemon is.
ALWAYS_TAKEN = frozenset(
    {
        "/quarterdeck.v1.RiskService/EngageKillSwitch",
        "/quarterdeck.v1.SystemService/GetStatus",
        "/grpc.health.v1.Health/Check",
    }
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How the streams are timed, in seconds."""

    heartbeat: float = 1.0
    """An event stream says after so long that there was nothing."""
    market: float = 0.1
    """A market stream sends at most so often."""
    farewell: float = 2.0
    """Calls under way may go on for so long when the server stops."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes on at once, and for how long. Times in seconds."""

    calls: int = 1_024
    """Calls with one answer that are under way."""
    streams: int = 512
    """Streams of any kind that are open."""
    connection_streams: int = 1_024
    """Calls and streams of one connection; what is beyond waits at the client."""
    everything: int = 4_096
    """Calls and streams that gRPC itself lets in, those included whose request has not arrived yet."""
    call: float = 30.0
    """A call with one answer is given up after so long."""
    lag: int = 1_000_000
    """An event stream is ended that fell so many events further behind than it was at best."""
    patience: float = 60.0
    """A stream is ended whose reader takes nothing for so long."""
    connection: float = 3_600.0
    """A connection is ended after so long, so that clients spread anew and show again who they are."""
    grace: float = 30.0
    """What goes on over a connection that is to end may go on for so long."""

    @property
    def options(self) -> tuple[tuple[str, int], ...]:
        """As gRPC is told."""
        return (
            ("grpc.so_reuseport", 0),  # a second daemon on the same port is an error, not a partner
            ("grpc.max_receive_message_length", REQUEST_BYTES),
            ("grpc.max_send_message_length", 64 * 1024 * 1024),
            ("grpc.max_metadata_size", METADATA_BYTES),
            ("grpc.absolute_max_metadata_size", METADATA_BYTES),
            ("grpc.max_concurrent_streams", self.connection_streams),
            ("grpc.server_handshake_timeout_ms", 10_000),
            ("grpc.max_connection_age_ms", round(self.connection * 1000)),
            ("grpc.max_connection_age_grace_ms", round(self.grace * 1000)),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.http2.max_ping_strikes", 2),
        )
