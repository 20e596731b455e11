"""Owns a daemon that notes when an order passes its stations: `python bench/staged.py MARKS serve --config FILE`.

One order at a time, so that each note belongs to the order that came last. The clock is the machine's monotonic one.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from quarterdeck.cli import main
from quarterdeck.daemon.event_log import EventLog
from quarterdeck.rpc.servicers.orders import OrderServicer
from quarterdeck_exchange_bybit.ear import Ear
from quarterdeck_exchange_bybit.exchange import BybitExchange
from quarterdeck_exchange_bybit.line import Line
from quarterdeck_exchange_bybit.rest import Rest

#: A station, and when it was passed.
marks: list[tuple[str, int]] = []


def note(owner: type, method: str, station: str, name: Callable[..., str] = lambda *_: "") -> None:
    """Have every call of a method noted as it begins; `name` says more of it from its arguments."""
    original = getattr(owner, method)

    @functools.wraps(original)
    def noted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the method takes and gives
        marks.append((f"{station}{name(*args)}", time.monotonic_ns()))
        return original(*args, **kwargs)

    async def noted_task(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the method takes and gives
        return await noted(*args, **kwargs)

    setattr(owner, method, noted_task if inspect.iscoroutinefunction(original) else noted)


def note_sending() -> None:
    """Have it noted when a message has been handed to the socket; the event loop writes at the end of its round."""
    original = Line.send

    async def noted(line: Line, text: str) -> None:
        await original(line, text)
        marks.append(("socket", time.monotonic_ns()))

    Line.send = noted  # type: ignore[method-assign, assignment]  # what this module is for


def run(path: Path, arguments: list[str]) -> None:
    """Be `quarterdeck` with these arguments; write the notes when it ends."""
    note(OrderServicer, "CreateOrder", "received")
    note(EventLog, "extend", "durable ", lambda _, entries: ",".join(entry.type for entry in entries))
    note(BybitExchange, "place", "asked ", lambda _, order: order.link_id)
    note(Rest, "_call", "thread ", lambda _, method, *_rest: method)
    note(HTTPConnection, "send", "socket")
    note_sending()
    note(Line, "_take", "frame ", lambda line, *_: line.name)
    note(Ear, "hear", "heard ", lambda _, topic: topic.name)
    sys.argv = ["quarterdeck", *arguments]
    try:
        main()
    finally:
        path.write_text(json.dumps(marks))


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
