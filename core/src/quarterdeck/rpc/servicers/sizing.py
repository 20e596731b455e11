"""Owns SizingService: how large a trade would be, from the code that sizes real ones."""

from __future__ import annotations

from typing_extensions import override

from quarterdeck.domain.order import OrderType
from quarterdeck.domain.risk import Refused
from quarterdeck.engine.inputs import SubmitOrder
from quarterdeck.rpc import names
from quarterdeck.rpc.convert.account import sizing_basis
from quarterdeck.rpc.convert.orders import SIDE_OF
from quarterdeck.rpc.convert.sizing import write_refusal, write_sizing, write_step
from quarterdeck.rpc.convert.values import asked_amount, rounded
from quarterdeck.rpc.errors import fields_called
from quarterdeck.rpc.servicers.base import Context, Servicer
from quarterdeck.v1.sizing_service_pb2 import (
    ComputeSizeRequest,
    ComputeSizeResponse,
    GetRiskRatioRequest,
    GetRiskRatioResponse,
)
from quarterdeck.v1.sizing_service_pb2_grpc import SizingServiceServicer

#: What this service calls the fields of the order it makes up.
_FIELDS = {"order.limit_price": "entry_price", "order.stop_loss": "stop_price"}


class SizingServicer(Servicer, SizingServiceServicer):
    """Sizes without orders."""

    @override
    async def GetRiskRatio(self, request: GetRiskRatioRequest, context: Context) -> GetRiskRatioResponse:
        sequence = await self._settled()
        basis = asked_amount(request.balance)
        if basis is None:
            basis = sizing_basis(self._deck.view)
        ratio = self._deck.risk_ratio(basis)
        response = GetRiskRatioResponse(tier=ratio.tier, snapshot_sequence=sequence)
        response.risk_ratio.value = rounded(ratio.ratio)
        response.risk_amount.value = rounded(ratio.ratio * basis)
        response.basis.value = rounded(basis)
        for step in ratio.steps:
            write_step(response.steps.add(), step)
        return response

    @override
    async def ComputeSize(self, request: ComputeSizeRequest, context: Context) -> ComputeSizeResponse:
        entry = asked_amount(request.entry_price)
        order = SubmitOrder(
            "",
            names.symbol_of(request.instrument),
            SIDE_OF[request.side],
            OrderType.MARKET if entry is None else OrderType.LIMIT,
            limit_price=entry,
            stop_loss=asked_amount(request.stop_price),
        )
        sequence = await self._settled()
        with fields_called(_FIELDS):
            evaluation = self._deck.evaluate(order, asked_amount(request.balance))
        response = ComputeSizeResponse(allowed=not isinstance(evaluation.verdict, Refused), snapshot_sequence=sequence)
        if evaluation.sizing is not None:
            write_sizing(response.sizing, evaluation.sizing)
        if isinstance(evaluation.verdict, Refused):
            write_refusal(response.refusal, evaluation.verdict)
        return response
