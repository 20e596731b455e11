"""Owns the part of SystemService that is about one account: what its checks find, and comparing it with its venue."""

from __future__ import annotations

from quarterdeck.rpc.convert.system import finding_message, reconciled_message
from quarterdeck.rpc.servicers.base import Context, Servicer
from quarterdeck.v1.system_service_pb2 import (
    DiagnoseRequest,
    DiagnoseResponse,
    ReconcileRequest,
    ReconcileResponse,
)


class SystemServicer(Servicer):
    """Looks an account over. The rest of the service is in `together.py`."""

    async def Diagnose(self, request: DiagnoseRequest, context: Context) -> DiagnoseResponse:  # noqa: N802 - the contract's name
        """What the checks find."""
        head = self._deck.events.head
        found = await self._deck.diagnose(full=request.depth == DiagnoseRequest.DEPTH_FULL)
        return DiagnoseResponse(findings=[finding_message(each) for each in found], snapshot_sequence=head)

    async def Reconcile(self, request: ReconcileRequest, context: Context) -> ReconcileResponse:  # noqa: N802 - the contract's name
        """Compare with the venue now."""
        found = await self._deck.reconcile()
        return reconciled_message(found, await self._settled())
