"""Owns trouble: what goes wrong by the clock, and what a scenario has happen when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from random import Random
from typing import Any

from quarterdeck.daemon import failpoints
from quarterdeck.daemon.config import OnStop
from quarterdeck.domain.errors import ConfigError
from quarterdeck.domain.market import SECOND, Side
from quarterdeck.engine.inputs import (
    CancelAllOrders,
    ClosePosition,
    Command,
    EngageKillSwitch,
    ReleaseKillSwitch,
    Request,
)
from quarterdeck.simulation.callers import scripted
from quarterdeck.simulation.faults import FAULTS
from quarterdeck.simulation.loop import Crash
from quarterdeck.simulation.market import INSTRUMENTS
from quarterdeck.simulation.plan import Step
from quarterdeck.simulation.world import Node, World


class Nemesis:
    """Makes trouble in a world. A method named for a timed fault strikes; what begins with `_do_` is a scenario's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._backup = b""
        self._tasks: list[asyncio.Task[None]] = []

    def troubles(self) -> Iterator[Coroutine[Any, Any, None]]:
        """All that goes on beside the run."""
        plan = self._world.plan
        for name, fault in FAULTS.items():
            if fault.timed and name in plan.rates:
                yield self._nemesis(name, plan.rates[name])
        for step in plan.steps:
            yield self._play(step)

    # --- what a scenario does

    async def _play(self, step: Step) -> None:
        await asyncio.sleep(step.at)
        action = getattr(self, "_do_" + step.do.replace("-", "_"), None)
        if action is None:
            raise ConfigError(f"{self._world.plan.scenario}: nothing here can do {step.do!r}")
        await action(**step.arguments)

    async def _do_crash(self) -> None:
        await self._crash(self._world.dice)

    async def _do_power_loss(self) -> None:
        await self._power_loss(self._world.dice)

    async def _do_crash_at(self, failpoint: str, hit: int = 1) -> None:
        self._world.armed = (failpoint, hit, self._crash_here)

    async def _do_kill_switch_at(self, failpoint: str, hit: int = 1) -> None:
        self._world.armed = (failpoint, hit, self._halt_here)

    async def _do_crash_loop(self, failpoints: list[str]) -> None:
        """Kill it once at each of these, one after the other."""
        for name in failpoints:
            self._world.armed = (name, 1, self._crash_here)
            if self._world.process is not None and self._world.process.is_alive and not name.startswith("start."):
                await asyncio.sleep(60)
            else:
                await self._crash(self._world.dice)
            for _ in range(120):
                if self._world.armed is None:
                    break
                await asyncio.sleep(1)

    async def _do_pause(self, seconds: float) -> None:
        process = self._world.process
        if process is not None:
            self._world.pause(process)
            await asyncio.sleep(seconds)
            self._world.resume(process)

    async def _do_second_daemon(self, seconds: float) -> None:
        """The daemon stands still, another one takes over, and then the first goes on."""
        node = self._world.node
        if node is not None and node.process.is_alive:
            self._world.leave(node)
            await asyncio.sleep(seconds)
            self._world.resume(node.process)

    async def _do_second_daemon_at(self, seconds: float, failpoint: str, hit: int = 1) -> None:
        """The same, from the very moment at which the first has come to a failpoint."""

        def leave(node: Node) -> None:
            self._world.leave(node)
            self._world.loop.outside(round(seconds * SECOND), self._world.resume, node.process)

        self._world.armed = (failpoint, hit, leave)

    async def _do_restart(self) -> None:
        await self._restart(self._world.dice)

    async def _do_cut_stream(self) -> None:
        self._world.wire.cut()

    async def _do_rate(self, fault: str, rate: float) -> None:
        self._world.faults.rates[fault] = rate

    async def _do_outage(self, seconds: float) -> None:
        self._world.wire.is_out = True
        await asyncio.sleep(seconds)
        self._world.wire.is_out = False

    async def _do_kill_switch(self, flatten: bool = False) -> None:
        await self._world.operator.wish(EngageKillSwitch("the scenario wants it", flatten=flatten))

    async def _do_release(self) -> None:
        await self._world.operator.wish(ReleaseKillSwitch("the scenario wants it"))

    async def _do_order(self, records: str = "", **order: str) -> None:
        await self._wish(scripted(order, self._world.market), records)

    async def _do_cancel_all(self, symbol: str, records: str = "") -> None:
        await self._wish(CancelAllOrders(symbol), records)

    async def _do_close(self, symbol: str, records: str = "") -> None:
        await self._wish(ClosePosition(symbol), records)

    async def _wish(self, command: Command, records: str) -> None:
        """Have the operator wish for something; `records` names the event it has to be answered with, if any."""
        world = self._world
        wish = await world.operator.wish(command)
        told = world.disk.type_of(wish.answers[-1].sequence)
        if records and told != records:
            last = wish.answers[-1]
            world.loop.complaints.append(
                f"{command} was answered with {told or last.reason or 'nothing'}, not {records}"
            )

    async def _do_trade_by_hand(self, symbol: str, side: str, quantity: str) -> None:
        self._world.venue.trade_by_hand(symbol, Side(side), Decimal(quantity))

    async def _do_cancel_by_hand(self) -> None:
        self._world.venue.cancel_by_hand(self._world.dice.choice)

    async def _do_cancel_stops_by_hand(self) -> None:
        self._world.venue.cancel_stops_by_hand()

    async def _do_relist(self, symbol: str, reduce_only: bool = False, **rules: str) -> None:
        exact = {name: Decimal(value) for name, value in rules.items()}
        self._world.venue.relist(symbol, reduce_only=reduce_only, **exact)

    async def _do_keep_no_stops(self, seconds: float) -> None:
        """For a while the venue ends each stop it opens, and takes in none."""
        self._world.venue.keeps_stops = False
        await asyncio.sleep(seconds)
        self._world.venue.keeps_stops = True

    async def _do_jump(self, symbol: str, part: float) -> None:
        self._world.market.jump(symbol, part)
        self._world.venue.see_market()

    async def _do_back_up(self) -> None:
        self._backup = self._world.disk.copy()

    async def _do_restore(self) -> None:
        """The machine is lost, and the daemon begins again from the copy."""
        world, node = self._world, self._world.node
        if world.damaged and node is not None:  # it shows what it can, and is told to stop
            world.look_at_damaged(node)
            node.stopping = world.loop.start(node.process, node.stop(OnStop.KEEP))
            while node.process.is_alive:  # noqa: ASYNC110 - nothing tells of the end of a process
                await asyncio.sleep(0.1)
        else:
            await self._crash(world.dice)
            world.lost.append(world.disk.entries())
        world.disk.restore(self._backup)
        world.damaged = ""

    async def _do_damage(self, kind: str) -> None:
        """The daemon is killed, and what it wrote is changed."""
        world = self._world
        await self._crash(world.dice)
        world.lost.append(world.disk.entries())
        world.disk.damage(world.dice, kind)
        world.damaged = kind

    async def _do_disk_full(self, seconds: float) -> None:
        await self._fill(seconds)

    # --- what goes wrong by the clock

    async def _nemesis(self, name: str, per_hour: float) -> None:
        dice = self._world.faults.dice(name)
        strike: Callable[[Random], Coroutine[Any, Any, bool]] = getattr(self, "_" + name.replace("-", "_"))
        while True:
            await asyncio.sleep(dice.expovariate(per_hour / 3600))
            if not self._world.faults.are_on:
                return
            if await strike(dice):
                self._world.faults.hits(name)

    async def _outage(self, dice: Random) -> bool:
        self._world.wire.is_out = True
        await asyncio.sleep(2 + dice.expovariate(1 / 30))
        self._world.wire.is_out = False
        return True

    async def _cut_stream(self, dice: Random) -> bool:
        self._world.wire.cut()
        return True

    async def _crash(self, dice: Random) -> bool:
        if self._world.node is not None and self._world.node.process.is_alive:
            self._world.kill(self._world.node)
            return True
        return False

    async def _restart(self, dice: Random) -> bool:
        node = self._world.node
        if node is None or not node.is_up or not node.process.is_alive or node.stopping is not None:
            return False
        node.stopping = self._world.loop.start(node.process, node.stop(dice.choice(list(OnStop))))
        return True

    async def _pause(self, dice: Random) -> bool:
        process = self._world.process
        if process is None or not process.is_alive or process.is_paused:
            return False
        self._world.pause(process)
        await asyncio.sleep(dice.choice((5, 60, 600)) * (0.5 + dice.random()))
        self._world.resume(process)
        return True

    async def _disk_full(self, dice: Random) -> bool:
        await self._fill(dice.expovariate(1 / 300))
        return True

    async def _fill(self, seconds: float) -> None:
        disk = self._world.disk
        disk.is_full = True
        await asyncio.sleep(seconds)
        disk.is_full = False

    async def _power_loss(self, dice: Random) -> bool:
        self._world.power_lost = True
        return await self._crash(dice)

    async def _crash_at_failpoint(self, dice: Random) -> bool:
        self._world.armed = (dice.choice(failpoints.NAMES), dice.randint(1, 3), self._crash_here)
        return False  # counted when it is hit

    async def _manual_order(self, dice: Random) -> bool:
        instrument = dice.choice(INSTRUMENTS)
        quantity = instrument.lot_size * dice.randint(1, 20)
        self._world.venue.trade_by_hand(instrument.symbol, dice.choice((Side.BUY, Side.SELL)), quantity)
        return True

    async def _manual_cancel(self, dice: Random) -> bool:
        return self._world.venue.cancel_by_hand(dice.choice)

    async def _transfer(self, dice: Random) -> bool:
        self._world.venue.transfer(Decimal(dice.randint(-500_000, 500_000)) / 100)
        return True

    async def _funding(self, dice: Random) -> bool:
        self._world.venue.settle_funding(dice.uniform(-0.001, 0.001))
        return True

    async def _jump(self, dice: Random) -> bool:
        self._world.market.jump(dice.choice(INSTRUMENTS).symbol, dice.uniform(-0.05, 0.05))
        self._world.venue.see_market()
        return True

    def _crash_here(self, node: Node) -> None:
        self._world.faults.hits("crash-at-failpoint")
        self._world.kill(node)
        raise Crash(node.process.name)

    def _halt_here(self, node: Node) -> None:
        """Somebody pulls the kill switch at this very moment."""
        if node.core is not None:
            wish = node.core.deck.submit(EngageKillSwitch("at this very moment"), Request())
            self._tasks.append(self._world.loop.start(node.process, _to_its_end(wish)))


async def _to_its_end(work: Coroutine[Any, Any, object]) -> None:
    await work
