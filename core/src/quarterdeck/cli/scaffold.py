"""Owns beginning a plugin: a complete package of its kind, with tests that pass, written from templates."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from tempfile import mkdtemp
from typing import NamedTuple

from quarterdeck.domain.errors import ConfigError
from quarterdeck.plugin.hookspecs import API_VERSION
from quarterdeck.plugin.validation import suggestion

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 30
_SUFFIX = ".tmpl"


class _Kind(NamedTuple):
    """What the templates of a kind need to know besides names."""

    part: str
    """The class in the template."""
    hook: str
    interface: str
    summary: str
    usage: str
    settings: Mapping[str, tuple[str, str]]
    """Default and meaning of each settings key."""
    build: str | None = None
    """What builds it, if not the class itself."""
    offer: str = "$interface"


_KINDS: Mapping[str, _Kind] = {
    "exchange": _Kind(
        part="Simulated",
        hook="quarterdeck_exchanges",
        interface="Exchange",
        summary="Trades one perpetual on simulated money inside the daemon",
        usage='[exchange]\nplugin = "$name"',
        settings={
            "symbol": ("btcusdt", "id of the instrument; settled in USDT"),
            "tick_size": ("0.1", "prices are multiples of it"),
            "lot_size": ("0.001", "quantities are multiples of it"),
            "fee_rate": ("0.0005", "of each trade's value; 0.0005 is 0.05 %"),
            "balance": ("10000", "what a new account begins with"),
        },
    ),
    "strategy": _Kind(
        part="Breakout",
        hook="quarterdeck_strategies",
        interface="Strategy",
        summary="Enters on a breakout above the highest high and leaves below the lowest low",
        usage='[[bots]]\nid = "$name"\nstrategy = "$name"\ninstrument = "btcusdt"\ninterval = "5m"',
        settings={
            "entry_candles": ("20", "enter above the highest high of so many candles"),
            "exit_candles": ("10", "leave below the lowest low of so many candles"),
        },
    ),
    "sizer": _Kind(
        part="FixedFraction",
        hook="quarterdeck_sizers",
        interface="Sizer",
        summary="Risks the same fraction of the account on every trade",
        usage='[sizing]\nplugin = "$name"',
        settings={"ratio": ("0.01", "risked of the account; 0.01 is 1 %")},
    ),
    "scaler": _Kind(
        part="Cautious",
        hook="quarterdeck_scalers",
        interface="Scaler",
        summary="Makes trades smaller the further the account is below its peak",
        usage='[[scalers]]\nplugin = "$name"',
        settings={
            "drawdown": ("0.2", "drawdown at which trades are smallest; 0.2 is 20 %"),
            "smallest": ("0.25", "the factor from there on"),
        },
    ),
    "risk": _Kind(
        part="MaxQuantity",
        hook="quarterdeck_risk_rules",
        interface="RiskRule",
        summary="Limits how much of an instrument may be held",
        usage='[[risk]]\nplugin = "$name"',
        settings={
            "symbol": ("btcusdt", "the instrument that is limited"),
            "max_quantity": ("10", "the most of it, in base units"),
        },
        offer="Sequence[$interface]",
        build="build_rules",
    ),
    "feed": _Kind(
        part="Sawtooth",
        hook="quarterdeck_feeds",
        interface="Feed",
        summary="Replays candles that rise and fall like the teeth of a saw",
        usage='[feed]\nplugin = "$name"',
        settings={
            "symbol": ("btcusdt", "instrument of the venue"),
            "interval": ("1m", "length of a candle, such as 30s, 1m or 1h"),
            "price": ("50000.0", "price at the foot of a tooth"),
            "count": ("1000", "how many candles there are"),
        },
    ),
}

#: The kinds of plugins that can be begun.
KINDS = tuple(_KINDS)


def scaffold(kind: str, name: str, target: Path) -> list[Path]:
    """Write a plugin package into the folder `target`, which must be new or empty; returns the files, sorted.

    The distribution is `quarterdeck-<kind>-<name>`. All files are written, or none.

    Raises:
        ConfigError: there is no such kind, the name is not allowed, or the folder is in use or can't be written.
    """
    if kind not in _KINDS:
        raise ConfigError(f"kind {kind!r}: unknown{suggestion(kind, _KINDS)}; must be one of {', '.join(_KINDS)}")
    if _NAME.fullmatch(name) is None or len(name) > _LONGEST:
        raise ConfigError(
            f"name {name!r}: must be lower-case words joined by single dashes, such as 'my-{kind}', "
            f"at most {_LONGEST} characters",
        )
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ConfigError(f"{target}: is not empty; nothing is overwritten, name another folder")
    texts = _texts(kind, name)
    try:
        _write_all(texts, target)
    except OSError as failure:
        raise ConfigError(f"{target}: can't be written: {failure.strerror or failure}") from failure
    return sorted(target / path for path in texts)


def _texts(kind: str, name: str) -> dict[str, str]:
    """The package's files: text by path."""
    values = _values(kind, name)
    module = f"src/{values['module']}"
    texts = {f"{module}/py.typed": ""}
    root = files("quarterdeck.cli") / "templates"
    for folder in ("common", kind):
        for path, template in _templates(root / folder):
            place = path.removesuffix(_SUFFIX)
            # Python at the top of a template folder is the package's module.
            place = f"{module}/{place}" if place.endswith(".py") and "/" not in place else place
            texts[place] = Template(template.read_text(encoding="utf-8")).substitute(values)
    return texts


def _templates(folder: Traversable, within: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _templates(entry, f"{within}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield within + entry.name, entry


def _values(kind: str, name: str) -> dict[str, str]:
    chosen = _KINDS[kind]
    settings, build = f"{chosen.part}Settings", chosen.build or chosen.part
    values = {
        "kind": kind,
        "name": name,
        "distribution": f"quarterdeck-{kind}-{name}",
        "module": f"quarterdeck_{kind}_{name.replace('-', '_')}",
        "hook": chosen.hook,
        "interface": chosen.interface,
        "summary": chosen.summary,
        "version": version("quarterdeck"),
        "api_version": str(API_VERSION),
        "settings": settings,
        "build": build,
        "own_names": _imported(settings, build),
        "plugin_names": _imported("Factory", chosen.interface, "hookimpl"),
        "settings_rows": "\n".join(
            f"| `{key}` | {default} | {meaning} |" for key, (default, meaning) in chosen.settings.items()
        ),
    }
    return values | {field: Template(getattr(chosen, field)).substitute(values) for field in ("usage", "offer")}


def _imported(*names: str) -> str:
    """Names in the order in which tools sort imports: classes before functions."""
    return ", ".join(sorted(names, key=lambda name: (name[0].islower(), name)))


def _write_all(texts: Mapping[str, str], target: Path) -> None:
    """Write beside the target first, so that a failure leaves nothing behind."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for path, text in texts.items():
            place = draft / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        draft.chmod(0o755)
        if target.exists():
            target.rmdir()
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
