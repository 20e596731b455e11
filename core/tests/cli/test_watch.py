"""What `watch` shows: everything at one moment, and then again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from rich.console import Console

from clients.python.tests.fake_daemon import FakeDaemon
from clients.python.tests.messages import envelope
from core.tests.cli.conftest import Run
from core.tests.cli.test_reading import world
from quarterdeck.cli import watch as watching
from quarterdeck.cli.output import Output
from quarterdeck.cli.screen import Look, drawn, in_a_line
from quarterdeck.client import Client, Replica
from quarterdeck.v1 import event_service_pb2

__all__ = ["world"]


@pytest.fixture
def busy(world: FakeDaemon) -> FakeDaemon:
    """A daemon where nine things happened."""
    world.record(*(envelope(each) for each in range(1, 10)))
    world.answers["ListEvents"] = lambda request: event_service_pb2.ListEventsResponse(
        envelopes=world.journal[request.after_sequence :], snapshot_sequence=len(world.journal)
    )
    return world


def test_one_look_is_one_frame(busy: FakeDaemon, run: Run) -> None:
    done = run("watch", "--once")
    assert (done.code, done.err) == (0, "")
    for text in (
        "PAPER",
        "safe",
        "10,100.25 USDT",
        "+99.75",
        "2 % (small)",
        "60,123.333",
        "sma-cross",
        "DaemonStopped",
    ):
        assert text in done.out


def test_one_look_as_json_has_everything(busy: FakeDaemon, run: Run) -> None:
    frame = run("watch", "--once", "--json").json
    assert sorted(frame) == ["bots", "connected", "events", "orders", "overview", "positions", "status"]
    assert frame["overview"]["equity"] == "10100.25"
    assert [each["name"] for each in frame["orders"]] == ["accounts/main/orders/a", "accounts/main/orders/b"]
    assert [each["sequence"] for each in frame["events"]] == list(range(1, 10))


async def test_a_look_remembers_what_happened_before_and_sees_what_happens(busy: FakeDaemon) -> None:
    async with Client.connect(busy.target) as client, Replica(client) as replica:
        look = Look(client, replica)
        await look.remember()
        busy.record(envelope(10))
        await replica.wait_for(lambda state: state.sequence == 10, timeout=5)
        assert [event.sequence for event in (await look.frame()).events] == list(range(1, 11))


async def frames(daemon: FakeDaemon, out: Output, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch until so many frames were shown."""
    monkeypatch.setattr(watching, "TOLD_EVERY", 0.01)
    monkeypatch.setattr(watching, "DRAWN_EVERY", 0.01)
    end, left = asyncio.Event(), count

    def footer() -> str:
        tell(None)
        return "the end is near"

    def tell(frame: Any) -> None:
        nonlocal left
        left -= 1
        if frame is not None:
            out.answer(frame.as_json(), in_a_line(frame))
        if not left:
            end.set()

    async with Client.connect(daemon.target) as client, Replica(client) as replica:
        await watching.watched(out, Look(client, replica), end, footer=footer, tell=tell)


async def test_where_nothing_can_be_drawn_each_look_is_a_line(
    busy: FakeDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await frames(busy, Output(as_json=False), 2, monkeypatch)
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert "equity 10,100.25 USDT" in first
    assert "-0.5 btcusdt" in first
    assert "risk 2 %" in first


async def test_as_json_each_look_is_an_object_on_a_line(
    busy: FakeDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await frames(busy, Output(as_json=True), 3, monkeypatch)
    assert [json.loads(line)["status"]["state"] for line in capsys.readouterr().out.splitlines()] == ["SAFE"] * 3


async def test_on_a_terminal_the_frame_is_drawn_again_and_again(
    busy: FakeDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Output(as_json=False)
    out.console = Console(force_terminal=True, width=120, height=30)
    await frames(busy, out, 2, monkeypatch)
    shown = capsys.readouterr().out
    assert shown.count("the end is near") >= 2
    assert "Quarterdeck" in shown


async def test_a_frame_fits_its_terminal(busy: FakeDaemon) -> None:
    async with Client.connect(busy.target) as client, Replica(client) as replica:
        look = Look(client, replica)
        await look.remember()
        frame = await look.frame()
    for height in (20, 24, 50):
        lines = Console(width=150, height=height).render_lines(drawn(frame, height, "footer"))
        assert len(lines) <= height
