"""Owns the calls that are about all accounts at once: how they are, which there are, and stopping them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from quarterdeck.domain.errors import NotFound, QuarterdeckError
from quarterdeck.rpc import names, pages
from quarterdeck.rpc.convert.system import plugin_message, status_message
from quarterdeck.rpc.convert.values import mode_number
from quarterdeck.rpc.facade import DaemonState, DaemonStatus, PluginInfo, Shown
from quarterdeck.rpc.routes import Serve
from quarterdeck.rpc.servicers.base import Context
from quarterdeck.v1.account_pb2 import Account
from quarterdeck.v1.account_service_pb2 import ListAccountsRequest, ListAccountsResponse
from quarterdeck.v1.risk_service_pb2 import EngageKillSwitchRequest, EngageKillSwitchResponse
from quarterdeck.v1.system_pb2 import Plugin
from quarterdeck.v1.system_service_pb2 import (
    GetStatusRequest,
    GetStatusResponse,
    ListPluginsRequest,
    ListPluginsResponse,
)

#: From the best to the worst: one account that is badly off is what a daemon is asked about.
WORSE = (
    DaemonState.READY,
    DaemonState.SYNCING,
    DaemonState.KILLED,
    DaemonState.SAFE,
    DaemonState.FENCED,
    DaemonState.FAILED,
)


class Together:
    """All accounts. `shown` are those there are, by name; `engage` stops one of them."""

    def __init__(self, shown: Callable[[], Mapping[str, Shown]], engage: Serve) -> None:
        self._shown = shown
        self._engage = engage
        self._listings = pages.Listings()

    async def GetStatus(self, request: GetStatusRequest, _context: Context) -> GetStatusResponse:  # noqa: N802 - the contract's name
        """How the daemon is. It answers in every state, so it waits for nothing."""
        shown = self._shown()
        if request.account:
            if request.account not in shown:
                raise NotFound("account", request.account, ", ".join(shown))
            shown = {request.account: shown[request.account]}
        found = {name: each.status() for name, each in shown.items()}
        worst = max(found, key=lambda name: WORSE.index(found[name].state))
        accounts = [status_message(status, name) for name, status in found.items()]
        overall = accounts[list(found).index(worst)]
        return GetStatusResponse(status=overall, snapshot_sequence=found[worst].head, accounts=accounts)

    async def ListAccounts(self, request: ListAccountsRequest, _context: Context) -> ListAccountsResponse:  # noqa: N802 - the contract's name
        """The accounts there are."""
        found = {name: each.status() for name, each in self._shown().items()}
        page = self._listings.page(request, _place(found), lambda: [_account(*each) for each in found.items()])
        return ListAccountsResponse(
            accounts=page.items, next_page_token=page.next_page_token, snapshot_sequence=page.snapshot_sequence
        )

    async def ListPlugins(self, request: ListPluginsRequest, _context: Context) -> ListPluginsResponse:  # noqa: N802 - the contract's name
        """What the loaded plugins offer, whichever account uses it."""
        shown = self._shown()
        place = _place({name: each.status() for name, each in shown.items()})
        page = self._listings.page(request, place, lambda: _plugins(request, shown))
        return ListPluginsResponse(
            plugins=page.items, next_page_token=page.next_page_token, snapshot_sequence=page.snapshot_sequence
        )

    async def EngageKillSwitch(  # noqa: N802 - the contract's name
        self, request: EngageKillSwitchRequest, context: Context
    ) -> EngageKillSwitchResponse:
        """Stop one account, or all: then each is asked, whatever becomes of the others."""
        if request.parent != names.ALL_ACCOUNTS:
            return _halted({request.parent: await self._engage(request, context)})
        asked = {name: EngageKillSwitchRequest() for name in self._shown()}
        for name, each in asked.items():
            each.CopyFrom(request)
            each.parent = name
        answers = await asyncio.gather(
            *(self._engage_one(each, context) for each in asked.values()), return_exceptions=True
        )
        found = dict(zip(asked, answers, strict=True))
        engaged = {name: each for name, each in found.items() if isinstance(each, EngageKillSwitchResponse)}
        failed = {name: each for name, each in found.items() if isinstance(each, BaseException)}
        if failed:
            raise _not_everywhere(failed, engaged)
        return _halted(engaged)

    async def _engage_one(self, request: EngageKillSwitchRequest, context: Context) -> EngageKillSwitchResponse:
        answer: EngageKillSwitchResponse = await self._engage(request, context)
        return answer


def _place(found: Mapping[str, DaemonStatus]) -> int:
    """The journal's head, if there is one journal."""
    return next(iter(found.values())).head if len(found) == 1 else 0


def _account(name: str, status: DaemonStatus) -> Account:
    return Account(name=name, mode=mode_number(status.mode), settle=status.settle)


def _plugins(request: ListPluginsRequest, shown: Mapping[str, Shown]) -> list[Plugin]:
    found: dict[tuple[str, str], PluginInfo] = {}
    for each in shown.values():
        for one in each.plugins():
            if one.enabled or (one.kind, one.name) not in found:
                found[one.kind, one.name] = one
    messages = [plugin_message(one) for one in found.values()]
    if request.HasField("kind"):
        messages = [one for one in messages if one.kind == request.kind]
    return sorted(messages, key=lambda plugin: (plugin.kind, plugin.name))


def _halted(answers: Mapping[str, EngageKillSwitchResponse]) -> EngageKillSwitchResponse:
    response = EngageKillSwitchResponse()
    response.CopyFrom(next(iter(answers.values())))
    for name, each in answers.items():
        response.accounts.add(account=name, risk_state=each.risk_state, sequence=each.sequence)
    return response


def _not_everywhere(failed: Mapping[str, BaseException], engaged: Mapping[str, object]) -> BaseException:
    """The first failure, which also says where the switch is engaged; what nobody foresaw stays that."""
    name, error = next(iter(failed.items()))
    if not isinstance(error, QuarterdeckError):
        return error
    there = f"engaged in {', '.join(engaged)}" if engaged else "engaged nowhere"
    return QuarterdeckError(error.reason, f"{', '.join(failed)} not halted, {there}; {name}: {error}", error.data)
