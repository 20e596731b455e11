"""Owns RiskService: what may be traded, how near the limits are, and the kill switch."""

from __future__ import annotations

from typing_extensions import override

from quarterdeck.engine.inputs import EngageKillSwitch, ReleaseKillSwitch
from quarterdeck.rpc import pages
from quarterdeck.rpc.convert.account import risk_state_message
from quarterdeck.rpc.convert.sizing import limit_messages
from quarterdeck.rpc.facade import Deck
from quarterdeck.rpc.servicers.base import Context, Servicer, identity, place_of
from quarterdeck.v1.risk_pb2 import RiskState
from quarterdeck.v1.risk_service_pb2 import (
    EngageKillSwitchRequest,
    EngageKillSwitchResponse,
    GetRiskStateRequest,
    GetRiskStateResponse,
    ListRiskLimitsRequest,
    ListRiskLimitsResponse,
    ReleaseKillSwitchRequest,
    ReleaseKillSwitchResponse,
)
from quarterdeck.v1.risk_service_pb2_grpc import RiskServiceServicer


class RiskServicer(Servicer, RiskServiceServicer):
    """The account's limits and its kill switch."""

    def __init__(self, deck: Deck, listings: pages.Listings) -> None:
        super().__init__(deck)
        self._listings = listings

    @override
    async def GetRiskState(self, request: GetRiskStateRequest, context: Context) -> GetRiskStateResponse:
        sequence = await self._settled()
        return GetRiskStateResponse(risk_state=self._risk_state(), snapshot_sequence=sequence)

    @override
    async def ListRiskLimits(self, request: ListRiskLimitsRequest, context: Context) -> ListRiskLimitsResponse:
        sequence = await self._settled()
        page = self._listings.page(request, sequence, lambda: limit_messages(self._deck.limits()))
        return ListRiskLimitsResponse(
            risk_limits=page.items, next_page_token=page.next_page_token, snapshot_sequence=page.snapshot_sequence
        )

    @override
    async def EngageKillSwitch(self, request: EngageKillSwitchRequest, context: Context) -> EngageKillSwitchResponse:
        flatten = request.mode == EngageKillSwitchRequest.KILL_MODE_FLATTEN
        recorded = await self._deck.submit(EngageKillSwitch(request.reason, flatten), identity(request))
        sequence = place_of(recorded, await self._settled())
        return EngageKillSwitchResponse(risk_state=self._risk_state(), sequence=sequence)

    @override
    async def ReleaseKillSwitch(self, request: ReleaseKillSwitchRequest, context: Context) -> ReleaseKillSwitchResponse:
        recorded = await self._deck.submit(ReleaseKillSwitch(request.reason), identity(request))
        sequence = place_of(recorded, await self._settled())
        return ReleaseKillSwitchResponse(risk_state=self._risk_state(), sequence=sequence)

    def _risk_state(self) -> RiskState:
        deck = self._deck
        return risk_state_message(deck.state, deck.view, deck.limits())
