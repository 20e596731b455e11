"""Owns AccountService: the account, and everything one looks at first."""

from __future__ import annotations

from typing_extensions import override

from quarterdeck.rpc import names, pages
from quarterdeck.rpc.convert.account import account_message, overview_message, sizing_basis
from quarterdeck.rpc.facade import Deck
from quarterdeck.rpc.servicers.base import Context, Servicer
from quarterdeck.v1.account_service_pb2 import (
    GetAccountOverviewRequest,
    GetAccountOverviewResponse,
    GetAccountRequest,
    GetAccountResponse,
    ListAccountsRequest,
    ListAccountsResponse,
)
from quarterdeck.v1.account_service_pb2_grpc import AccountServiceServicer


class AccountServicer(Servicer, AccountServiceServicer):
    """Accounts; a daemon has one."""

    def __init__(self, deck: Deck, listings: pages.Listings) -> None:
        super().__init__(deck)
        self._listings = listings

    @override
    async def GetAccount(self, request: GetAccountRequest, context: Context) -> GetAccountResponse:
        names.check_account(request.name, self._account, "name")
        sequence = await self._settled()
        return GetAccountResponse(account=account_message(self._deck.state, self._account), snapshot_sequence=sequence)

    @override
    async def ListAccounts(self, request: ListAccountsRequest, context: Context) -> ListAccountsResponse:
        sequence = await self._settled()
        page = self._listings.page(request, sequence, lambda: [account_message(self._deck.state, self._account)])
        return ListAccountsResponse(
            accounts=page.items, next_page_token=page.next_page_token, snapshot_sequence=page.snapshot_sequence
        )

    @override
    async def GetAccountOverview(
        self, request: GetAccountOverviewRequest, context: Context
    ) -> GetAccountOverviewResponse:
        names.check_account(request.parent, self._account, "parent")
        sequence = await self._settled()
        deck = self._deck
        ratio = deck.risk_ratio(sizing_basis(deck.view))
        overview = overview_message(deck.state, deck.view, ratio, deck.limits(), self._account)
        return GetAccountOverviewResponse(overview=overview, snapshot_sequence=sequence)
