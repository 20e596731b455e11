"""The deck takes commands once it is ready, answers what was asked before, and shows what it can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from core.tests.daemon.ship import Ship
from core.tests.engine.deciders import RatioSizer, Rule, SizerThat
from core.tests.engine.desk import order
from quarterdeck.daemon.deck import Phase
from quarterdeck.domain.bot import BotSpec, BotState
from quarterdeck.domain.deciders import AccountView
from quarterdeck.domain.errors import AlreadyExists, InvalidRequest, RefusedByState, Unavailable
from quarterdeck.domain.market import MINUTE
from quarterdeck.domain.risk import LimitStatus
from quarterdeck.domain.sizing import Sized
from quarterdeck.engine.events import OrderPrepared
from quarterdeck.engine.inputs import CreateBot, EngageKillSwitch, Request
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.rpc.facade import DaemonState


class Limited(Rule):
    """A rule with a limit to show."""

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        return (LimitStatus("limited", "max", Decimal(1), Decimal(0)),)


class Silent(Rule):
    """A rule that can't list its limits."""

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        raise LookupError("which limits")


@pytest.fixture
async def ship(tmp_path: Path) -> AsyncIterator[Ship]:
    ship = await Ship(tmp_path, Deciders(RatioSizer(), rules=[Silent("silent"), Limited("limited")])).open()
    ship.deck.phase = Phase.RUNNING
    yield ship
    await ship.loop.idle()
    ship.journal.close()


async def test_before_it_is_ready_only_the_kill_switch_works(ship: Ship) -> None:
    ship.deck.phase = Phase.STARTING
    assert ship.deck.status().state is DaemonState.SYNCING
    with pytest.raises(Unavailable, match="try again"):
        await ship.deck.submit(order("0.1"), Request("r1", "d"))
    with pytest.raises(Unavailable):
        await ship.deck.start_bot("one", Request("r2", "d"))
    assert await ship.deck.submit(EngageKillSwitch("a test", flatten=False), Request("r3", "d")) is not None
    assert ship.deck.status().state is DaemonState.KILLED
    assert "a test" in " ".join(ship.deck.status().reasons)


async def test_a_repeated_request_gets_the_first_answer_even_from_the_disk(ship: Ship) -> None:
    request = Request("r1", "d")
    first = await ship.deck.submit(order("0.1", order_id="mine"), request)
    assert first is not None
    assert isinstance(first.event, OrderPrepared)
    await ship.loop.idle()
    head = ship.state.sequence
    again = await ship.deck.submit(order("0.1", order_id="mine"), request)
    assert again == first
    ship.log._recent.clear()
    assert await ship.deck.submit(order("0.1", order_id="mine"), request) == first
    assert ship.state.sequence == head, "a repeated request recorded something"
    with pytest.raises(AlreadyExists):
        await ship.deck.submit(order("0.2", order_id="mine"), Request("r1", "other"))


async def test_a_rule_that_can_not_list_its_limits_hides_no_other(ship: Ship) -> None:
    rules = [limit.rule for limit in ship.deck.limits()]
    assert "limited" in rules
    assert "silent" in rules
    assert len(rules) > 2, "the core's own are missing"


async def test_a_bot_that_can_never_run_is_not_recorded(ship: Ship) -> None:
    head = ship.state.sequence
    with pytest.raises(InvalidRequest, match="not installed"):
        await ship.deck.submit(CreateBot(BotSpec("one", "none", "btcusdt", MINUTE)), Request("r1", "d"))
    assert ship.state.sequence == head


async def test_a_bot_is_warmed_up_and_what_it_wanted_then_is_discarded(ship: Ship) -> None:
    await ship.deck.submit(CreateBot(BotSpec("one", "eager", "btcusdt", MINUTE)), Request("r1", "d"))
    await ship.deck.start_bot("one", Request("r2", "d"))
    await ship.loop.idle()
    assert ship.state.bots["one"].state is BotState.RUNNING
    assert not ship.state.open_orders
    assert {one.name for one in ship.deck.plugins() if one.enabled} == {"eager"}


async def test_a_sizer_that_fails_refuses(tmp_path: Path) -> None:
    def fail() -> Sized:
        raise ArithmeticError

    ship = await Ship(tmp_path, Deciders(SizerThat(fail), rules=[Rule()])).open()
    with pytest.raises(RefusedByState, match="no curve today"):
        ship.deck.risk_ratio(Decimal(1))
    ship.journal.close()
