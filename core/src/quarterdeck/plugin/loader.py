"""Owns finding plugins and refusing what is not understood. The only file that touches pluggy's manager.

A plugin is a module named by an entry point of group `quarterdeck`. Whatever is wrong with one stops the start, with a
text that names its distribution and says how to mend it: a running daemon has exactly the plugins it was told to have.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import pluggy

from quarterdeck.domain.deciders import RiskRule, Scaler, Sizer, Strategy
from quarterdeck.domain.errors import ConfigError
from quarterdeck.plugin.exchange import Exchange
from quarterdeck.plugin.feed import Feed
from quarterdeck.plugin.hookspecs import API_VERSION, PROJECT, Factory, Hooks, Settings
from quarterdeck.plugin.validation import listed, suggestion, validated

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PREFIX = "quarterdeck_"


class PluginRefused(ConfigError):
    """A plugin is not usable as it is, so the daemon does not start. The text says how to mend it."""


class Kind(NamedTuple):
    """A kind of part: what it is called, what it must offer, and whether a factory builds several at once."""

    noun: str
    interface: type
    several: bool = False


#: Kinds by the name they have in `Plugins` and, after the prefix, in the hook specifications.
KINDS: Mapping[str, Kind] = {
    "exchanges": Kind("exchange", Exchange),
    "feeds": Kind("feed", Feed),
    "strategies": Kind("strategy", Strategy),
    "sizers": Kind("sizer", Sizer),
    "scalers": Kind("scaler", Scaler),
    "risk_rules": Kind("risk rule", RiskRule, several=True),
}


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T_co]):
    """A factory and where it comes from."""

    factory: Factory[T_co]
    kind: Kind
    distribution: str
    version: str

    @property
    def name(self) -> str:
        """What configuration calls it."""
        return self.factory.name

    @property
    def summary(self) -> str:
        """What it is, in one line."""
        return self.factory.summary


@dataclass(frozen=True, slots=True)
class Plugins:
    """Everything that is installed, by kind and name, in the order of names."""

    exchanges: Mapping[str, Loaded[Exchange]]
    feeds: Mapping[str, Loaded[Feed]]
    strategies: Mapping[str, Loaded[Strategy]]
    sizers: Mapping[str, Loaded[Sizer]]
    scalers: Mapping[str, Loaded[Scaler]]
    risk_rules: Mapping[str, Loaded[Sequence[RiskRule]]]

    def all(self) -> Iterator[Loaded[object]]:
        """Every factory of every kind."""
        for kind in KINDS:
            yield from getattr(self, kind).values()


class _Source(NamedTuple):
    """Where a plugin comes from."""

    module: ModuleType
    distribution: str
    version: str

    @property
    def label(self) -> str:
        """How errors name it."""
        return f"plugin {self.distribution} {self.version}"


def load(*, modules: Iterable[ModuleType | str] = (), only: Collection[str] | None = None) -> Plugins:
    """Find, check and ask every plugin for what it offers.

    Args:
        modules: Plugins that are not installed: modules, or names to import.
        only: Names of the distributions to load; others are not even imported. None loads all that are installed.

    Raises:
        PluginRefused: something about a plugin is not understood; nothing is loaded.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    sources: dict[ModuleType, _Source] = {}
    for source in (*_installed(only), *map(_local, modules)):
        if source.module not in sources:
            _check_module(manager, source)
            manager.register(source.module)
            sources[source.module] = source
    manager.check_pending()

    def declared(kind: str) -> Mapping[str, Loaded[Any]]:
        hook = getattr(manager.hook, _PREFIX + kind)
        offers = [
            Loaded(factory, KINDS[kind], source.distribution, source.version)
            for implementation in hook.get_hookimpls()
            for source in [sources[implementation.plugin]]
            for factory in _ask(source, kind, implementation.function)
        ]
        return _by_name(offers)

    return Plugins(**{kind: declared(kind) for kind in KINDS})


def choose(available: Mapping[str, Loaded[T]], name: str, where: str) -> Loaded[T]:
    """The installed part of that name; `where` is how the user finds the setting, such as `[feed] use`.

    Raises:
        ConfigError: none has that name; the text lists those that are installed.
    """
    if name in available:
        return available[name]
    raise ConfigError(
        f"{where} = {name!r}: not installed{suggestion(name, available)}; installed: {listed(available)}. "
        "Install its distribution, or correct the name",
    )


def build(loaded: Loaded[T], table: Mapping[str, object], where: str) -> T:
    """Build a part from its settings table; `where` is how the user finds the table, such as `[feed.settings]`.

    Raises:
        ConfigError: the table does not fit the plugin's settings, or the plugin says it can't work with them.
        PluginRefused: the plugin failed, or built something that lacks a part of its interface.
    """
    settings = validated(loaded.factory.settings, table, where)
    who = f"{loaded.kind.noun} {loaded.name!r} of plugin {loaded.distribution} {loaded.version}"
    try:
        part = loaded.factory.build(settings)
    except ConfigError as refused:
        raise ConfigError(f"{where}: {refused}") from refused
    except Exception as failure:  # whatever a plugin raises is contained and named
        raise PluginRefused(f"{where}: {who} failed while being built: {_cause(failure)}") from failure
    if loaded.kind.several and not isinstance(part, (list, tuple)):
        raise PluginRefused(f"{where}: {who} built {type(part).__name__}; it must build a list or tuple of them")
    for each in part if isinstance(part, (list, tuple)) else (part,):
        if lacking := [name for name in _members(loaded.kind.interface) if not _has(each, name)]:
            raise PluginRefused(f"{where}: {who} built {type(each).__name__}, which lacks {listed(lacking)}")
    return part


