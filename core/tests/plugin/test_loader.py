"""Each refusal of the loader is seen once, with the text a user gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import ConfigDict

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, MarketEvent
from quarterdeck.plugin import API_VERSION, ConfigError, Factory, Settings, hookimpl
from quarterdeck.plugin.hookspecs import Hooks
from quarterdeck.plugin.loader import KINDS, PluginRefused, Plugins, build, choose, load


class Silence:
    """A feed that never says anything."""

    is_replay = True
    start_time = 0

    def __init__(self, count: int = 0) -> None:
        self.count = count

    async def open(self, _instruments: Sequence[Instrument]) -> None: ...

    async def close(self) -> None: ...

    def offers(self, *_: object) -> bool:
        return False

    def history(self, *_: object) -> Sequence[Candle]:
        return ()

    async def stream(self, _after: int) -> AsyncIterator[MarketEvent]:
        return
        yield


class SilenceSettings(Settings):
    count: int = 1


class CarelessSettings(SilenceSettings):
    model_config = ConfigDict(extra="ignore")


def silence(name: str = "silence") -> Factory[object]:
    return Factory(name, SilenceSettings, lambda given: Silence(given.count), "Says nothing.")


def malformed(**fields: object) -> Factory[object]:
    """A factory with something in it that its type does not allow."""
    factory = silence()
    for field, value in fields.items():
        object.__setattr__(factory, field, value)
    return factory


def plugin(name: str = "made_up", *, api: object = API_VERSION, **hooks: object) -> ModuleType:
    """A module that is a plugin: by default one that declares one feed."""
    module = ModuleType(name)
    if api is not None:
        module.__dict__["QUARTERDECK_API"] = api
    module.__dict__.update(hooks or {"quarterdeck_feeds": declare(silence())})
    return module


def declare(*factories: object) -> Callable[[], Sequence[object]]:
    @hookimpl
    def hook() -> Sequence[object]:
        return factories

    return hook


def load_only(*modules: ModuleType | str) -> Plugins:
    return load(modules=modules, only=())


def refusal(*modules: ModuleType | str) -> str:
    with pytest.raises(PluginRefused) as refused:
        load_only(*modules)
    return str(refused.value)


# --- what is accepted


def test_kinds_and_hooks_and_fields_are_the_same_list() -> None:
    hooks = [name.removeprefix("quarterdeck_") for name in vars(Hooks) if name.startswith("quarterdeck_")]
    assert list(KINDS) == hooks == list(Plugins.__dataclass_fields__)


def test_a_plugin_offers_what_it_declares() -> None:
    plugins = load_only(plugin())
    feed = plugins.feeds["silence"]
    assert (feed.name, feed.distribution, feed.summary) == ("silence", "made_up", "Says nothing.")
    assert list(plugins.all()) == [feed]
    assert not plugins.exchanges


def test_names_come_in_order() -> None:
    plugins = load_only(plugin(quarterdeck_feeds=declare(silence("zulu"), silence("alpha"), silence("mike-2"))))
    assert list(plugins.feeds) == ["alpha", "mike-2", "zulu"]


def test_a_module_named_twice_is_one_plugin() -> None:
    module = plugin()
    assert list(load_only(module, module).feeds) == ["silence"]


def test_the_same_name_in_two_kinds_is_fine() -> None:
    module = plugin(quarterdeck_feeds=declare(silence("x")), quarterdeck_sizers=declare(silence("x")))
    assert load_only(module).sizers.keys() == {"x"}


# --- what is refused


def test_a_plugin_without_api_version_is_refused() -> None:
    assert "plugin made_up (not installed) states no API version; write QUARTERDECK_API = 1" in refusal(
        plugin(api=None)
    )


@pytest.mark.parametrize("api", [2, 0, "1", True, 1.0])
def test_another_api_version_is_refused(api: object) -> None:
    assert f"is written for plugin API {api!r}, this Quarterdeck has 1" in refusal(plugin(api=api))


def test_a_mistyped_hook_is_refused() -> None:
    text = refusal(plugin(quarterdeck_feed=declare(silence())))
    assert "quarterdeck_feed: no hook is called so (did you mean 'quarterdeck_feeds'?)" in text


def test_a_marked_function_of_any_name_is_refused() -> None:
    assert "my_feeds: no hook is called so" in refusal(plugin(my_feeds=declare(silence())))


def test_a_hook_without_its_mark_is_refused() -> None:
    def unmarked() -> Sequence[object]:
        return [silence()]

    assert "quarterdeck_feeds is not marked; write @hookimpl" in refusal(plugin(quarterdeck_feeds=unmarked))


@pytest.mark.parametrize(
    ("option", "mark"),
    [
        ("tryfirst", hookimpl(tryfirst=True)),
        ("trylast", hookimpl(trylast=True)),
        ("hookwrapper", hookimpl(hookwrapper=True)),
        ("wrapper", hookimpl(wrapper=True)),
        ("optionalhook", hookimpl(optionalhook=True)),
        ("specname", hookimpl(specname="quarterdeck_feeds")),
    ],
)
def test_hook_options_are_refused(option: str, mark: Callable[[object], object]) -> None:
    def hook() -> Sequence[object]:
        return [silence()]

    marked = mark(hook)
    assert f"quarterdeck_feeds: @hookimpl({option}) is not allowed" in refusal(plugin(quarterdeck_feeds=marked))


def test_a_hook_with_parameters_is_refused() -> None:
    @hookimpl
    def hook(config: object) -> Sequence[object]:
        return [config]

    assert "must be a plain function without parameters" in refusal(plugin(quarterdeck_feeds=hook))


def test_an_async_hook_is_refused() -> None:
    @hookimpl
    async def hook() -> Sequence[object]:
        return [silence()]

    assert "must be a plain function without parameters" in refusal(plugin(quarterdeck_feeds=hook))


def test_a_plugin_that_declares_nothing_is_refused() -> None:
    assert "declares nothing; implement at least one of quarterdeck_exchanges" in refusal(plugin(unrelated=1))


def test_a_hook_that_raises_is_refused_with_its_cause() -> None:
    @hookimpl
    def hook() -> Sequence[object]:
        raise KeyError("gone")

    text = refusal(plugin("good"), plugin("bad", quarterdeck_feeds=hook))
    assert text == "plugin bad (not installed): quarterdeck_feeds failed: KeyError: 'gone'"


@pytest.mark.parametrize("result", [None, "feed", {}, silence()])
def test_a_hook_that_returns_something_else_is_refused(result: object) -> None:
    @hookimpl
    def hook() -> object:
        return result

    text = refusal(plugin(quarterdeck_feeds=hook))
    assert f"quarterdeck_feeds returned {type(result).__name__}; it must return a list or tuple" in text


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        (Silence, "quarterdeck_feeds[1]: is type; it must be a Factory"),
        (malformed(name="Silence"), "name 'Silence': must be lower-case words"),
        (malformed(name="si_lence"), "name 'si_lence': must be"),
        (malformed(name="-x"), "name '-x': must be"),
        (malformed(name="2x"), "name '2x': must be"),
        (malformed(name=""), "name '': must be"),
        (malformed(name=1), "name 1: must be"),
        (malformed(settings=dict), "must be a class derived from quarterdeck.plugin.Settings"),
        (malformed(settings=SilenceSettings()), "must be a class derived from quarterdeck.plugin.Settings"),
        (malformed(settings=CarelessSettings), "CarelessSettings: must keep extra='forbid'"),
        (malformed(summary=" "), "summary: must say in one line what it is"),
        (malformed(build=None), "build None: must be callable"),
    ],
)
def test_a_malformed_factory_is_refused(factory: object, text: str) -> None:
    assert text in refusal(plugin(quarterdeck_feeds=declare(silence("good"), factory)))


def test_two_factories_of_one_name_are_refused_and_both_owners_named() -> None:
    text = refusal(plugin("first"), plugin("second"))
    assert "feed 'silence' is declared by first (not installed) and by second (not installed)" in text


def test_one_plugin_declaring_a_name_twice_is_refused() -> None:
    text = refusal(plugin(quarterdeck_feeds=declare(silence(), silence())))
    assert "is declared by made_up (not installed) and by made_up (not installed)" in text


# --- installed distributions


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Installs a one-module distribution with an entry point, for this test only."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(distribution: str, source: str) -> None:
        module = distribution.replace("-", "_").lower()
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[quarterdeck]\nx = {module}\n")

    return install


SOURCE = """
from quarterdeck.plugin import Factory, Settings, hookimpl
QUARTERDECK_API = 1
@hookimpl
def quarterdeck_feeds():
    return [Factory("{name}", Settings, object, "An example.")]
