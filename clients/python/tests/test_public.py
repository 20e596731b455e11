from __future__ import annotations

import inspect

import quarterdeck.client as public
from quarterdeck.client import Client, SyncClient
from quarterdeck.client.client import Api
from quarterdeck.client.rpc import Group

METHODS = {
    "accounts": ["get", "list", "overview"],
    "bots": ["create", "get", "list", "pause", "start", "stop"],
    "events": ["list", "stream"],
    "fills": ["list"],
    "market": [
        "candles",
        "instrument",
        "instruments",
        "stream_candles",
        "stream_order_books",
        "stream_quotes",
        "stream_tickers",
    ],
    "orders": ["amend", "cancel", "cancel_all", "create", "get", "list", "resolve"],
    "positions": ["close", "get", "list"],
    "risk": ["engage_kill_switch", "halt_all", "limits", "release_kill_switch", "state"],
    "sizing": ["compute", "ratio"],
    "system": ["diagnose", "plugins", "reconcile", "status", "statuses"],
}

NAMES = """
    Account AccountHalt AccountOverview AccountState AlreadyExists Amount AsyncListing AsyncStream Backoff Balance
    BookLevel Bot BotChanged Candle Client ComputedSize Conflict ContractBroken DEFAULT_TARGET DeadlineExceeded
    Diagnosis Event EventBody FailedPrecondition FieldViolation Fill Finding Halted Holding Instrument InternalError
    Interval InvalidRequest JournalMismatch Moment NewBot NewOrder NotFound Options Order OrderBook OrderChanged
    OrderCreated OrderTerms OrdersChanged OutOfRange PageTokenMismatch Plugin Position PositionAhead PositionCompacted
    PositionShare QuarterdeckError Quote Reconciliation Refusal Replica ResourceExhausted RiskLimit RiskRatio
    RiskRefused RiskState RiskStateChanged Sizing SizingInput SizingRefused SizingStep SlowReader Status StreamError
    StreamGap SyncClient SyncListing SyncStream Ticker Trade TradingHalted Unary Unavailable UnknownEvent Valuation
    events new_request_id short_id to_dict
"""


def test_a_change_of_the_public_names_is_made_on_purpose() -> None:
    assert sorted(public.__all__) == sorted(NAMES.split())
    assert all(hasattr(public, name) for name in public.__all__)


def test_a_change_of_the_methods_is_made_on_purpose() -> None:
    groups = inspect.get_annotations(Api.__init__)
    assert set(groups) == {"link", "account", "return"}
    client = SyncClient.connect()
    found = {
        name: sorted(each for each in dir(group) if not each.startswith("_") and callable(getattr(group, each)))
        for name, group in vars(client).items()
        if isinstance(group, Group)
    }
    client.close()
    assert found == METHODS


def test_help_knows_what_a_method_takes_and_means() -> None:
    client = SyncClient.connect()
    create = client.orders.create
    client.close()
    assert (inspect.getdoc(create) or "").startswith("Record an order")
    assert list(inspect.signature(create).parameters)[:3] == ["instrument", "side", "type"]


def test_both_clients_can_do_the_same_but_for_how_they_end() -> None:
    def extras(kind: type[object]) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("__")}

    assert extras(Client) == extras(SyncClient)
