"""Owns the kill switch, and questions about what may be traded."""

from __future__ import annotations

from quarterdeck.client.answers import Halted, RiskStateChanged
from quarterdeck.client.calls import Pages, Unary, new_request_id, resource, resources
from quarterdeck.client.convert import number
from quarterdeck.client.names import ALL_ACCOUNTS, account_name
from quarterdeck.client.resources import RiskLimit, RiskState
from quarterdeck.client.rpc import Group, L, rpc
from quarterdeck.client.words import KillMode
from quarterdeck.v1 import risk_service_pb2 as pb


class Risk(Group[L]):
    """What may be traded, and the switch that stops it."""

    @rpc
    def state(self) -> Unary[RiskState]:
        """The account's trading state, its limits and how near they are."""
        return Unary(pb.GetRiskStateRequest(parent=account_name(self.account)), resource(RiskState, "risk_state"))

    @rpc
    def limits(self) -> Pages[RiskLimit]:
        """The account's limits, by rule and name."""
        return Pages(pb.ListRiskLimitsRequest(parent=account_name(self.account)), resources(RiskLimit, "risk_limits"))

    @rpc
    def engage_kill_switch(
        self, reason: str, *, mode: KillMode = "CANCEL_ONLY", request_id: str | None = None
    ) -> Unary[Halted]:
        """Halt trading and cancel working entries; with `"FLATTEN"` also close every position."""
        request = pb.EngageKillSwitchRequest(
            parent=account_name(self.account),
            mode=number(pb.EngageKillSwitchRequest.KillMode.DESCRIPTOR, mode),
            reason=reason,
            request_id=request_id or new_request_id(),
        )
        return Unary(request, resource(Halted))

    @rpc
    def halt_all(self, reason: str, *, mode: KillMode = "CANCEL_ONLY", request_id: str | None = None) -> Unary[Halted]:
        """Engage the kill switch of every account of the daemon. If one fails, the others are halted all the same.

        Raises:
            QuarterdeckError: an account failed; the text says which, and where the switch is engaged.
        """
        request = pb.EngageKillSwitchRequest(
            parent=ALL_ACCOUNTS,
            mode=number(pb.EngageKillSwitchRequest.KillMode.DESCRIPTOR, mode),
            reason=reason,
            request_id=request_id or new_request_id(),
        )
        return Unary(request, resource(Halted))

    @rpc
    def release_kill_switch(self, reason: str, *, request_id: str | None = None) -> Unary[RiskStateChanged]:
        """Let trading go on. Limits that are still broken halt or reduce it again."""
        request = pb.ReleaseKillSwitchRequest(
            parent=account_name(self.account), reason=reason, request_id=request_id or new_request_id()
        )
        return Unary(request, resource(RiskStateChanged))
