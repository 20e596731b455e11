"""Owns the daemon's configuration: one TOML file, checked whole before anything starts. Unknown keys are errors."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from quarterdeck.domain.errors import ConfigError
from quarterdeck.engine.state import CRASHES_KEPT
from quarterdeck.plugin.fields import Interval
from quarterdeck.plugin.validation import validated

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _valid_id(text: str) -> str:
    if _ID.fullmatch(text) is None:
        raise ValueError("must be lower-case letters, digits and dashes, not starting with a dash, at most 63")
    return text


Id = Annotated[str, AfterValidator(_valid_id)]


class Mode(StrEnum):
    """Whose money is at stake."""

    DEMO = "demo"
    PAPER = "paper"
    TESTNET = "testnet"
    EXCHANGE_DEMO = "exchange-demo"
    LIVE = "live"


class Section(BaseModel):
    """Base of all tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PluginChoice(Section):
    """Which plugin, and its own settings, which the plugin checks itself."""

    plugin: Id
    settings: dict[str, Any] = Field(default_factory=dict)


class OnStop(StrEnum):
    """What becomes of orders and positions when the daemon stops. Protection at the venue always stays."""

    AUTO = "auto"
    """CANCEL; KEEP where the venue is in this process and stands still without it."""
    KEEP = "keep"
    CANCEL = "cancel"
    """Working entries are canceled."""
    FLATTEN = "flatten"
    """Working entries are canceled and positions closed."""


class DaemonSection(Section):
    """Where the daemon listens, how it stops, and how often it may crash.

    Only this machine can reach it until there is authentication.
    """

    listen: str = "127.0.0.1:50551"
    on_stop: OnStop = OnStop.AUTO
    stop_within: Interval = "25s"
    crash_limit: Annotated[int, Field(ge=0, le=CRASHES_KEPT, strict=True)] = 5
    crash_window: Interval = "10m"

    @field_validator("listen")
    @classmethod
    def _is_local(cls, value: str) -> str:
        if value.startswith("unix:"):
            return value
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError("must be 'address:port' (port 0 picks a free one) or 'unix:path'")
        if host != "localhost" and not _is_loopback(host.strip("[]")):
            raise ValueError(f"{host} can be reached from other machines, and nothing there is authenticated yet")
        return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Check(StrEnum):
    """How much of the journal is checked at each start."""

    QUICK = "quick"
    FULL = "full"


class JournalSection(Section):
    """Where the journal is, as a SQLAlchemy URL, how its heads are signed, and what a start checks of it.

    `reserve_mib` of a file's disk are kept for when that is full. A server that is away is waited for, `patience` at
    most. A daemon that has not proved for `lease` that the journal is its own sends nothing; with `standby` it waits
    for a journal that is another's.
    """

    url: str = "sqlite:///.quarterdeck/journal.db"
    signing_key: str = ""
    anchor_file: str = ""
    check: Check = Check.QUICK
    patience: Interval = "1m"
    lease: Interval = "10s"
    standby: bool = False
    keep_events: Annotated[int, Field(ge=0, strict=True)] = 0
    keep_days: Annotated[int, Field(ge=0, strict=True)] = 0
    keep_frames: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 100_000
    keep_frames_days: Annotated[int, Field(ge=0, strict=True)] = 30
    reserve_mib: Annotated[int, Field(ge=0, le=65_536, strict=True)] = 16


class AccountSection(Section):
    """The account the daemon trades."""

    id: Id = "main"
    settle: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,10}$")] = "USDT"


class ReconcileSection(Section):
    """How often the journal is compared with what the venue holds, beyond each start and whenever something is odd."""

    every: Interval = "60s"


class LimitsSection(Section):
    """The core's hard limits. No plugin and no plugin's setting goes beyond them."""

    max_risk_ratio: Annotated[Decimal, Field(gt=0, le=Decimal("0.2"))] = Decimal("0.05")
    max_leverage: Annotated[Decimal, Field(gt=0, le=125)] = Decimal(20)
    max_open_orders: Annotated[int, Field(gt=0, le=1_000_000)] = 1000


class BotSection(Section):
    """A bot that exists from the start; `autostart` runs it when it is new."""

    id: Id
    strategy: Id
    instrument: Id
    interval: Interval
    autostart: bool = True
    settings: dict[str, Any] = Field(default_factory=dict)


class LiveSection(Section):
    """Real money needs to be armed in so many words."""

    armed: bool = False


class Config(Section):
    """The whole configuration."""

    mode: Mode = Mode.PAPER
    daemon: DaemonSection = DaemonSection()
    journal: JournalSection = JournalSection()
    account: AccountSection = AccountSection()
    exchange: PluginChoice = PluginChoice(plugin="paper")
    feed: PluginChoice = PluginChoice(plugin="synthetic")
    sizing: PluginChoice = PluginChoice(plugin="speed-demon")
    scalers: tuple[PluginChoice, ...] = ()
    risk: tuple[PluginChoice, ...] = (PluginChoice(plugin="limits"),)
    limits: LimitsSection = LimitsSection()
    reconcile: ReconcileSection = ReconcileSection()
    live: LiveSection = LiveSection()
    bots: tuple[BotSection, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if not self.risk:
            raise ValueError("risk: name at least one rule plugin; without one every order is refused")
        names = [bot.id for bot in self.bots]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"bots: id {name!r} is given more than once")
        if self.mode is Mode.LIVE and not self.live.armed:
            raise ValueError("live.armed: mode 'live' trades real money; set it to true to say that you mean it")
        return self


def load(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: it can't be read, is not TOML, or says something it may not; every fault is listed with its key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> Config:
    """Check configuration text; `where` names it in errors.

    Raises:
        ConfigError: as for `load`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not TOML: {error}") from error
    return validated(Config, table, where)


TEMPLATE = """\
# Quarterdeck configuration. Everything here is a default except the bot; delete what you do not change.
# Check it with `quarterdeck config check`, see it whole with `quarterdeck config show`.

mode = "paper"  # demo | paper | testnet | exchange-demo | live

[daemon]
listen = "127.0.0.1:50551"

[journal]
url = "sqlite:///.quarterdeck/journal.db"

[account]
id = "main"
settle = "USDT"

[exchange]
plugin = "paper"

[feed]
plugin = "synthetic"

[sizing]
plugin = "speed-demon"

[[risk]]
plugin = "limits"

[limits]  # hard limits of the core: no plugin goes beyond them
max_risk_ratio = "0.05"
max_leverage = "20"
max_open_orders = 1000

[[bots]]
id = "sma"
strategy = "sma-cross"
instrument = "btcusdt"
interval = "1m"
"""
