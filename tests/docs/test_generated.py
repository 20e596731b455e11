"""Guards that what is generated in docs/ is current, and that the generators notice when it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from docs import generate_errors
from docs.generated import main, with_block
from quarterdeck.rpc.errors import TABLE
from tests.repository import ROOT

GENERATORS = sorted(path.stem for path in (ROOT / "docs").glob("generate_*.py"))


@pytest.mark.parametrize("generator", GENERATORS)
def test_generated_pages_are_current(generator: str) -> None:
    command = [sys.executable, "-m", f"docs.{generator}", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}\n`python -m docs --write` writes it anew"


def test_a_stale_page_is_noticed_shown_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- generated: x -->\n<!-- end: x -->\n\nWritten by hand.\n")

    def render(text: str) -> str:
        return with_block(text, "x", "new")

    assert main(page, render, ["--check"]) == 1
    assert "+new" in capsys.readouterr().out
    assert main(page, render, ["--write"]) == 0
    assert main(page, render, ["--check"]) == 0
    assert page.read_text().endswith("Written by hand.\n")


@pytest.mark.parametrize(
    "text", ["", "<!-- generated: x -->\n", "<!-- end: x -->\n<!-- generated: x -->\n", "<!-- generated: x --> here\n"]
)
def test_a_page_without_room_for_the_block_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        with_block(text, "x", "new")


def test_errors_are_those_the_daemon_sends() -> None:
    told = {each.name: (each.code, each.metadata) for each in generate_errors.reasons(source())}
    assert told.keys() == TABLE.keys()
    for reason, row in TABLE.items():
        code, metadata = told[reason]
        assert (code, set(metadata)) == (row.code.name, set(row.keys)), reason


def test_a_comment_that_cannot_be_sorted_is_refused() -> None:
    with pytest.raises(ValueError, match="ORDER_LOST"):
        generate_errors.reasons("  // Somebody lost the order. Look for it.\n  ERROR_REASON_ORDER_LOST = 1;")


def source() -> str:
    """The contract's errors."""
    return generate_errors.SOURCE.read_text()