"""


def test_an_installed_plugin_is_found(install: Callable[[str, str], None]) -> None:
    install("Acme-Feed", SOURCE.format(name="acme"))
    loaded = load(only=["acme_feed"]).feeds["acme"]
    assert (loaded.distribution, loaded.version) == ("Acme-Feed", "1.2")


def test_two_distributions_with_one_name_are_both_named(install: Callable[[str, str], None]) -> None:
    install("acme-one", SOURCE.format(name="acme"))
    install("acme-two", SOURCE.format(name="acme"))
    with pytest.raises(PluginRefused, match=r"declared by acme-one 1.2 and by acme-two 1.2; uninstall one"):
        load(only=["acme-one", "acme-two"])
    assert load(only=["acme-two"]).feeds.keys() == {"acme"}


def test_a_module_that_fails_to_import_is_named_with_its_cause(install: Callable[[str, str], None]) -> None:
    install("acme-broken", "import no_such_module_anywhere\n")
    with pytest.raises(PluginRefused, match=r"acme-broken.*ModuleNotFoundError.*no_such_module_anywhere") as refused:
        load(only=["acme-broken"])
    assert isinstance(refused.value.__cause__, ModuleNotFoundError)


def test_what_is_not_allowed_is_not_even_imported(install: Callable[[str, str], None]) -> None:
    install("acme-broken", "raise SystemError('imported')\n")
    load(only=[])


def test_allowing_what_is_not_installed_is_refused(install: Callable[[str, str], None]) -> None:
    install("acme-feed", SOURCE.format(name="acme"))
    with pytest.raises(PluginRefused, match=r"plugin 'acme-fed' is not installed \(did you mean 'acme-feed'\?\)"):
        load(only=["acme-fed"])


def test_a_module_can_be_named_by_its_import_name(install: Callable[[str, str], None]) -> None:
    install("acme-feed", SOURCE.format(name="acme"))
    assert load_only("acme_feed").feeds.keys() == {"acme"}
    assert "importing its module 'acme_nothing' failed" in refusal("acme_nothing")


# --- choosing and building


def test_choosing_what_is_not_installed_lists_what_is() -> None:
    feeds = load_only(plugin(quarterdeck_feeds=declare(silence("file"), silence("synthetic")))).feeds
    assert choose(feeds, "file", "[feed] use") is feeds["file"]
    with pytest.raises(ConfigError) as refused:
        choose(feeds, "fiel", "[feed] use")
    assert str(refused.value).startswith(
        "[feed] use = 'fiel': not installed (did you mean 'file'?); installed: file, synthetic",
    )
    with pytest.raises(ConfigError, match="installed: none"):
        choose(load_only(plugin()).sizers, "x", "[sizing] use")


def built(make: Callable[..., object], kind: str = "feeds", table: dict[str, object] | None = None) -> object:
    factory = Factory("x", SilenceSettings, make, "An example.")
    module = plugin()
    del module.__dict__["quarterdeck_feeds"]
    module.__dict__[f"quarterdeck_{kind}"] = declare(factory)
    offered = getattr(load_only(module), kind)
    return build(offered["x"], table or {}, "[feed.settings]")


def test_a_part_is_built_from_its_table() -> None:
    part = built(lambda settings: Silence(settings.count), table={"count": 7})
    assert isinstance(part, Silence)
    assert part.count == 7


def test_a_wrong_table_is_refused_before_building() -> None:
    def never(settings: object) -> object:
        raise AssertionError(settings)

    with pytest.raises(ConfigError, match=r"\[feed.settings\] coutn: unknown key \(did you mean 'count'\?\)"):
        built(never, table={"coutn": 7})


def test_a_plugin_that_fails_to_build_is_named() -> None:
    with pytest.raises(PluginRefused, match=r"feed 'x' of plugin made_up .* while being built: ZeroDivisionError") as e:
        built(lambda _: 1 / 0)
    assert isinstance(e.value.__cause__, ZeroDivisionError)


def test_a_plugin_may_refuse_its_settings() -> None:
    def refuse(_: object) -> object:
        raise ConfigError("count is odd")

    with pytest.raises(ConfigError, match=r"^\[feed.settings\]: count is odd$"):
        built(refuse)


def test_a_part_without_its_interface_is_refused() -> None:
    with pytest.raises(
        PluginRefused, match="built object, which lacks close, history, is_replay, offers, open, start_time, stream"
    ):
        built(lambda _: object())


def test_risk_rules_are_built_as_a_list() -> None:
    class Rule:
        name = "rule"

        def check(self, draft: object, view: object) -> None: ...

    with pytest.raises(PluginRefused, match="built Rule; it must build a list or tuple"):
        built(lambda _: Rule(), "risk_rules")
    with pytest.raises(PluginRefused, match="built Rule, which lacks limits"):
        built(lambda _: [Rule()], "risk_rules")