def _installed(only: Collection[str] | None) -> Iterator[_Source]:
    found = [(entry.dist, entry) for entry in entry_points(group=PROJECT) if entry.dist]
    if only is not None:
        names = {_normal(distribution.name) for distribution, _ in found}
        if missing := [name for name in only if _normal(name) not in names]:
            raise PluginRefused(
                f"plugin {missing[0]!r} is not installed{suggestion(missing[0], names)}; installed: {listed(names)}",
            )
        allowed = {_normal(name) for name in only}
        found = [pair for pair in found if _normal(pair[0].name) in allowed]
    for distribution, entry in found:
        yield _Source(_imported(entry.value, distribution.name), distribution.name, distribution.version)


def _local(module: ModuleType | str) -> _Source:
    loaded = _imported(module, module) if isinstance(module, str) else module
    return _Source(loaded, loaded.__name__, "(not installed)")


def _imported(name: str, distribution: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as failure:  # a plugin may raise anything while it is imported
        raise PluginRefused(
            f"plugin {distribution}: importing its module {name!r} failed: {_cause(failure)}. "
            "Mend or uninstall it, or leave it out of the list of allowed plugins",
        ) from failure


def _check_module(manager: pluggy.PluginManager, source: _Source) -> None:
    """Refuse a module that pluggy would accept and then partly ignore."""
    stated = getattr(source.module, "QUARTERDECK_API", None)
    if stated is None:
        raise PluginRefused(
            f"{source.label} states no API version; write QUARTERDECK_API = {API_VERSION} in its module"
        )
    if type(stated) is not int or stated != API_VERSION:
        raise PluginRefused(
            f"{source.label} is written for plugin API {stated!r}, this Quarterdeck has {API_VERSION}; "
            "install versions of both that agree",
        )
    known = {name for name in vars(Hooks) if name.startswith(_PREFIX)}
    implemented = 0
    for name, value in vars(source.module).items():
        options = manager.parse_hookimpl_opts(source.module, name)
        if options is None and not (name.startswith(_PREFIX) and inspect.isroutine(value)):
            continue
        where = f"{source.label}: {name}"
        if name not in known:
            raise PluginRefused(f"{where}: no hook is called so{suggestion(name, known)}; hooks: {listed(known)}")
        if options is None:
            raise PluginRefused(f"{where} is not marked; write @hookimpl above it")
        if given := [option for option, value in options.items() if value]:
            raise PluginRefused(f"{where}: @hookimpl({listed(given)}) is not allowed; write @hookimpl alone")
        if inspect.iscoroutinefunction(value) or inspect.signature(value).parameters:
            raise PluginRefused(f"{where} must be a plain function without parameters")
        implemented += 1
    if not implemented:
        raise PluginRefused(f"{source.label} declares nothing; implement at least one of {listed(known)}")


def _ask(source: _Source, kind: str, hook: Callable[[], object]) -> Sequence[Factory[Any]]:
    """Call one plugin's implementation of one hook, and check every factory it returns."""
    where = f"{source.label}: {_PREFIX}{kind}"
    try:
        factories = hook()
    except Exception as failure:  # contained and named, like every failure of a plugin
        raise PluginRefused(f"{where} failed: {_cause(failure)}") from failure
    if not isinstance(factories, (list, tuple)):
        raise PluginRefused(f"{where} returned {type(factories).__name__}; it must return a list or tuple of Factory")
    for position, factory in enumerate(factories):
        if wrong := _wrong_with(factory):
            raise PluginRefused(f"{where}[{position}]: {wrong}")
    return factories


def _wrong_with(factory: object) -> str | None:
    if not isinstance(factory, Factory):
        return f"is {type(factory).__name__}; it must be a Factory"
    name: object = factory.name
    settings: object = factory.settings
    summary: object = factory.summary
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        return f"name {name!r}: must be lower-case words joined by single dashes, such as sma-cross"
    if not (isinstance(settings, type) and issubclass(settings, Settings)):
        return f"settings {settings!r}: must be a class derived from quarterdeck.plugin.Settings"
    if settings.model_config.get("extra") != "forbid":
        return f"settings {settings.__name__}: must keep extra='forbid', so that no mistyped key is ignored"
    if not callable(factory.build):
        return f"build {factory.build!r}: must be callable with the settings"
    if not isinstance(summary, str) or not summary.strip():
        return "summary: must say in one line what it is"
    return None


def _by_name(offers: Iterable[Loaded[Any]]) -> dict[str, Loaded[Any]]:
    """Two of one name are an error that names both, never a rename or a winner."""
    found: dict[str, Loaded[Any]] = {}
    for offer in sorted(offers, key=lambda offer: (offer.name, offer.distribution)):
        if first := found.get(offer.name):
            raise PluginRefused(
                f"{offer.kind.noun} {offer.name!r} is declared by {first.distribution} {first.version} and by "
                f"{offer.distribution} {offer.version}; uninstall one, or leave it out of the list of allowed plugins",
            )
        found[offer.name] = offer
    return found


def _members(interface: type) -> Iterator[str]:
    for base in interface.__mro__:
        if base not in {Protocol, Generic, object}:
            yield from (name for name in vars(base) if not name.startswith("_"))


def _has(part: object, name: str) -> bool:
    return inspect.getattr_static(part, name, None) is not None


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _cause(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}"
