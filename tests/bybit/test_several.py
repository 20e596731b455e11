"""One daemon, two accounts: one on a simulated Bybit, one on paper. Neither knows of the other's troubles."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from quarterdeck.client import SyncClient
from tests.bybit.conftest import KEYS, Ship

Wait = Callable[..., None]

PAPER = """\
mode = "paper"
[account]
id = "paper"
[journal]
url = "sqlite:///paper.db"
[feed]
plugin = "synthetic"
[feed.settings]
speed = 20
[[risk]]
plugin = "limits"
[risk.settings]
max_position_risk = 1
max_daily_loss = 1
max_drawdown = 1
"""


def board(ship: Ship, text: str) -> None:
    """Add an account to the daemon."""
    (ship.daemon.folder / "second.toml").write_text(text, encoding="utf-8")
    ship.daemon.configs.append("second.toml")


def states(client: SyncClient) -> dict[str, str]:
    return {each.account.rpartition("/")[2]: each.state for each in client.system.statuses()}


def buy(client: SyncClient, order_id: str) -> None:
    price = int(next(client.market.stream_quotes()).bid)
    client.orders.create(
        order_id=order_id,
        instrument="btcusdt",
        side="BUY",
        type="MARKET",
        quantity=Decimal("0.01"),
        stop_loss=Decimal(price // 2),
    )


def test_two_venues_in_one_daemon_trade_apart_and_are_stopped_together(ship: Ship, wait: Wait) -> None:
    board(ship, PAPER)
    ship.start()
    with ship.client() as client:
        bybit, paper = client.for_account("main"), client.for_account("paper")
        wait(lambda: states(client) == {"main": "READY", "paper": "READY"})
        assert [each.mode for each in client.accounts.list()] == ["TESTNET", "PAPER"]
        for each in (bybit, paper):
            buy(each, "first")
        wait(lambda: all(each.orders.get("first").state == "FILLED" for each in (bybit, paper)))
        wait(lambda: ship.agrees(bybit))
        assert ship.position() == Decimal("0.01")
        balance = bybit.accounts.overview().balances[0]
        assert balance.confirm_time is not None
        age = bybit.system.status().balances_age
        assert age is not None
        assert age.total_seconds() < 60

        # Bybit's journal is taken away: paper goes on, and Bybit's account comes back and agrees.
        (ship.daemon.folder / "journal.db.lock").unlink()
        wait(lambda: states(client) == {"main": "FENCED", "paper": "READY"})
        buy(paper, "second")
        wait(lambda: states(client) == {"main": "READY", "paper": "READY"})
        wait(lambda: ship.agrees(bybit))

        halted = client.risk.halt_all("both")
        assert [each.risk_state.trading_state for each in halted.accounts] == ["HALTED", "HALTED"]
        assert states(client) == {"main": "KILLED", "paper": "KILLED"}
        assert ship.position() == Decimal("0.01")
    assert ship.daemon.stop() == 0


def test_one_account_at_bybit_is_not_traded_twice(ship: Ship) -> None:
    text = (ship.daemon.folder / "quarterdeck.toml").read_text().replace("journal.db", "second.db")
    board(ship, text + '[account]\nid = "second"\n')
    ship.daemon.launch(KEYS)
    assert ship.daemon.wait() == 1
    said = " ".join(ship.daemon.log.read_text().split())
    assert "accounts/second and accounts/main both trade key" in said
    assert KEYS["SIMULATED_API_KEY"] not in said
    assert not list(ship.daemon.folder.glob("*.db"))
