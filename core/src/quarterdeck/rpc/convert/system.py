"""Owns the daemon itself on the wire: how it is, and what its plugins offer."""

from __future__ import annotations

from quarterdeck.engine.checks import Finding, Verdict
from quarterdeck.rpc import names
from quarterdeck.rpc.convert.values import mode_number, numbers, prose, set_span, set_time
from quarterdeck.rpc.facade import DaemonState, DaemonStatus, PluginInfo, Reconciled
from quarterdeck.v1 import system_pb2
from quarterdeck.v1.system_service_pb2 import ReconcileResponse

STATES = numbers(DaemonState, system_pb2.Status.State, "STATE")
VERDICTS = numbers(Verdict, system_pb2.Finding.Verdict, "VERDICT")


def status_message(status: DaemonStatus, account: str) -> system_pb2.Status:
    """How the daemon is with the account of that name."""
    message = system_pb2.Status(
        mode=mode_number(status.mode),
        state=STATES[status.state],
        reasons=[prose(reason) for reason in status.reasons],
        version=status.version,
        journal_id=status.journal_id,
        head_sequence=status.head,
        exchange=status.exchange,
        feed=status.feed,
        unknown_order_count=status.unknown_order_count,
        unknown_orders=[f"{account}/orders/{each}" for each in status.unknown_orders],
        unprotected_positions=[f"{account}/positions/{each}" for each in status.unprotected_positions],
        queue_depth=status.queue_depth,
        journal_bytes=status.journal_bytes,
        wal_bytes=status.wal_bytes,
        head_hash=status.head_hash,
        kept_sequence=status.kept_sequence,
        unclean_start=status.unclean_start,
        stale_instruments=[names.instrument(each) for each in status.stale_instruments],
        quarantined_count=status.quarantined_count,
        account=account,
        exchange_remarks=[prose(remark) for remark in status.exchange_remarks],
    )
    set_time(message.start_time, status.start_time)
    set_time(message.current_time, status.current_time)
    set_span(message.loop_lag, status.loop_lag)
    for name in ("market_data_age", "exchange_age", "reconcile_age", "lease_remaining", "kept_age", "balances_age"):
        span: int | None = getattr(status, name)
        if span is not None:
            set_span(getattr(message, name), max(span, 0))
    return message


def finding_message(finding: Finding) -> system_pb2.Finding:
    """What one check found."""
    message = system_pb2.Finding(
        check=finding.check,
        invariants=finding.invariants,
        verdict=VERDICTS[finding.verdict],
        detail=prose(finding.detail),
    )
    message.data.SetInParent()
    message.data.update({name: prose(value) for name, value in finding.data.items()})
    set_span(message.age, max(finding.age, 0))
    return message


def reconciled_message(found: Reconciled, sequence: int) -> ReconcileResponse:
    """What came of comparing the journal with the venue."""
    message = ReconcileResponse(
        differences=[prose(each) for each in found.differences],
        order_count=found.orders,
        position_count=found.positions,
        booked_count=found.booked,
        adjusted_count=found.adjusted,
        asked_count=found.asked,
        look_count=found.looks,
        snapshot_sequence=sequence,
    )
    set_time(message.look_time, found.time)
    set_span(message.duration, found.duration)
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
