"""A configuration is read whole or refused, and what is refused is named with its value."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from quarterdeck.daemon.config import TEMPLATE, Config, Mode, load, parse
from quarterdeck.domain.errors import ConfigError

BOT = '[[bots]]\nid = "a"\nstrategy = "sma-cross"\ninstrument = "btcusdt"\ninterval = "1m"\n'


def test_nothing_said_is_the_defaults() -> None:
    assert parse("", "here") == Config()


def test_the_template_is_the_defaults_and_a_bot() -> None:
    config = parse(TEMPLATE, "template")
    assert [bot.id for bot in config.bots] == ["sma"]
    assert config.model_copy(update={"bots": ()}) == Config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lisen = 1", "lisen: unknown key"),
        ("[daemon]\nlisen = 1", "daemon.lisen: unknown key (did you mean 'listen'?)"),
        ('mode = "papr"', "mode = 'papr'"),
        ('mode = "live"', "live.armed: mode 'live' trades real money"),
        ("risk = []", "risk: name at least one rule plugin"),
        ('[account]\nid = "Main"', "account.id = 'Main'"),
        ('[account]\nsettle = "usdt"', "account.settle = 'usdt'"),
        ("[limits]\nmax_open_orders = 0", "limits.max_open_orders = 0"),
        ('[limits]\nmax_risk_ratio = "0.5"', "limits.max_risk_ratio = '0.5'"),
        ('[limits]\nmax_leverage = "nan"', "limits.max_leverage = 'nan'"),
        ("[exchange]", "exchange.plugin: missing"),
        (BOT.replace("1m", "1 minute"), "bots[0].interval = '1 minute'"),
        (BOT + BOT, "bots: id 'a' is given more than once"),
        ("mode = ", "not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text, "my.toml")
    assert str(refused.value).startswith("my.toml")
    assert said in str(refused.value)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        parse('mode = "papr"\n[limits]\nmax_open_orders = 0', "my.toml")
    assert "mode" in str(refused.value)
    assert "limits.max_open_orders" in str(refused.value)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:50551", "[::1]:50551", "unix:/run/quarterdeck.sock"])
def test_this_machine_may_be_listened_to(listen: str) -> None:
    assert parse(f'[daemon]\nlisten = "{listen}"', "here").daemon.listen == listen


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:1", "[::]:1", "192.168.1.5:1", "example.com:1", "127.0.0.1", ":1", "x:99999"]
)
def test_nothing_else_may(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"daemon\.listen"):
        parse(f'[daemon]\nlisten = "{listen}"', "here")


def test_real_money_can_be_armed() -> None:
    assert parse('mode = "live"\n[live]\narmed = true', "here").mode is Mode.LIVE


def test_limits_are_exact() -> None:
    assert parse('[limits]\nmax_risk_ratio = "0.013"', "here").limits.max_risk_ratio == Decimal("0.013")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: can't be read: No such file"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.toml"):
        load(tmp_path / "binary.toml")
