"""Commands that other distributions add: found without importing them, refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest

from core.tests.cli.conftest import Run
from quarterdeck.cli import installed
from quarterdeck.cli.problem import Problem

GREETER = """
import typer
from quarterdeck.plugin import ConfigError
app = typer.Typer()

@app.command()
def greet(name: str, context: typer.Context) -> None:
    if name == "nobody":
        raise ConfigError("name: 'nobody' can't be greeted")
    print(f"hello {name}, {context.obj.as_json}")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path to install into."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, distribution: str, **commands: str) -> None:
    info = site / f"{distribution}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\nSummary: Greets\n")
    lines = [f"{name.replace('_', '-')} = {module}" for name, module in commands.items()]
    (info / "entry_points.txt").write_text("\n".join(["[quarterdeck.commands]", *lines]) + "\n")


def test_a_command_of_another_distribution_is_listed_and_run(site: Path, run: Run) -> None:
    (site / "greeter_cli.py").write_text(GREETER)
    install(site, "greeter", greet_me="greeter_cli", greet_you="greeter_cli")
    shown = run("--help").out
    assert "Plugins:" in shown
    assert "greet-me, greet-you" in shown
    assert "greeter_cli" not in sys.modules
    assert run("greet-me", "Ann").out == "hello Ann, False\n"
    assert run("--json", "greet-you", "Bob").out == "hello Bob, True\n"


def test_what_it_refuses_is_told_in_a_sentence(site: Path, run: Run) -> None:
    (site / "greeter_two.py").write_text(GREETER)
    install(site, "greeter", greet="greeter_two")
    done = run("greet", "nobody", "--json")
    assert done.code == 2  # it takes no --json itself
    done = run("greet", "nobody")
    assert (done.code, done.err) == (1, "Error: name: 'nobody' can't be greeted\n")
    assert "Did you mean 'greet'" in run("gret").err


def test_nothing_overrides_a_command_of_quarterdecks_own(site: Path, run: Run) -> None:
    install(site, "thief", status="thief_cli", again="thief_cli")
    install(site, "rival", again="rival_cli")
    shown = " ".join(run("--help").out.split())
    assert "not usable: plugin thief 1.2 declares the command 'status', which is Quarterdeck's own" in shown
    assert "thief_cli" not in run("status", "--help").out
    done = run("again")
    assert done.code == 1
    assert "command 'again' is declared by plugin" in done.err
    assert "rival 1.2" in done.err
    assert "thief 1.2" in done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ValueError('boom')", "importing its module 'broken_{n}' failed: ValueError: boom"),
        ("app = 3", "module 'broken_{n}' has no typer app called `app`"),
    ],
)
def test_a_broken_one_is_named(site: Path, run: Run, text: str, said: str) -> None:
    number = abs(hash(text))
    (site / f"broken_{number}.py").write_text(text)
    install(site, "broken", crack=f"broken_{number}")
    done = run("crack")
    assert done.code == 1
    assert f"plugin broken 1.2: {said.format(n=number)}" in done.err


def test_a_name_that_can_be_no_command_is_refused(site: Path) -> None:
    install(site, "odd")
    distribution = PathDistribution(site / "odd-1.2.dist-info")
    entry = EntryPoint("Not A Name", "odd_cli", installed.GROUP)._for(distribution)  # type: ignore[attr-defined]  # as metadata does
    (offer,) = installed.offers((), [entry])
    with pytest.raises(Problem, match="must be lower-case words joined by single dashes"):
        installed.load(offer)


def test_help_stays_cheap_with_many_of_them(site: Path) -> None:
    for number in range(30):
        install(site, f"many{number}", **{f"many_{number}": "nowhere"})
    code = "import sys; sys.argv = ['quarterdeck', '--help']; from quarterdeck.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def cpu() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True, env=environment)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(cpu() for _ in range(3)) <= 0.3
