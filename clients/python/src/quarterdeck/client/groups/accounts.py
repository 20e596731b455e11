"""Owns questions about accounts."""

from __future__ import annotations

from quarterdeck.client.calls import Pages, Unary, resource, resources
from quarterdeck.client.names import account_name
from quarterdeck.client.resources import Account, AccountOverview
from quarterdeck.client.rpc import Group, L, rpc
from quarterdeck.v1 import account_service_pb2 as pb


class Accounts(Group[L]):
    """Accounts are opened by the daemon's configuration only."""

    @rpc
    def get(self) -> Unary[Account]:
        """This client's account."""
        return Unary(pb.GetAccountRequest(name=account_name(self.account)), resource(Account, "account"))

    @rpc
    def list(self) -> Pages[Account]:
        """All accounts of the daemon, by name."""
        return Pages(pb.ListAccountsRequest(), resources(Account, "accounts"))

    @rpc
    def overview(self) -> Unary[AccountOverview]:
        """Balances, equity, risk and counts of this client's account in one."""
        request = pb.GetAccountOverviewRequest(parent=account_name(self.account))
        return Unary(request, resource(AccountOverview, "overview"))
