"""Guards that docs/glossary.md is in order and points at things that exist."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from tests.repository import ROOT

ROWS = re.findall(
    r"^\| ([a-z -]+) \| ([^|]+) \| `([^`]+)` \|$", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE
)


def test_words_are_there_once_and_in_order() -> None:
    words = [word for word, _, _ in ROWS if word != "word"]
    assert len(words) > 50
    assert words == sorted(words)
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("place", sorted({place for _, _, place in ROWS}))
def test_a_word_lives_where_it_is_said_to(place: str) -> None:
    if "/" in place:
        assert (ROOT / place).is_file()
        return
    module, _, name = place.rpartition(".")
    if name[0].isupper() or not module:
        owner = import_module(f"quarterdeck.{module or name}")
        assert not module or hasattr(owner, name)
        return
    try:
        import_module(f"quarterdeck.{place}")
    except ModuleNotFoundError:
        assert hasattr(import_module(f"quarterdeck.{module}"), name)
