"""What a page's fenced blocks are, and what is to be done with each. Knows Markdown, and nothing of Quarterdeck.

A comment before a fence decides where the default does not fit:

    <!-- run: daemon -->            a daemon must be there, from this fence on
    <!-- norun: why -->             it is not run, and that is why
    <!-- file: examples/x.py -->    it shows this file, which is tested by itself
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

#: Commands with what they print, commands, programs.
RUN = {"console", "bash", "python"}
#: Read by whoever would read them: the configuration's checker, a JSON parser.
CHECKED = {"toml", "json"}
#: Nothing to run.
PROSE = {"", "text", "mermaid", "proto"}

_MARK = re.compile(r"<!-- (run|norun|file): *(.*?) *-->")
_PROMPT = "$ "


class BadFence(Exception):
    """A fence that nobody can say what to do with."""


class Action(StrEnum):
    """What is done with a fence."""

    RUN = "run"
    CHECK = "check"
    COMPARE = "compare"
    LEAVE = "leave"


@dataclass(frozen=True)
class Fence:
    """One fenced block; `line` is where its text begins."""

    language: str
    text: str
    line: int
    mark: str = ""
    argument: str = ""

    @property
    def action(self) -> Action:
        """What is to be done with it.

        Raises:
            BadFence: its language is not known, a reason is missing, or it hides commands from being run.
        """
        if self.language not in RUN | CHECKED | PROSE:
            raise BadFence(f"line {self.line}: language {self.language!r} is not among {sorted(RUN | CHECKED | PROSE)}")
        if self.mark and not self.argument:
            raise BadFence(f"line {self.line}: say why, or what: <!-- {self.mark}: … -->")
        if self.language in PROSE:
            if self.mark or _PROMPT in self.text.splitlines()[0][: len(_PROMPT)]:
                raise BadFence(f"line {self.line}: commands are written as `console`, and are run")
            return Action.LEAVE
        if self.mark == "norun":
            return Action.LEAVE
        if self.mark == "file":
            return Action.COMPARE
        return Action.CHECK if self.language in CHECKED else Action.RUN

    @property
    def needs_daemon(self) -> bool:
        """Whether a daemon must be there."""
        return self.mark == "run" and self.argument == "daemon"


@dataclass(frozen=True)
class Command:
    """A line that is typed, and what it prints."""

    text: str
    expected: str
    line: int

    @property
    def fails(self) -> bool:
        """Whether it is shown as one that does not succeed."""
        return self.expected.lstrip().startswith("Error:") or self.text.endswith("# fails")


def fences(page: str) -> Iterator[Fence]:
    """Every fenced block of a page, in order.

    Raises:
        BadFence: one is not closed.
    """
    opened: tuple[str, int, tuple[str, str]] | None = None
    mark, body = ("", ""), list[str]()
    for number, line in enumerate(page.splitlines(), start=1):
        if opened is None:
            if line.lstrip().startswith("```"):
                opened, body = (line.strip().removeprefix("```"), number + 1, mark), []
                mark = ("", "")
            elif found := _MARK.fullmatch(line.strip()):
                mark = (found[1], found[2])
            elif line.strip():
                mark = ("", "")
        elif line.strip() == "```":
            language, start, (kind, argument) = opened
            yield Fence(language, "\n".join(body), start, kind, argument)
            opened = None
        else:
            body.append(line)
    if opened is not None:
        raise BadFence(f"line {opened[1]}: the fence is not closed")


def commands(fence: Fence) -> Iterator[Command]:
    """The commands of a `console` fence, each with what follows it up to the next. `\\` and `> ` go on a line.

    Raises:
        BadFence: it does not begin with a command.
    """
    typed, printed, start = list[str](), list[str](), 0
    for number, line in enumerate(fence.text.splitlines(), start=fence.line):
        if line.startswith(_PROMPT):
            if typed:
                yield Command("\n".join(typed), "\n".join(printed), start)
            typed, printed, start = [line.removeprefix(_PROMPT)], [], number
        elif not typed:
            raise BadFence(f"line {number}: a console begins with a command, such as `$ quarterdeck status`")
        elif line.startswith("> ") and not printed:
            typed.append(line.removeprefix("> "))
        else:
            printed.append(line)
    if typed:
        yield Command("\n".join(typed), "\n".join(printed), start)


def matches(expected: str, printed: str) -> bool:
    """Whether what was printed is what the page shows. `...` stands for anything; how wide a gap is does not matter."""
    pieces = [re.escape(" ".join(piece.split())) for piece in expected.split("...")]
    return re.fullmatch(r"\s*" + r".*?".join(pieces) + r"\s*", " ".join(printed.split()), re.DOTALL) is not None
