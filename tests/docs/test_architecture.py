"""Guards that ARCHITECTURE.md tells of this code: files exist, each step hands on to the next, the tree is whole."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import NamedTuple

import pytest

from tests.repository import ROOT, files

PAGE = (ROOT / "ARCHITECTURE.md").read_text()
CORE = "core/src/quarterdeck"
PAPER = "plugins/exchange-paper/src/quarterdeck_exchange_paper"
BYBIT = "plugins/exchange-bybit/src/quarterdeck_exchange_bybit"


class Handover(NamedTuple):
    """How a step of a story is reached: `name`, which its file defines, is used by the file that goes before it."""

    file: str
    name: str
    used_by: str


CANDLE = (
    Handover("plugins/feed-synthetic/src/quarterdeck_feed_synthetic/feed.py", "stream", f"{CORE}/daemon/feed_link.py"),
    Handover(f"{CORE}/daemon/feed_link.py", "FeedLink", f"{CORE}/daemon/core.py"),
    Handover(f"{CORE}/matching/path.py", "legs_of", f"{CORE}/matching/matcher.py"),
    Handover(f"{CORE}/daemon/loop.py", "take", f"{CORE}/daemon/feed_link.py"),
    Handover(f"{CORE}/engine/machine.py", "step", f"{CORE}/daemon/loop.py"),
    Handover(
        "plugins/strategy-sma-cross/src/quarterdeck_strategy_sma_cross/strategy.py",
        "on_candle",
        f"{CORE}/engine/bots.py",
    ),
    Handover(f"{CORE}/daemon/market_data.py", "see", f"{CORE}/daemon/feed_link.py"),
)
ORDER = (
    Handover(f"{CORE}/engine/bots.py", "signal", f"{CORE}/engine/machine.py"),
    Handover(f"{CORE}/rpc/servicers/orders.py", "OrderServicer", f"{CORE}/rpc/board.py"),
    Handover(f"{CORE}/engine/pipeline.py", "evaluate", f"{CORE}/engine/bots.py"),
    Handover(f"{CORE}/engine/orders.py", "record", f"{CORE}/engine/bots.py"),
    Handover(f"{CORE}/engine/turn.py", "emit", f"{CORE}/engine/orders.py"),
    Handover(f"{CORE}/engine/fold.py", "fold", f"{CORE}/engine/turn.py"),
    Handover(f"{CORE}/daemon/loop.py", "ask", f"{CORE}/daemon/deck.py"),
    Handover(f"{CORE}/daemon/records.py", "commit", f"{CORE}/daemon/loop.py"),
    Handover(f"{CORE}/daemon/journal/journal.py", "append", f"{CORE}/daemon/records.py"),
    Handover(f"{CORE}/daemon/order_link.py", "act", f"{CORE}/daemon/core.py"),
    Handover(f"{PAPER}/exchange.py", "place", f"{CORE}/daemon/order_link.py"),
    Handover(f"{BYBIT}/exchange.py", "place", f"{CORE}/daemon/order_link.py"),
    Handover(f"{BYBIT}/ways.py", "Ways", f"{BYBIT}/exchange.py"),
    Handover(f"{CORE}/engine/reports.py", "apply_report", f"{CORE}/engine/machine.py"),
    Handover(f"{CORE}/domain/position.py", "changes_by_fill", f"{CORE}/engine/fold.py"),
    Handover(f"{CORE}/domain/ledger.py", "post", f"{CORE}/engine/fold.py"),
    Handover(f"{CORE}/engine/protection.py", "protect", f"{CORE}/engine/machine.py"),
    Handover(f"{CORE}/engine/stops.py", "wanted_of", f"{CORE}/engine/protection.py"),
    Handover(f"{CORE}/daemon/event_log.py", "extend", f"{CORE}/daemon/records.py"),
    Handover(f"{CORE}/rpc/servicers/events.py", "EventServicer", f"{CORE}/rpc/board.py"),
    Handover("clients/python/src/quarterdeck/client/replica.py", "Replica", f"{CORE}/cli/watch.py"),
)
LIFE = (
    Handover(f"{CORE}/daemon/app.py", "run", f"{CORE}/cli/serve.py"),
    Handover(f"{CORE}/daemon/process.py", "harden", f"{CORE}/daemon/app.py"),
    Handover(f"{CORE}/daemon/berth.py", "Berth", f"{CORE}/daemon/app.py"),
    Handover(f"{CORE}/daemon/apart.py", "Claims", f"{CORE}/daemon/app.py"),
    Handover(f"{CORE}/daemon/intake.py", "take_in", f"{CORE}/daemon/core.py"),
    Handover(f"{CORE}/rpc/routes.py", "Routes", f"{CORE}/rpc/server.py"),
    Handover(f"{CORE}/daemon/core.py", "take_up", f"{CORE}/daemon/berth.py"),
    Handover(f"{CORE}/daemon/steps.py", "Persistently", f"{CORE}/daemon/core.py"),
    Handover(f"{CORE}/engine/obstacles.py", "Obstacle", f"{CORE}/daemon/steps.py"),
    Handover(f"{CORE}/daemon/relisting.py", "Relisting", f"{CORE}/daemon/core.py"),
    Handover(f"{CORE}/engine/listing.py", "list_instruments", f"{CORE}/engine/machine.py"),
    Handover(f"{CORE}/daemon/stopping.py", "stand_down", f"{CORE}/daemon/core.py"),
    Handover(f"{CORE}/daemon/systemd.py", "notify", f"{CORE}/daemon/app.py"),
    Handover(f"{CORE}/daemon/pulse.py", "Pulse", f"{CORE}/daemon/core.py"),
    Handover(f"{CORE}/engine/checks.py", "check_state", f"{CORE}/daemon/doctor.py"),
    Handover(f"{CORE}/daemon/doctor.py", "Doctor", f"{CORE}/daemon/core.py"),
)
STORIES = {"Start and stop": LIFE, "The life of one candle": CANDLE, "The life of one order": ORDER}


def chapter(heading: str) -> str:
    """What stands under a heading."""
    _, _, rest = PAGE.partition(f"\n## {heading}\n")
    assert rest, f"ARCHITECTURE.md has no chapter {heading!r}"
    return rest.partition("\n## ")[0]


def steps(heading: str) -> list[str]:
    """The numbered steps of a story."""
    return re.split(r"^\d+\. ", chapter(heading), flags=re.MULTILINE)[1:]


def paths(text: str) -> list[str]:
    """The paths named in a text."""
    return [word for word in re.findall(r"`([^`\s]+)`", text) if "/" in word and "*" not in word]


@cache
def tree(path: str) -> ast.Module:
    """A file's syntax."""
    return ast.parse((ROOT / path).read_text())


