"""Owns SystemService: how the daemon is, and of what it is made."""

from __future__ import annotations

from typing_extensions import override

from quarterdeck.rpc import pages
from quarterdeck.rpc.convert.system import finding_message, plugin_message, reconciled_message, status_message
from quarterdeck.rpc.facade import Deck
from quarterdeck.rpc.servicers.base import Context, Servicer
from quarterdeck.v1.system_pb2 import Plugin
from quarterdeck.v1.system_service_pb2 import (
    DiagnoseRequest,
    DiagnoseResponse,
    GetStatusRequest,
    GetStatusResponse,
    ListPluginsRequest,
    ListPluginsResponse,
    ReconcileRequest,
    ReconcileResponse,
)
from quarterdeck.v1.system_service_pb2_grpc import SystemServiceServicer


class SystemServicer(Servicer, SystemServiceServicer):
    """The daemon itself."""

    def __init__(self, deck: Deck, listings: pages.Listings) -> None:
        super().__init__(deck)
        self._listings = listings

    @override
    async def GetStatus(self, request: GetStatusRequest, context: Context) -> GetStatusResponse:
        # It answers in every state, so it waits for nothing: what is durable is all it tells of the journal.
        head = self._deck.events.head
        status = status_message(self._deck.status(), self._deck.journal_id, head, self._account)
        return GetStatusResponse(status=status, snapshot_sequence=head)

    @override
    async def Diagnose(self, request: DiagnoseRequest, context: Context) -> DiagnoseResponse:
        head = self._deck.events.head
        found = await self._deck.diagnose(full=request.depth == DiagnoseRequest.DEPTH_FULL)
        return DiagnoseResponse(findings=[finding_message(each) for each in found], snapshot_sequence=head)

    @override
    async def Reconcile(self, request: ReconcileRequest, context: Context) -> ReconcileResponse:
        found = await self._deck.reconcile()
        return reconciled_message(found, await self._settled())

    @override
    async def ListPlugins(self, request: ListPluginsRequest, context: Context) -> ListPluginsResponse:
        page = self._listings.page(request, self._deck.events.head, lambda: self._plugins(request))
        return ListPluginsResponse(
            plugins=page.items, next_page_token=page.next_page_token, snapshot_sequence=page.snapshot_sequence
        )

    def _plugins(self, request: ListPluginsRequest) -> list[Plugin]:
        found = [plugin_message(plugin) for plugin in self._deck.plugins()]
        if request.HasField("kind"):
            found = [plugin for plugin in found if plugin.kind == request.kind]
        return sorted(found, key=lambda plugin: (plugin.kind, plugin.name))
