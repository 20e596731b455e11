"""Owns questions about the size of a trade."""

from __future__ import annotations

from quarterdeck.client.answers import ComputedSize, RiskRatio
from quarterdeck.client.calls import Unary, resource
from quarterdeck.client.convert import Amount, amount, number
from quarterdeck.client.names import account_name, instrument_name
from quarterdeck.client.rpc import Group, L, rpc
from quarterdeck.client.words import Side
from quarterdeck.v1 import order_pb2
from quarterdeck.v1 import sizing_service_pb2 as pb


class Sizings(Group[L]):
    """How large a trade would be, without making it. The code that sizes real orders answers."""

    @rpc
    def ratio(self, balance: Amount | None = None) -> Unary[RiskRatio]:
        """Which part of the account, or of that balance, one new trade may lose."""
        request = pb.GetRiskRatioRequest(parent=account_name(self.account), balance=amount(balance))
        return Unary(request, resource(RiskRatio))

    @rpc
    def compute(
        self,
        instrument: str,
        side: Side,
        *,
        stop: Amount,
        entry: Amount | None = None,
        balance: Amount | None = None,
    ) -> Unary[ComputedSize]:
        """What size an order would get, and whether it would be allowed. Being refused is an answer, not an error.

        `stop` is the price at which the trade is given up; `entry` is the mark price if not given, `balance` the
        account's own: the lesser of wallet balance and equity.
        """
        request = pb.ComputeSizeRequest(
            parent=account_name(self.account),
            instrument=instrument_name(instrument),
            side=number(order_pb2.Order.Side.DESCRIPTOR, side),
            entry_price=amount(entry),
            stop_price=amount(stop),
            balance=amount(balance),
        )
        return Unary(request, resource(ComputedSize))
