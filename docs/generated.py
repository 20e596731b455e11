"""Owns what the generators of this folder share: blocks inside a page, `--check` and `--write`.

A generator is a module `docs/generate_<something>.py` with a `PAGE` and a `render(text)` that returns the page anew.
What people wrote around the generated blocks stays as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from difflib import unified_diff
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent


def with_block(text: str, name: str, body: str) -> str:
    """The page with what stands between `<!-- generated: name -->` and `<!-- end: name -->` replaced.

    Raises:
        ValueError: the page has no such block, or has it twice.
    """
    begin, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->\n"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the page must have {begin.strip()} and {end.strip()} once each, in this order")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{body.strip()}\n\n{end}{after}"


def difference(page: Path, render: Callable[[str], str]) -> str:
    """What `--write` would change, as a diff; empty when the page is current."""
    old = page.read_text(encoding="utf-8")
    lines = old.splitlines(keepends=True), render(old).splitlines(keepends=True)
    return "".join(unified_diff(*lines, page.name, f"{page.name}, generated"))


def main(page: Path, render: Callable[[str], str], arguments: Sequence[str] | None = None) -> int:
    """Check or write one page, as the command line says; 1 when a check finds it stale."""
    parser = argparse.ArgumentParser(description=f"Generate the blocks of docs/{page.name}.")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--check", action="store_true", help="fail if the page is not current, and show why")
    choice.add_argument("--write", action="store_true", help="write the page anew")
    if parser.parse_args(arguments).write:
        page.write_text(render(page.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    stale = difference(page, render)
    sys.stdout.write(stale)
    return 1 if stale else 0
