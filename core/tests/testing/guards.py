"""Owns the list of what a suite checks, for tests that break each on purpose."""

from __future__ import annotations


def guards_of(suite: type) -> list[str]:
    """The names of a suite's tests."""
    return [name for name in vars(suite) if name.startswith("test_")]
