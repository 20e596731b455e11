"""Owns questions about positions, and how one is closed."""

from __future__ import annotations

from quarterdeck.client.answers import OrdersChanged
from quarterdeck.client.calls import Pages, Unary, new_request_id, resource, resources
from quarterdeck.client.names import account_name, bot_name, position_name
from quarterdeck.client.resources import Position
from quarterdeck.client.rpc import Group, L, rpc
from quarterdeck.v1 import order_service_pb2, position_service_pb2


class Positions(Group[L]):
    """Positions change by orders only."""

    @rpc
    def get(self, instrument: str) -> Unary[Position]:
        """One position, flat or not."""
        request = position_service_pb2.GetPositionRequest(name=position_name(self.account, instrument))
        return Unary(request, resource(Position, "position"))

    @rpc
    def list(self) -> Pages[Position]:
        """The positions that are not flat, by name."""
        request = position_service_pb2.ListPositionsRequest(parent=account_name(self.account))
        return Pages(request, resources(Position, "positions"))

    @rpc
    def close(self, instrument: str, *, bot: str = "", request_id: str | None = None) -> Unary[OrdersChanged]:
        """Close a position, or only that bot's share of it, with reduce-only MARKET orders."""
        request = order_service_pb2.ClosePositionRequest(
            name=position_name(self.account, instrument),
            bot=bot_name(bot),
            request_id=request_id or new_request_id(),
        )
        return Unary(request, resource(OrdersChanged))
