"""Owns the table of methods in docs/api.md, which is the first sentence of each method's comment in the contract."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from docs.generated import DOCS, ROOT, main, with_block

PAGE = DOCS / "api.md"
SOURCES = sorted((ROOT / "protos" / "quarterdeck" / "v1").glob("*_service.proto"))

_SERVICE = re.compile(r"((?:^//.*\n)+)^service (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_METHOD = re.compile(r"((?:^ {2}//.*\n)+)^ {2}rpc (\w+)\(\w+\) returns \((stream )?\w+\);", re.MULTILINE)


def rows(source: Path) -> Iterator[str]:
    """A table row for each method of a file, under its service."""
    for comment, service, body in _SERVICE.findall(source.read_text(encoding="utf-8")):
        yield f"| **`{service}`** | {_first_sentence(comment)} |"
        for told, method, stream in _METHOD.findall(body):
            yield f"| `{method}`{' (a stream)' if stream else ''} | {_first_sentence(told)} |"


def _first_sentence(comment: str) -> str:
    text = " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())
    return text.partition(". ")[0].removesuffix(".")


def render(text: str) -> str:
    """The page with a table that is current."""
    table = ["| service, method | what it does |", "|---|---|", *(row for source in SOURCES for row in rows(source))]
    return with_block(text, "methods", "\n".join(table))


if __name__ == "__main__":
    sys.exit(main(PAGE, render))
