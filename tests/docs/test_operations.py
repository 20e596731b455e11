"""Guards that docs/operations.md lists every key of the configuration, with its default."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from quarterdeck.daemon.config import BotSection, Config, PluginChoice
from quarterdeck.daemon.journal.schema import PROJECTIONS
from tests.repository import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()

SECTIONS = {name: field for name, field in Config.model_fields.items() if isinstance(field.default, BaseModel)}
PLAIN = {
    name: field.annotation
    for name, field in SECTIONS.items()
    if isinstance(field.annotation, type) and field.annotation is not PluginChoice
}


def rows(heading: str) -> dict[str, str]:
    """The keys and defaults of the table under a heading."""
    _, found, rest = PAGE.partition(f"\n### {heading}\n")
    assert found, f"docs/operations.md has no heading {heading!r}"
    text = re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, flags=re.MULTILINE))


def default(field: FieldInfo) -> str:
    """A field's default as the page writes it."""
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value in ({}, (), ""):
        return "empty"
    if isinstance(value, Decimal):
        return f"`{value:f}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_there_are_sections() -> None:
    assert {"daemon", "journal", "account", "limits", "live", "reconcile"} == set(PLAIN)


@pytest.mark.parametrize("name", PLAIN)
def test_every_key_of_a_section_is_told_with_its_default(name: str) -> None:
    model: Any = PLAIN[name]
    assert rows(f"`[{name}]`") == {key: default(field) for key, field in model.model_fields.items()}


def test_every_key_of_a_bot_is_told_with_its_default() -> None:
    assert rows("`[[bots]]`") == {key: default(field) for key, field in BotSection.model_fields.items()}


def test_every_choice_of_a_plugin_is_told_with_its_default() -> None:
    names = ("exchange", "feed", "sizing")
    told = rows(", ".join(f"`[{name}]`" for name in names))
    assert told.keys() == PluginChoice.model_fields.keys()
    assert told["plugin"] == ", ".join(f"`{Config.model_fields[name].default.plugin}`" for name in names)


def test_nothing_of_the_top_level_is_left_out() -> None:
    told = set(re.findall(r"`\[+(\w+)\]+`", "".join(re.findall(r"^### .*$", PAGE, flags=re.MULTILINE))))
    assert told | set(rows("Top level")) == set(Config.model_fields)
    assert rows("Top level") == {"mode": default(Config.model_fields["mode"])}


def test_tables_for_sql_are_named() -> None:
    assert [table.name for table in PROJECTIONS if f"`{table.name}`" not in PAGE] == []
