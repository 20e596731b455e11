"""Runs the benchmarks: `python -m bench [control|flow|engine|bybit|kill|market ...]`, all of them without a name."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import bybit, control, engine, flow, kill, market

Say = Callable[[str], None]


def _engine(_: Path, say: Say) -> dict[str, Any]:
    say("the engine alone")
    return engine.run()


PARTS: dict[str, Callable[[Path, Say], dict[str, Any]]] = {
    "engine": _engine,
    "control": control.run,
    "flow": flow.run,
    "bybit": bybit.run,
    "kill": kill.run,
    "market": market.run,
}


def main(names: list[str]) -> None:
    """Measure the named parts, print a table, and JSON on the last line."""
    unknown = set(names) - set(PARTS)
    if unknown:
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    figures: dict[str, Any] = {}
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="quarterdeck-bench-"))
    try:
        for name in names or PARTS:
            figures[name] = PARTS[name](folder / name, lambda what: print(f"… {what}", file=sys.stderr, flush=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table(figures))
    print(f"took {time.monotonic() - begun:.0f} s")
    print(json.dumps(figures))


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    lines: list[str] = []
    if "control" in figures:
        lines += [
            "control plane, beside a bare grpc.aio server on uvloop under the same client",
            f"  {'':30}{'bare/s':>10}{'ours/s':>10}{'ratio':>8}{'p50 ms':>16}{'p99 ms':>16}{'server µs a call':>20}",
        ]
        for part, label in (("read", "read"), ("submit", "durable order"), ("submit_postgresql", "PostgreSQL order")):
            for row in figures["control"][part]:
                bare, ours = row["bare"], row["ours"]
                lines.append(
                    f"  {label + ', ' + str(row['in_flight']) + ' in flight':30}"
                    f"{bare['rate']:>10.0f}{ours['rate']:>10.0f}{row['rate_ratio']:>8.2f}"
                    f"{bare['p50_ms']:>8.2f}{ours['p50_ms']:>8.2f}{bare['p99_ms']:>8.2f}{ours['p99_ms']:>8.2f}"
                    f"{bare['cpu_us']:>10.0f}{ours['cpu_us']:>10.0f}",
                )
        for row in figures["control"]["fan_out"]:
            lines.append(
                f"  {'events to ' + str(row['readers']):30}"
                f"{row['bare']['rate']:>10.0f}{row['ours']['rate']:>10.0f}{row['rate_ratio']:>8.2f}",
            )
    for name in ("flow", "engine", "bybit", "kill", "market"):
        if name in figures:
            lines.append(name)
            lines += [f"  {key}: {value}" for key, value in figures[name].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
