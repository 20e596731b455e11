"""Owns chance: every draw of a run comes from dice that its seed and a purpose name, so that no two purposes mix."""

from __future__ import annotations

from random import Random


def dice(seed: int, purpose: str) -> Random:
    """Dice for one purpose of one run; the same whenever they are asked for."""
    return Random(f"{seed} {purpose}")  # noqa: S311 - what is drawn must be the same every time, and guards nothing
