"""Several accounts in one real daemon: each trades for itself, and what ends one leaves the others alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from quarterdeck.client import Event, InvalidRequest, NotFound, Options, SyncClient, Unavailable, events
from quarterdeck.daemon.app import FAILED, STOPPED
from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.keeper import Keeper
from quarterdeck.engine.state import State
from tests.e2e import moody
from tests.e2e.plugins import install
from tests.e2e.process import DaemonProcess
from tests.e2e.test_life import until

MAIN = """\
mode = "paper"
[journal]
url = "sqlite:///main.db"
lease = "2s"
[feed]
plugin = "synthetic"
[feed.settings]
speed = 20
[[risk]]
plugin = "limits"
[risk.settings]
max_daily_loss = 1
max_drawdown = 1
max_position_risk = 1
[[bots]]
id = "sleeper"
strategy = "sleeper"
instrument = "btcusdt"
interval = "1m"
"""
SPARE = MAIN.replace("main.db", "spare.db") + '[account]\nid = "spare"\n[exchange]\nplugin = "moody"\n'


class Pair:
    """A daemon with the accounts `main` and `spare`, the latter on a venue with moods."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = DaemonProcess(folder, MAIN, spare=SPARE)

    def client(self, account: str | None = None) -> SyncClient:
        patience = Options(timeout=2.0, attempt_timeout=2.0)
        return SyncClient.connect(self.process.address, account=account, options=patience)

    def states(self) -> list[str]:
        with self.client() as client:
            return [each.state for each in client.system.statuses()]

    def health(self, service: str) -> int:
        with grpc.insecure_channel(self.process.address) as channel:
            ask: Any = health_pb2_grpc.HealthStub(channel)
            return int(ask.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status)

    def found(self, account: str) -> State:
        """What the next start would find."""
        journal = Journal.open(f"sqlite:///{self.folder / account}.db", account)
        with closing(journal):
            return Keeper(journal).load()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Pair]]:
    site = tmp_path / "site"
    install(site, "quarterdeck-moody", Path(moody.__file__).read_text())
    monkeypatch.setenv("PYTHONPATH", str(site))
    made: list[Pair] = []

    def pair() -> Pair:
        made.append(Pair(tmp_path))
        return made[-1]

    yield pair
    for each in made:
        with suppress(AssertionError, ProcessLookupError):
            each.process.kill()


def buy(client: SyncClient, order_id: str, number: int) -> str:
    """A filled order with its stop; returns its name."""
    price = round(next(client.market.stream_quotes()).bid)
    return client.orders.create(
        order_id=order_id,
        instrument="btcusdt",
        side="BUY",
        type="MARKET",
        quantity="0.01",
        stop_loss=str(price // 2),
        request_id=str(UUID(int=number)),
    ).order.name


def test_each_trades_for_itself_and_what_ends_one_leaves_the_other_alone(make: Callable[[], Pair]) -> None:
    pair = make()
    pair.process.start()
    until(lambda: pair.states() == ["READY", "READY"])
    with pair.client("main") as main, pair.client("spare") as spare, pair.client() as nobody:
        names = [buy(client, "first", 1) for client in (main, spare)]
        assert names == ["accounts/main/orders/first", "accounts/spare/orders/first"]
        until(lambda: all(list(client.positions.list()) for client in (main, spare)))
        assert {main.system.status().journal_id, spare.system.status().journal_id} == {
            each.journal_id for each in nobody.system.statuses()
        }
        assert [each.id for each in nobody.accounts.list()] == ["main", "spare"]
        assert spare.bots.get("sleeper").account == "accounts/spare"
        spare.bots.pause("sleeper")
        assert (main.bots.get("sleeper").state, spare.bots.get("sleeper").state) == ("RUNNING", "PAUSED")
        with pytest.raises(InvalidRequest, match="name one of accounts/main, accounts/spare"):
            nobody.bots.get("sleeper")
        with pytest.raises(NotFound, match="accounts/main, accounts/spare"), pair.client("other") as other:
            other.orders.get("first")
        balances = [client.accounts.overview().balances[0] for client in (main, spare)]
        assert all(each.confirm_time is not None for each in balances)
        assert pair.health("") == pair.health("accounts/spare") == health_pb2.HealthCheckResponse.SERVING

        # Somebody takes the lock of one journal away: that account must not go on, the other must.
        reader = _Reader(spare)
        reader.start()
        next(pair.folder.glob("spare*lock")).unlink()
        until(lambda: pair.states() == ["READY", "FENCED"])
        assert pair.health("accounts/main") == health_pb2.HealthCheckResponse.SERVING
        assert pair.health("") == pair.health("accounts/spare") == health_pb2.HealthCheckResponse.NOT_SERVING
        assert nobody.system.status().account == "accounts/spare"
        with pytest.raises(Unavailable):
            spare.positions.list().__iter__().__next__()
        buy(main, "second", 2)
        with pytest.raises(Unavailable, match="accounts/spare not halted, engaged in accounts/main"):
            nobody.risk.halt_all("all of them")
        main.risk.release_kill_switch("go on")

        # It is opened again by itself, and its reader goes on where it was.
        until(lambda: pair.states() == ["READY", "READY"])
        assert [each.instrument for each in spare.positions.list()] == ["instruments/btcusdt"]
        spare.bots.start("sleeper")
        until(lambda: any(isinstance(each.body, events.BotStateChanged) for each in reader.seen))
        sequences = [each.sequence for each in reader.seen]
        assert sequences == list(range(sequences[0], sequences[-1] + 1))

        halted = nobody.risk.halt_all("enough")
        assert [(each.account, each.risk_state.trading_state) for each in halted.accounts] == [
            ("accounts/main", "HALTED"),
            ("accounts/spare", "HALTED"),
        ]
        assert pair.states() == ["KILLED", "KILLED"]
    assert pair.process.stop() == STOPPED
    assert [pair.found(account).clean for account in ("main", "spare")] == [True, True]
    assert [len(pair.found(account).positions) for account in ("main", "spare")] == [1, 1]


def test_an_account_that_can_t_start_is_shown_and_tried_again_and_with_none_left_it_ends(
    make: Callable[[], Pair],
) -> None:
    pair = make()
    wrong = pair.folder / "wrong"
    wrong.touch()
    pair.process.launch()
    pair.process.wait_ready()
    until(lambda: pair.states() == ["READY", "FAILED"])
    with pair.client() as nobody, pair.client("main") as main:
        assert nobody.system.statuses()[1].reasons == ("exchange: no such account",)
        buy(main, "first", 1)
        wrong.unlink()
        until(lambda: pair.states() == ["READY", "READY"])
        buy(main, "second", 2)
    for each in pair.folder.glob("*lock"):
        each.unlink()
    assert pair.process.wait() == FAILED


class _Reader(threading.Thread):
    """Follows an account's events over whatever happens to it."""

    def __init__(self, client: SyncClient) -> None:
        super().__init__(daemon=True)
        self.seen: list[Event] = []
        self._stream = client.events.stream(after=0)

    def run(self) -> None:
        with suppress(Exception):
            for event in self._stream:
                self.seen.append(event)
