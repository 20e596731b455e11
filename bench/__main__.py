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
    finally:  # what was measured before something failed is told as well
        shutil.rmtree(folder, ignore_errors=True)
        print(table(figures))
        print(f"took {time.monotonic() - begun:.0f} s")
        print(json.dumps(figures), flush=True)


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    lines: list[str] = []
    if "control" in figures:
        lines += [
            "control plane, beside bare grpc.aio servers under the same client, the fastest and a plain one",
            "  "
            + 30 * " "
            + "   bare/s  plain/s   ours/s      ratios               p50 ms      ratios            server µs",
        ]
        for part, label in (("read", "read"), ("submit", "durable order"), ("submit_postgresql", "PostgreSQL order")):
            for row in figures["control"][part]:
                lines.append(f"  {label + ', ' + str(row['in_flight']) + ' in flight':30}" + _beside(row))
        for row in figures["control"]["fan_out"]:
            lines.append(f"  {'events to ' + str(row['readers']):30}" + _beside(row))
    for name in ("flow", "engine", "bybit", "kill", "market"):
        if name in figures:
            lines.append(name)
            lines += [f"  {key}: {value}" for key, value in figures[name].items()]
    return "\n".join(lines)


def _beside(row: dict[str, Any]) -> str:
    """One measurement: the limits, ours, and the ratios to each."""
    limits = [side for side in ("bare", "plain") if side in row]

    def of(figure: str, form: str, width: int) -> str:
        told = [format(row[side][figure], form) if side in row else "" for side in ("bare", "plain", "ours")]
        return "".join(f"{each:>{width}}" for each in told)

    def ratios(figure: str) -> str:
        return ", ".join(f"{row['ratio'][side][figure]:.2f}" for side in limits)

    text = of("rate", ".0f", 9) + f"{ratios('rate'):>12}"
    if "p50_ms" in row["ours"]:
        text += of("p50_ms", ".2f", 7) + f"{ratios('p50_ms'):>12}" + of("cpu_us", ".0f", 7)
    return text


if __name__ == "__main__":
    main(sys.argv[1:])
