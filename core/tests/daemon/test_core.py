"""An account comes up in the order of what can be trusted, and goes down so that the end is the last thing recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.tests.daemon import plugin
from core.tests.daemon.conftest import Venue
from core.tests.engine.deciders import RatioSizer, Rule
from core.tests.engine.desk import order
from quarterdeck.daemon import core as core_module
from quarterdeck.daemon import steps
from quarterdeck.daemon.config import Config, OnStop, parse
from quarterdeck.daemon.core import Core
from quarterdeck.daemon.deck import Phase
from quarterdeck.daemon.intake import open_journal
from quarterdeck.daemon.journal import Journal, read_frames
from quarterdeck.daemon.journal.archive import Archive
from quarterdeck.daemon.parts import Parts
from quarterdeck.domain.errors import ConfigError, Unavailable
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Quote
from quarterdeck.domain.order import OrderState, OrderType
from quarterdeck.domain.report import Acked, Canceled, Opened, Outcome
from quarterdeck.engine.inputs import CancelAllOrders, EngageKillSwitch, Request
from quarterdeck.engine.obstacles import STARTING
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.plugin import CancelOrder, Deliver, KeepFrame, PlaceOrder, VenuePosition, loader
from quarterdeck.rpc.convert.envelope import decode
from quarterdeck.rpc.facade import DaemonState


@dataclass
class Elsewhere(Venue):
    """A venue behind a wire, that says in a diary what it is asked, and fails as often as it is told to."""

    diary: list[str] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    wrong: bool = False
    answers: bool = True
    hangs: bool = False

    def note(self, what: str) -> None:
        self.diary.append(what)
        if self.failures.get(what, 0):
            self.failures[what] -= 1
            raise ConnectionError(f"{what}: nobody is there")

    async def instruments(self) -> Sequence[Instrument]:
        self.note("instruments")
        if self.wrong:
            raise ConfigError("exchange: no such account")
        return await super().instruments()

    async def open(self, deliver: Deliver) -> None:
        self.note("open")
        await super().open(deliver)

    async def positions(self) -> Sequence[VenuePosition]:
        self.note("positions")
        return await super().positions()

    async def place(self, order: PlaceOrder) -> Outcome:
        self.note("place")
        if self.hangs:
            await asyncio.Event().wait()
        asyncio.get_running_loop().call_soon(self.deliver, Opened(order.link_id, "x", order.time))
        return Acked(order.link_id, "x", order.time)

    async def cancel(self, order: CancelOrder) -> None:
        self.note("cancel")
        if self.answers:
            self.deliver(Canceled(order.link_id, "asked to", order.time))

    async def close(self) -> None:
        self.note("close")
        if self.hangs:
            await asyncio.Event().wait()


class Live(plugin.Minutes):
    """A market that goes on."""

    is_replay = False


@dataclass
class World:
    """A folder, a venue, and daemons one after the other."""

    folder: Path
    venue: Elsewhere = field(default_factory=Elsewhere)
    toml: str = ""
    admit: Callable[[], None] = lambda: None

    async def open(self) -> Core:
        deciders = Deciders(RatioSizer(), rules=[Rule()])
        parts = Parts(loader.load(modules=[plugin], only=[]), self.venue, Live(), deciders, (), self.admit)
        text = f'[journal]\nurl = "sqlite:///{self.folder / "journal.db"}"\n{self.toml}'
        return await Core.open(parse(text, "test"), parts, journal=self._journal)

    def _journal(self, config: Config) -> Journal:
        self.venue.diary.append("journal")
        return open_journal(config)

    def events(self) -> list[str]:
        journal = Journal.open(f"sqlite:///{self.folder / 'journal.db'}", "main")
        try:
            return [type(decode(entry.body).event).__name__ for entry in journal.iterate(0)]
        finally:
            journal.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(steps, "FIRST_RETRY", 0.01)
    return World(tmp_path)


async def hindered(core: Core) -> None:
    """Wait until a step of the start has failed."""
    for _ in range(10_000):
        if STARTING in core.deck.machine.obstacles:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("nothing keeps it from starting")


async def test_the_gate_opens_last(world: World) -> None:
    core = await world.open()
    assert world.venue.diary == ["instruments", "journal"]
    assert core.deck.status().state is DaemonState.SYNCING
    await core.take_up()
    assert world.venue.diary[2:4] == ["open", "positions"]
    assert core.deck.phase is Phase.RUNNING
    assert core.deck.status().state is DaemonState.READY
    await core.close("done")
    assert world.venue.diary[-1] == "close"
    assert world.venue.diary.count("close") == 1
    assert world.events() == ["AccountOpened", "DaemonStarted", "DaemonStopped"]


@pytest.mark.parametrize("step", ["instruments", "open", "positions"])
async def test_a_step_that_fails_is_tried_again_and_shown_meanwhile(world: World, step: str) -> None:
    world.venue.failures = {step: 3}
    core = await world.open()
    up = asyncio.create_task(core.take_up(persistently=True))
    await hindered(core)
    status = core.deck.status()
    assert status.state is DaemonState.SAFE
    assert "nobody is there" in status.reasons[0]
    with pytest.raises(Unavailable, match="nobody is there"):
        await core.deck.submit(order("0.1"), Request("r1", "d"))
    if step == "positions":  # the venue is reached: what takes risk off is taken
        await core.deck.submit(CancelAllOrders(), Request("r2", "d"))
    await up
    await core.deck.loop.idle()
    assert core.deck.status().state is DaemonState.READY
    await core.close("done")


async def test_without_patience_the_first_failure_ends_the_start(world: World) -> None:
    world.venue.failures = {"open": 1}
    core = await world.open()
    with pytest.raises(ConnectionError):
        await core.take_up()
    await core.close("failed")
    assert world.events()[-2:] == ["DaemonStarted", "DaemonStopped"]


async def test_what_shows_later_to_be_misconfigured_is_not_tried_again(world: World) -> None:
    world.venue.failures = {"instruments": 1}
    core = await world.open()
    world.venue.wrong = True
    with pytest.raises(ConfigError, match="no such account"):
        await core.take_up(persistently=True)
    await core.close("failed")


async def test_a_venue_s_account_that_is_not_to_be_traded_here_is_asked_no_more(world: World) -> None:
    def refuse() -> None:
        world.venue.diary.append("refused")
        raise ConfigError("exchange: another account trades there")

    world.admit = refuse
    with pytest.raises(ConfigError, match="another account"):
        await world.open()
    assert world.venue.diary == ["instruments", "refused", "close"]
    world.venue.failures = {"instruments": 1}
    core = await world.open()
    with pytest.raises(ConfigError, match="another account"):
        await core.take_up(persistently=True)
    await core.close("failed")
    assert "open" not in world.venue.diary


async def test_a_kill_switch_pulled_before_the_venue_is_reached_is_carried_out_then(world: World) -> None:
    core = await world.open()
    await core.take_up()
    await work(core)
    await core.close("done", OnStop.KEEP)
    world.venue.failures, world.venue.diary = {"open": 2}, []
    core = await world.open()
    world.venue.working = []
    up = asyncio.create_task(core.take_up(persistently=True))
    await hindered(core)
    await core.deck.submit(EngageKillSwitch("now"), Request("r9", "d"))
    assert "cancel" not in world.venue.diary
    await up
    assert world.venue.diary.index("cancel") > world.venue.diary.index("open")
    low = core.deck.state.order("low")
    assert low is not None
    assert low.state is OrderState.CANCELED
    await core.close("done")


async def work(core: Core) -> None:
    """Have one entry work at the venue."""
    core.deck.loop.take(Quote("btcusdt", core.deck.clock.now(), 50_000.0, 1.0, 50_000.0, 1.0))
    wish = order("0.1", type=OrderType.LIMIT, limit_price="49000", order_id="low")
    await core.deck.submit(wish, Request("low", "d"))
    await core.deck.loop.idle()
    low = core.deck.state.order("low")
    assert low is not None
    assert low.state is OrderState.OPEN


@pytest.mark.parametrize(
    ("toml", "state"),
    [
        ("", OrderState.CANCELED),  # behind a wire nobody watches an entry while the daemon is away
        ('[daemon]\non_stop = "keep"', OrderState.OPEN),
        ('[daemon]\non_stop = "flatten"', OrderState.CANCELED),
    ],
)
async def test_the_policy_is_carried_out_before_the_end_is_recorded(world: World, toml: str, state: OrderState) -> None:
    world.toml = toml
    core = await world.open()
    await core.take_up()
    await work(core)
    assert await core.wind_up("asked to") == []
    low = core.deck.state.order("low")
    assert low is not None
    assert low.state is state
    with pytest.raises(Unavailable, match="stopping"):
        await core.deck.submit(EngageKillSwitch("too late"), Request("r9", "d"))
    await core.close("asked to")
    assert world.events()[-1] == "DaemonStopped"


async def test_what_is_not_answered_is_named_in_the_last_event(world: World) -> None:
    world.toml = '[daemon]\nstop_within = "1s"'
    core = await world.open()
    await core.take_up()
    await work(core)
    world.venue.answers = False
    assert await core.wind_up("asked to") == ["order low: its cancel is not answered"]
    await core.close("asked to")
    journal = Journal.open(f"sqlite:///{world.folder / 'journal.db'}", "main")
    last = journal.read_one(journal.head)
    assert last is not None
    event = decode(last.body).event
    journal.close()
    assert "order low" in str(event)


async def test_a_venue_that_hangs_does_not_keep_the_end_from_being_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_module, "DRAINED_WITHIN", 0.05)
    monkeypatch.setattr(core_module, "CLOSED_WITHIN", 0.05)
    world.toml = '[daemon]\nstop_within = "1s"'
    core = await world.open()
    await core.take_up()
    core.deck.loop.take(Quote("btcusdt", core.deck.clock.now(), 50_000.0, 1.0, 50_000.0, 1.0))
    world.venue.hangs, world.venue.answers = True, False
    await core.deck.submit(order("0.1", order_id="stuck"), Request("r1", "d"))
    for _ in range(1000):
        if "place" in world.venue.diary:
            break
        await asyncio.sleep(0.001)
    assert await core.wind_up("asked to") == ["order stuck is SENT"]
    await core.close("asked to")
    assert world.events()[-1] == "DaemonStopped"


@dataclass
class Talkative(Elsewhere):
    """A venue whose messages are kept as they come."""

    def record_frames(self, keep: KeepFrame) -> None:
        self.note("record")
        self.keep = keep


async def test_what_the_venue_says_is_kept_from_before_it_is_open_until_it_is_closed(world: World) -> None:
    venue = world.venue = Talkative()
    core = await world.open()
    core.tick_seconds = 0.01
    await core.take_up()
    assert venue.diary.index("record") < venue.diary.index("open")
    venue.keep("private", b"one")
    async with asyncio.timeout(10):
        while not kept(world):  # noqa: ASYNC110 - the writer's thread makes it so
            await asyncio.sleep(0.01)
    await core.wind_up("done")
    venue.keep("private", b"two")
    await core.close("done")
    assert kept(world) == [(1, "private", b"one"), (2, "private", b"two")]
    core = await world.open()
    await core.take_up()
    venue.keep("private", b"three")
    await core.close("done")
    assert kept(world)[2:] == [(3, "private", b"three")]


def kept(world: World) -> list[tuple[int, str, bytes]]:
    archive = Archive.open(f"sqlite:///{world.folder / 'journal.db'}")
    try:
        with archive.reading() as connection:
            return [(each.id, each.source, each.body) for each in read_frames(connection, 0, 100)]
    finally:
        archive.close()
