"""Owns PositionService: what the account holds."""

from __future__ import annotations

from typing_extensions import override

from quarterdeck.domain.errors import NotFound
from quarterdeck.rpc import names, pages
from quarterdeck.rpc.convert.account import position_message
from quarterdeck.rpc.facade import Deck
from quarterdeck.rpc.servicers.base import Context, Servicer
from quarterdeck.v1.position_pb2 import Position
from quarterdeck.v1.position_service_pb2 import (
    GetPositionRequest,
    GetPositionResponse,
    ListPositionsRequest,
    ListPositionsResponse,
)
from quarterdeck.v1.position_service_pb2_grpc import PositionServiceServicer


class PositionServicer(Servicer, PositionServiceServicer):
    """Positions, by instrument."""

    def __init__(self, deck: Deck, listings: pages.Listings) -> None:
        super().__init__(deck)
        self._listings = listings

    @override
    async def GetPosition(self, request: GetPositionRequest, context: Context) -> GetPositionResponse:
        symbol = names.last_id(request.name)
        sequence = await self._settled()
        deck = self._deck
        position = deck.state.positions.get(symbol)
        if position is None:
            raise NotFound("position", request.name)
        message = position_message(position, deck.state, deck.view, self._account)
        return GetPositionResponse(position=message, snapshot_sequence=sequence)

    @override
    async def ListPositions(self, request: ListPositionsRequest, context: Context) -> ListPositionsResponse:
        sequence = await self._settled()
        page = self._listings.page(request, sequence, self._open_positions)
        return ListPositionsResponse(
            positions=page.items, next_page_token=page.next_page_token, snapshot_sequence=page.snapshot_sequence
        )

    def _open_positions(self) -> list[Position]:
        state, view = self._deck.state, self._deck.view
        return [
            position_message(position, state, view, self._account)
            for _, position in sorted(state.positions.items())
            if position.quantity
        ]
