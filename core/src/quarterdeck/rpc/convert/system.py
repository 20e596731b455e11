"""Owns the daemon itself on the wire: how it is, and what its plugins offer."""

from __future__ import annotations

from quarterdeck.rpc.convert.values import mode_number, numbers, prose, set_span, set_time
from quarterdeck.rpc.facade import DaemonState, DaemonStatus, PluginInfo
from quarterdeck.v1 import system_pb2

STATES = numbers(DaemonState, system_pb2.Status.State, "STATE")


def status_message(status: DaemonStatus, journal_id: str, head: int) -> system_pb2.Status:
    """How the daemon is. `head` is the last event recorded."""
    message = system_pb2.Status(
        mode=mode_number(status.mode),
        state=STATES[status.state],
        reasons=[prose(reason) for reason in status.reasons],
        version=status.version,
        journal_id=journal_id,
        head_sequence=head,
        exchange=status.exchange,
        feed=status.feed,
    )
    set_time(message.start_time, status.start_time)
    set_time(message.current_time, status.current_time)
    if status.market_data_age is not None:
        set_span(message.market_data_age, max(status.market_data_age, 0))
    if status.exchange_age is not None:
        set_span(message.exchange_age, max(status.exchange_age, 0))
    return message


def plugin_message(plugin: PluginInfo) -> system_pb2.Plugin:
    """One thing a plugin offers."""
    return system_pb2.Plugin(
        kind=system_pb2.Plugin.Kind.Value(f"KIND_{plugin.kind.upper()}"),
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        summary=prose(plugin.summary),
        enabled=plugin.enabled,
    )
