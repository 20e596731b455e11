"""Owns what a simulator is started with: instruments, accounts, a market, faults. One file, checked whole."""

from __future__ import annotations

import asyncio
import json
import time
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import SECOND
from quarterdeck.plugin import ConfigError
from quarterdeck_bybit_simulator.catalog import CATALOG
from quarterdeck_bybit_simulator.faults import Faults, Rule
from quarterdeck_bybit_simulator.settings import LinkIds, Member, SimulatorSettings
from quarterdeck_bybit_simulator.simulator import Simulator
from quarterdeck_bybit_simulator.truth import Truth
from quarterdeck_bybit_simulator.walk import Walk, at, read_prices


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listed(_Table):
    """`[[instruments]]`: one that the catalog does not have. `price` is where its market begins."""

    symbol: str
    venue_symbol: str
    kind: InstrumentKind = InstrumentKind.LINEAR
    base: str
    quote: str = "USDT"
    settle: str = "USDT"
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)
    max_leverage: Decimal = Decimal(1)
    maintenance_margin_rate: Decimal = Decimal("0.005")
    maker_fee_rate: Decimal = Decimal("0.0002")
    taker_fee_rate: Decimal = Decimal("0.00055")
    price: Annotated[float, Field(gt=0)]


class Owner(_Table):
    """`[[accounts]]`: who may log in, and what they begin with."""

    api_key: str = "key-of-simulator"
    api_secret: str = "secret-of-simulator"  # noqa: S105 - made up, and printed
    user_id: int = 10_000_001
    balances: dict[str, Decimal] = Field(default_factory=lambda: {"USDT": Decimal(100_000)})


class Scene(_Table):
    """The whole file. `speed`: prices per second of the walk; of a file, how many times faster than it happened."""

    symbols: tuple[str, ...] = ("btcusdt", "btcusdt-spot")
    instruments: tuple[Listed, ...] = ()
    accounts: Annotated[tuple[Owner, ...], Field(min_length=1)] = (Owner(),)
    link_ids: LinkIds = LinkIds.ALWAYS
    visibility_ms: Annotated[int, Field(ge=0)] = 0
    limits: bool = True
    seed: int = 1
    speed: Annotated[float, Field(gt=0, le=1_000)] = 2.0
    history: Annotated[int, Field(ge=0, le=10_000)] = 1_000
    candles: dict[str, Path] = Field(default_factory=dict)
    faults: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Scene:
        own = {one.symbol for one in self.instruments}
        unknown = [name for name in (*self.symbols, *self.candles) if name not in CATALOG and name not in own]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not listed; there are {', '.join([*CATALOG, *sorted(own)])}")
        return self

    @property
    def listing(self) -> list[tuple[Instrument, float]]:
        """What is listed, each with the price it begins at."""
        own = [(Instrument(**one.model_dump(exclude={"price"})), one.price) for one in self.instruments]
        taken = {one.symbol for one, _ in own}
        return own + [CATALOG[symbol] for symbol in self.symbols if symbol not in taken]


def read_scene(path: Path | None, changes: Mapping[str, Any], faults: Path | None = None) -> Scene:
    """A scene from its file (TOML), what was given besides, and a file of faults (JSON list, or TOML with [[faults]]).

    Raises:
        ConfigError: one of them can't be read or does not fit; every fault of it is named.
    """
    table = {**(_read(path) if path else {}), **changes}
    if faults is not None:
        given = _read(faults)
        table["faults"] = given if isinstance(given, list) else given.get("faults", given)
    try:
        return Scene.model_validate(table)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc'])) or 'scene'}: {each['msg']}" for each in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def _read(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def simulator_of(scene: Scene, truth: Truth | None = None) -> Simulator:
    """The simulator of a scene, its market not yet moving."""
    members = tuple(
        Member(each.api_key, each.api_secret, each.user_id, tuple(each.balances.items()), addresses=("127.0.0.1",))
        for each in scene.accounts
    )
    settings = SimulatorSettings(
        members=members,
        link_ids=scene.link_ids,
        visibility_delay=scene.visibility_ms * 1_000_000,
        limits_apply=scene.limits,
    )
    listed = [instrument for instrument, _ in scene.listing]
    return Simulator(listed, settings, truth=truth, faults=Faults(scene.faults, scene.seed))


async def move(simulator: Simulator, scene: Scene) -> None:
    """Show the market's past, and let it move until cancelled.

    Raises:
        ConfigError: a file of candles can't be used.
    """
    async with asyncio.TaskGroup() as group:
        for instrument, price in scene.listing:
            if instrument.symbol in scene.candles:
                try:
                    prices, step = read_prices(scene.candles[instrument.symbol])
                except (OSError, ValueError) as error:
                    raise ConfigError(f"candles: {error}") from error
                pause = step / SECOND / scene.speed
                group.create_task(_play(simulator, instrument, iter(prices), pause))
            else:
                walk = Walk(instrument, price, scene.seed)
                simulator.remember(walk.history(simulator.now(), scene.history))
                group.create_task(_play(simulator, instrument, iter(walk.next, None), 1 / scene.speed))


async def _play(simulator: Simulator, instrument: Instrument, prices: Iterator[float | None], pause: float) -> None:
    due = time.monotonic()
    for before, price in pairwise(prices):
        if price is None or before is None:
            return
        for event in at(instrument, price, simulator.now(), rises=price >= before):
            simulator.show(event)
        due += pause
        await asyncio.sleep(max(0.0, due - time.monotonic()))
