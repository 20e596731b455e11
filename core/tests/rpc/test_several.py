"""Two accounts behind one address: each call is its own account's, and what names none is about all or refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from core.tests.rpc.calls import failure, rid
from core.tests.rpc.conftest import LIMITS, PACE, LoopThread
from core.tests.rpc.deck import START, FakeDeck
from core.tests.rpc.test_server import NOT_SERVING, SERVING, health_of
from quarterdeck.domain.errors import Unavailable
from quarterdeck.domain.market import Quote
from quarterdeck.domain.risk import TradingState
from quarterdeck.rpc.facade import DaemonState, DaemonStatus, PluginInfo
from quarterdeck.rpc.server import Server
from quarterdeck.v1 import account_service_pb2 as accounts
from quarterdeck.v1 import bot_service_pb2 as bots
from quarterdeck.v1 import event_service_pb2 as events
from quarterdeck.v1 import market_data_service_pb2 as market
from quarterdeck.v1 import order_service_pb2 as orders
from quarterdeck.v1 import risk_service_pb2 as risk
from quarterdeck.v1 import system_pb2
from quarterdeck.v1 import system_service_pb2 as system
from quarterdeck.v1.account_service_pb2_grpc import AccountServiceStub
from quarterdeck.v1.bot_service_pb2_grpc import BotServiceStub
from quarterdeck.v1.event_service_pb2_grpc import EventServiceStub
from quarterdeck.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from quarterdeck.v1.order_pb2 import Order
from quarterdeck.v1.order_service_pb2_grpc import OrderServiceStub
from quarterdeck.v1.risk_service_pb2_grpc import RiskServiceStub
from quarterdeck.v1.system_service_pb2_grpc import SystemServiceStub

OTHER_JOURNAL = "6a5c2c1e-0000-4000-8000-000000000002"
State = system_pb2.Status.State
Kill = risk.EngageKillSwitchRequest
CANCEL_ONLY = Kill.KILL_MODE_CANCEL_ONLY


@dataclass
class Ended:
    """An account that has ended."""

    account_id: str

    def status(self) -> DaemonStatus:
        told = ("the disk is gone",)
        return DaemonStatus("demo", DaemonState.FAILED, told, "0.1.0", START, START, "paper", "synthetic", None, None)

    def plugins(self) -> tuple[PluginInfo, ...]:
        return ()


@dataclass
class Pair:
    """A server with the accounts `main` and `spare`."""

    loop: LoopThread
    main: FakeDeck
    spare: FakeDeck
    server: Server
    channel: grpc.Channel

    def __post_init__(self) -> None:
        self.bots: Any = BotServiceStub(self.channel)
        self.events: Any = EventServiceStub(self.channel)
        self.orders: Any = OrderServiceStub(self.channel)
        self.risk: Any = RiskServiceStub(self.channel)
        self.system: Any = SystemServiceStub(self.channel)

    def halted(self) -> list[bool]:
        return [deck.state.trading_state is TradingState.HALTED for deck in (self.main, self.spare)]


@pytest.fixture
def pair(server_loop: LoopThread, tmp_path: Path) -> Iterator[Pair]:
    main, spare = server_loop.call(FakeDeck), server_loop.call(FakeDeck, "spare", OTHER_JOURNAL)
    server = server_loop.call(Server, [spare, main], PACE, LIMITS)
    address = server_loop.run(server.start(f"unix:{tmp_path / 'socket'}"))
    with grpc.insecure_channel(address) as channel:
        yield Pair(server_loop, main, spare, server, channel)
    server_loop.run(server.stop())


def buy(account: str, number: int) -> orders.CreateOrderRequest:
    request = orders.CreateOrderRequest(parent=account, order_id="first", request_id=rid(number))
    request.order.instrument = "instruments/btcusdt"
    request.order.side, request.order.type = Order.SIDE_BUY, Order.TYPE_MARKET
    request.order.quantity.value, request.order.stop_loss.value = "0.01", "49000"
    return request


def test_an_order_is_made_where_its_name_says(pair: Pair) -> None:
    """One request id means two wishes in two accounts, and the same ids stand for two orders."""
    made = [pair.orders.CreateOrder(buy(account, 1)) for account in ("accounts/main", "accounts/spare")]
    assert [each.order.name for each in made] == ["accounts/main/orders/first", "accounts/spare/orders/first"]
    assert [len(deck.state.open_orders) for deck in (pair.main, pair.spare)] == [1, 1]
    again = pair.orders.CreateOrder(buy("accounts/spare", 1))
    assert (again.sequence, len(pair.spare.state.open_orders)) == (made[1].sequence, 1)
    lost = failure(pair.orders.GetOrder, orders.GetOrderRequest(name="accounts/spare/orders/lost"))
    assert lost.metadata == {"name": "accounts/spare/orders/lost"}


def test_an_unknown_account_is_told_which_there_are(pair: Pair) -> None:
    found = failure(pair.orders.GetOrder, orders.GetOrderRequest(name="accounts/other/orders/first"))
    assert (found.code, found.reason) == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")
    assert found.metadata == {"name": "accounts/other", "known": "accounts/main, accounts/spare"}
    status = failure(pair.system.GetStatus, system.GetStatusRequest(account="accounts/other"))
    assert status.metadata == found.metadata


NAMELESS = {
    "Diagnose": (SystemServiceStub, system.DiagnoseRequest()),
    "Reconcile": (SystemServiceStub, system.ReconcileRequest()),
    "ListBots": (BotServiceStub, bots.ListBotsRequest()),
    "GetBot": (BotServiceStub, bots.GetBotRequest(name="bots/sma")),
    "StartBot": (BotServiceStub, bots.StartBotRequest(name="bots/sma", request_id=rid(1))),
    "PauseBot": (BotServiceStub, bots.PauseBotRequest(name="bots/sma", request_id=rid(1))),
    "StopBot": (
        BotServiceStub,
        bots.StopBotRequest(
            name="bots/sma", position_policy=bots.StopBotRequest.POSITION_POLICY_KEEP, request_id=rid(1)
        ),
    ),
    "GetInstrument": (MarketDataServiceStub, market.GetInstrumentRequest(name="instruments/btcusdt")),
    "ListInstruments": (MarketDataServiceStub, market.ListInstrumentsRequest()),
    "StreamQuotes": (MarketDataServiceStub, market.StreamQuotesRequest()),
    "StreamCandles": (MarketDataServiceStub, market.StreamCandlesRequest()),
}


@pytest.mark.parametrize("method", NAMELESS)
def test_what_names_no_account_is_refused_and_told_the_field(pair: Pair, method: str) -> None:
    stub, request = NAMELESS[method]
    found = failure(getattr(stub(pair.channel), method), request)
    assert (found.code, found.reason, found.metadata) == ("INVALID_ARGUMENT", "INVALID_REQUEST", {"field": "account"})
    assert "accounts/main, accounts/spare" in found.text


def test_bots_and_checks_are_of_the_account_that_is_named(pair: Pair) -> None:
    assert not pair.bots.ListBots(bots.ListBotsRequest(account="accounts/spare")).bots
    looked = pair.system.Diagnose(system.DiagnoseRequest(account="accounts/spare"))
    assert looked.snapshot_sequence == pair.spare.events.head
    for deck, price in ((pair.main, 1.0), (pair.spare, 2.0)):
        pair.loop.call(deck.market_data.see, Quote("btcusdt", START, price, 1.0, price, 1.0))
    quotes: Any = MarketDataServiceStub(pair.channel)
    quotes = quotes.StreamQuotes(market.StreamQuotesRequest(account="accounts/spare"))
    assert next(quotes).quote.bid == 2.0
    quotes.cancel()


def test_streams_are_of_their_account_s_journal(pair: Pair) -> None:
    pair.orders.CreateOrder(buy("accounts/spare", 1))
    stream = pair.events.StreamEvents(events.StreamEventsRequest(parent="accounts/spare", after_sequence=1))
    first = next(stream)
    assert first.envelope.sequence == 2
    stream.cancel()
    foreign = pair.events.StreamEvents(
        events.StreamEventsRequest(parent="accounts/main", resume_token=first.resume_token)
    )
    found = failure(lambda: foreign)
    assert found.reason == "JOURNAL_MISMATCH"


def test_the_status_is_the_worst_one_s_and_lists_all(pair: Pair) -> None:
    found = pair.system.GetStatus(system.GetStatusRequest())
    assert [each.account for each in found.accounts] == ["accounts/main", "accounts/spare"]
    assert [each.journal_id for each in found.accounts] == [pair.main.journal_id, OTHER_JOURNAL]
    pair.loop.run(pair.server.withdraw(Ended("spare")))
    found = pair.system.GetStatus(system.GetStatusRequest())
    assert (found.status.account, found.status.state) == ("accounts/spare", State.STATE_FAILED)
    assert [each.state for each in found.accounts] == [State.STATE_SAFE, State.STATE_FAILED]
    one = pair.system.GetStatus(system.GetStatusRequest(account="accounts/main"))
    assert (one.status.account, len(one.accounts)) == ("accounts/main", 1)
    assert one.snapshot_sequence == pair.main.events.head


def test_accounts_and_plugins_are_listed_once_for_all(pair: Pair) -> None:
    stub: Any = AccountServiceStub(pair.channel)
    listed = stub.ListAccounts(accounts.ListAccountsRequest())
    assert [(each.name, each.settle) for each in listed.accounts] == [
        ("accounts/main", "USDT"),
        ("accounts/spare", "USDT"),
    ]
    first = stub.ListAccounts(accounts.ListAccountsRequest(page_size=1))
    rest = stub.ListAccounts(accounts.ListAccountsRequest(page_size=1, page_token=first.next_page_token))
    assert [each.name for page in (first, rest) for each in page.accounts] == ["accounts/main", "accounts/spare"]
    plugins = pair.system.ListPlugins(system.ListPluginsRequest()).plugins
    assert [each.name for each in plugins] == ["paper", "sma-cross"]


# ---------------------------------------------------------------- one is gone


def test_an_account_that_has_ended_takes_nothing_and_the_other_goes_on(pair: Pair) -> None:
    streams = [
        pair.events.StreamEvents(events.StreamEventsRequest(parent=f"accounts/{each}", after_sequence=0))
        for each in ("main", "spare")
    ]
    firsts = [next(stream).envelope.sequence for stream in streams]
    assert firsts == [1, 1]
    pair.loop.run(pair.server.withdraw(Ended("spare")))
    found = failure(lambda: streams[1])
    assert (found.code, found.reason) == ("UNAVAILABLE", "NOT_READY")
    found = failure(pair.orders.CreateOrder, buy("accounts/spare", 1))
    assert (found.reason, found.metadata) == ("NOT_READY", {"state": "FAILED"})
    assert "the disk is gone" in found.text
    made = pair.orders.CreateOrder(buy("accounts/main", 1))
    assert any(each.envelope.sequence == made.sequence for each in streams[0])
    streams[0].cancel()
    assert not pair.bots.ListBots(bots.ListBotsRequest(account="accounts/main")).bots


def test_an_account_that_comes_back_is_served_again(pair: Pair) -> None:
    pair.loop.run(pair.server.withdraw(Ended("spare")))
    back = pair.loop.call(FakeDeck, "spare", OTHER_JOURNAL)
    pair.loop.run(pair.server.show(back))
    pair.orders.CreateOrder(buy("accounts/spare", 1))
    assert len(back.state.open_orders) == 1
    stream = pair.events.StreamEvents(events.StreamEventsRequest(parent="accounts/spare", after_sequence=0))
    assert next(stream).envelope.sequence == 1
    stream.cancel()


def test_health_is_told_of_each_account_and_of_all(pair: Pair) -> None:
    services = ("", "quarterdeck.v1.OrderService", "accounts/main", "accounts/spare")
    assert [health_of(pair.channel, each) for each in services] == [NOT_SERVING] * 4
    pair.loop.run(pair.server.serve(is_open=True, account_id="main"))
    assert [health_of(pair.channel, each) for each in services] == [NOT_SERVING, NOT_SERVING, SERVING, NOT_SERVING]
    pair.loop.run(pair.server.serve(is_open=True, account_id="spare"))
    assert [health_of(pair.channel, each) for each in services] == [SERVING] * 4
    pair.loop.run(pair.server.serve(is_open=False, account_id="main"))
    assert [health_of(pair.channel, each) for each in services] == [NOT_SERVING, NOT_SERVING, NOT_SERVING, SERVING]


# ---------------------------------------------------------------- the kill switch


def test_the_kill_switch_of_one_leaves_the_other_alone(pair: Pair) -> None:
    answer = pair.risk.EngageKillSwitch(
        Kill(parent="accounts/spare", mode=CANCEL_ONLY, reason="one", request_id=rid(1))
    )
    assert pair.halted() == [False, True]
    assert [(each.account, each.sequence) for each in answer.accounts] == [("accounts/spare", answer.sequence)]


def test_the_kill_switch_of_all_stops_all_and_can_be_tried_again(pair: Pair) -> None:
    kill = Kill(parent="accounts/-", mode=CANCEL_ONLY, reason="all", request_id=rid(1))
    answer = pair.risk.EngageKillSwitch(kill)
    assert pair.halted() == [True, True]
    assert [each.account for each in answer.accounts] == ["accounts/main", "accounts/spare"]
    assert answer.risk_state.trading_state == answer.accounts[1].risk_state.trading_state
    again = pair.risk.EngageKillSwitch(kill)
    assert [each.sequence for each in again.accounts] == [each.sequence for each in answer.accounts]


@pytest.mark.parametrize("broken", ["main", "spare"])
def test_an_account_that_can_t_be_stopped_keeps_no_other_from_it(pair: Pair, broken: str) -> None:
    lost, other = (pair.main, "spare") if broken == "main" else (pair.spare, "main")
    lost.failure = Unavailable("NOT_READY", "the journal failed", {"state": "FENCED"})
    found = failure(
        pair.risk.EngageKillSwitch, Kill(parent="accounts/-", mode=CANCEL_ONLY, reason="all", request_id=rid(1))
    )
    assert pair.halted() == [broken != "main", broken != "spare"]
    assert (found.code, found.reason) == ("UNAVAILABLE", "NOT_READY")
    assert f"accounts/{broken} not halted, engaged in accounts/{other}" in found.text


def test_only_the_kill_switch_is_for_all_at_once(pair: Pair) -> None:
    release = risk.ReleaseKillSwitchRequest(parent="accounts/-", reason="all", request_id=rid(1))
    assert failure(pair.risk.ReleaseKillSwitch, release).reason == "INVALID_REQUEST"