def defined(path: str) -> set[str]:
    """Names a file gives to functions, methods and classes."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in ast.walk(tree(path)) if isinstance(node, kinds)}


def used(path: str) -> set[str]:
    """Names a file speaks of."""
    nodes = list(ast.walk(tree(path)))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }


def test_every_path_exists() -> None:
    named = paths(PAGE)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("heading", STORIES)
def test_every_step_names_its_file_and_every_file_is_reached(heading: str) -> None:
    for step in steps(heading):
        assert any(path.endswith(".py") for path in paths(step)), step
    assert paths(chapter(heading)) == [each.file for each in STORIES[heading]]


@pytest.mark.parametrize("each", CANDLE + ORDER + LIFE, ids=lambda each: f"{each.file}-{each.name}")
def test_each_step_is_reached_as_told(each: Handover) -> None:
    assert each.name in defined(each.file), f"{each.file} does not define {each.name}"
    assert each.name in used(each.used_by), f"{each.used_by} does not use {each.name}"


def test_what_the_stories_speak_of_is_in_their_files() -> None:
    told = "".join(chapter(heading) for heading in STORIES)
    sources = "\n".join((ROOT / path).read_text() for path in paths(told))
    words = set(re.findall(r"`([A-Z]\w+)`", told))
    assert words >= {"Candle", "Signal", "OrderPrepared"}
    assert sorted(word for word in words if word not in sources) == []


def test_the_tree_is_whole() -> None:
    """Every package of the core, and every other folder with Python sources that is not made of plugins."""
    told = {path.rstrip("/") for path in paths(chapter("The tree"))}
    core = {f"{CORE}/{path.parent.name}" for path in (ROOT / CORE).glob("*/__init__.py")}
    assert core - told == set()
    first = {path.relative_to(ROOT).parts[0] for path in files() if path.suffix in {".py", ".proto"}}
    folders = {folder for folder in first if (ROOT / folder).is_dir()}
    assert folders - {path.split("/")[0] for path in told} - {"bench", "docs", "examples"} == set()


def test_every_bundled_plugin_is_in_the_readme() -> None:
    folders = {path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml")}
    linked = set(re.findall(r"\(plugins/([a-z-]+)(?:/README\.md)?\)", (ROOT / "README.md").read_text()))
    assert folders == linked
