"""Owns the part of AccountService that is about one account: what it is, and everything one looks at first."""

from __future__ import annotations

from quarterdeck.rpc.convert.account import account_message, overview_message, sizing_basis
from quarterdeck.rpc.servicers.base import Context, Servicer
from quarterdeck.v1.account_service_pb2 import (
    GetAccountOverviewRequest,
    GetAccountOverviewResponse,
    GetAccountRequest,
    GetAccountResponse,
)


class AccountServicer(Servicer):
    """One account. The list of them is in `together.py`."""

    async def GetAccount(self, request: GetAccountRequest, context: Context) -> GetAccountResponse:  # noqa: N802 - the contract's name
        """The account."""
        sequence = await self._settled()
        return GetAccountResponse(account=account_message(self._deck.state, self._account), snapshot_sequence=sequence)

    async def GetAccountOverview(  # noqa: N802 - the contract's name
        self, request: GetAccountOverviewRequest, context: Context
    ) -> GetAccountOverviewResponse:
        """What one looks at first."""
        sequence = await self._settled()
        deck = self._deck
        ratio = deck.risk_ratio(sizing_basis(deck.view))
        overview = overview_message(deck.state, deck.view, ratio, deck.limits(), deck.confirmed, self._account)
        return GetAccountOverviewResponse(overview=overview, snapshot_sequence=sequence)
