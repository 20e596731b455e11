"""Owns writing a table as TOML; reading it is the standard library's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

Table = Mapping[str, Any]


def written(table: Table) -> str:
    """A table as TOML text, in which decimals are text. What is None is left out: TOML has no word for it.

    Raises:
        TypeError: a value is no text, number, boolean, datetime, list or table.
    """
    return "\n".join(_lines(table, ())).strip() + "\n"


def _lines(table: Table, path: tuple[str, ...]) -> Iterator[str]:
    """The table's own values first, then the tables inside it under headings of their own."""
    inside = {key: value for key, value in table.items() if isinstance(value, Mapping) or _is_tables(value)}
    for key, value in table.items():
        if key not in inside and value is not None:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in inside.items():
        here = (*path, key)
        heading = ".".join(map(_key, here))
        if isinstance(value, Mapping):
            if value:
                yield from ("", f"[{heading}]", *_lines(value, here))
            continue
        for each in value:
            yield from ("", f"[[{heading}]]", *_lines(each, here))


def _is_tables(value: object) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else _text(key)


def _value(value: Any) -> str:  # noqa: ANN401 - whatever a table holds
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f'"{value:f}"'
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_value, value))}]"
    raise TypeError(f"{type(value).__name__} is nothing that stands in a configuration")


def _text(text: str) -> str:
    """JSON's spelling is TOML's, but for characters beyond sixteen bits and the one control character JSON allows."""
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")
