"""The list of commands is true, and costs next to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer

from core.tests.cli.conftest import Run
from quarterdeck.cli import lazy

HEAVY = ("grpc", "google", "sqlalchemy", "pydantic", "structlog", "rich", "pluggy", "tenacity", "asyncio", "pyarrow")

ENTRIES = [(name, entry) for entries in lazy.SECTIONS.values() for name, entry in entries.items()]


@pytest.mark.parametrize(("name", "entry"), ENTRIES, ids=[name for name, _ in ENTRIES])
def test_what_the_list_says_of_a_command_is_what_the_command_says(name: str, entry: lazy.Entry) -> None:
    command = lazy.load(name)
    assert (command.help or "").partition("\n")[0] == entry.summary


@pytest.mark.parametrize("name", [name for name, _ in ENTRIES])
def test_every_command_takes_json_and_those_that_ask_a_daemon_say_which(name: str) -> None:
    command = lazy.load(name)
    wanted = (
        {"as_json"}
        if name in {"demo", "serve", "config", "journal", "plugin", "simulate"}
        else {"as_json", "address", "account"}
    )
    for each in getattr(command, "commands", {name: command}).values():
        assert {param.name for param in each.params} & {"as_json", "address", "account"} == wanted, each.name


def test_the_list_is_imported_without_anything_heavy() -> None:
    code = f"import json, sys, quarterdeck.cli; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_help_takes_less_than_a_third_of_a_second_of_cpu() -> None:
    code = "import sys; sys.argv = ['quarterdeck', '--help']; from quarterdeck.cli import main; main()"
    best = min(_cpu_seconds(code) for _ in range(3))
    assert best <= 0.3


def _cpu_seconds(code: str) -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_without_a_command_help_is_shown(run: Run) -> None:
    done = run()
    assert done.code == 0
    for section, entries in lazy.SECTIONS.items():
        assert f"{section}:" in done.out
        assert all(name in done.out for name in entries)


def test_the_version_is_that_of_the_distribution(run: Run) -> None:
    assert run("--version").out == f"{version('quarterdeck')}\n"


@pytest.mark.parametrize("name", ["order", "bot", "risk", "config", "plugin"])
def test_a_group_alone_shows_its_commands(run: Run, name: str) -> None:
    done = run(name)
    assert (done.code, done.err) == (0, "")
    assert "Commands:" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("statu",), "No such command 'statu'. Did you mean 'status'?"),
        (("status", "--jsno"), "No such option: --jsno (Possible options: --json)"),
        (("order", "create", "btcusdt", "bid"), "'bid' is not one of 'buy', 'sell'"),
        (("size", "btcusdt"), "Missing option '--stop'"),
        (("candles", "btcusdt", "--interval", "5x"), "'5x' is not an interval such as 30s, 5m, 1h or 1d"),
        (("fills", "--limit", "0"), "--limit"),
    ],
)
def test_a_wrong_command_line_is_told_in_a_sentence_with_a_hint(run: Run, words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.code == 2
    assert said in done.err
    assert "--help`" in done.err
    assert done.out == ""


def test_a_wrong_command_line_with_json_is_an_object_too(run: Run) -> None:
    done = run("statu", "--json")
    assert done.code == 2
    assert done.json["error"]["code"] == "INVALID_ARGUMENT"
    assert done.json["error"]["reason"] == "INVALID_COMMAND"
    assert "Did you mean 'status'?" in done.json["error"]["message"]


def test_an_interrupted_prompt_ends_with_a_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def abort(_: object) -> None:
        raise typer.Abort

    monkeypatch.setattr(lazy.Commands, "invoke", lambda self, ctx: abort(ctx))
    assert run("status").code == 1
