"""Owns the reference part of docs/plugins.md: every hook, every interface and every word a plugin author meets.

Signatures and promises are those of the source: what is written there in docstrings is what the page says.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from textwrap import dedent
from types import ModuleType
from typing import get_args

from docs.generated import DOCS, main, with_block
from quarterdeck.domain import capabilities, deciders, instrument, market, order, report, risk, signal, sizing, venue
from quarterdeck.plugin import exchange, feed, hookspecs

PAGE = DOCS / "plugins.md"

INTERFACES: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (deciders, ("Strategy", "Sizer", "Scaler", "RiskRule", "AccountView")),
    (feed, ("Feed", "WatchedFeed")),
    (exchange, ("Exchange", "BulkCancel", "FrameSource", "Reminded", "EmbeddedExchange")),
)

WORDS: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (hookspecs, ("Factory",)),
    (instrument, ("Instrument",)),
    (market, ("Candle", "Quote", "Trade", "FundingRate", "Ticker", "OrderBook")),
    (feed, ("MarketHealth",)),
    (signal, ("Signal", "Holding")),
    (sizing, ("SizingRequest", "RiskRatio", "Sized", "SizingStep", "Scale", "SizingRefused")),
    (order, ("OrderTerms",)),
    (risk, ("OrderDraft", "Refused", "LimitStatus")),
    (capabilities, ("Capabilities",)),
    (exchange, ("PlaceOrder", "CancelOrder", "AmendOrder")),
    (venue, ("VenueOrder", "VenuePosition", "VenueAccount")),
    (report, tuple(each.__name__ for each in get_args(report.Report))),
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def hooks() -> Iterator[str]:
    """One section for each hook, as a plugin's module writes it."""
    for function in _functions(hookspecs, "Hooks"):
        function.args.args.clear()  # a hook is written as a plain function
        yield f"### {function.name}\n\n```text\n{_signature(function)}\n```\n\n{_promise(function)}"


def interfaces() -> Iterator[str]:
    """One section for each interface, with every member of its own."""
    for module, names in INTERFACES:
        for name in names:
            members = [_member(function) for function in _functions(module, name)]
            yield f"### {name}\n\nIn `{module.__name__}`. {_promise(_class(module, name))}\n\n" + "\n".join(members)


def words() -> Iterator[str]:
    """One entry for each value that is handed to a plugin or expected from it."""
    for module, names in WORDS:
        for name in names:
            node = _class(module, name)
            fields = [ast.unparse(each) for each in node.body if isinstance(each, ast.AnnAssign)]
            given = ", ".join(f"`{each}`" for each in fields or _arguments(node))
            yield f"- **{name}** in `{module.__name__}`. {_indented(_promise(node))}\n\n  {given}"


def render(text: str) -> str:
    """The page with a reference that is current."""
    text = with_block(text, "hooks", "\n\n".join(hooks()))
    text = with_block(text, "interfaces", "\n\n".join(interfaces()))
    return with_block(text, "words", "\n".join(words()))


def _class(module: ModuleType, name: str) -> ast.ClassDef:
    (node,) = ast.parse(dedent(inspect.getsource(getattr(module, name)))).body
    if not isinstance(node, ast.ClassDef):
        raise TypeError(f"{module.__name__}.{name} is not a class")
    return node


def _functions(module: ModuleType, name: str) -> Iterator[Function]:
    """What a class declares itself, in the order of its source."""
    for node in _class(module, name).body:
        if isinstance(node, Function):
            yield node


def _member(function: Function) -> str:
    if any(isinstance(each, ast.Name) and each.id == "property" for each in function.decorator_list):
        return f"- `@property {_signature(function)}`\n  {_indented(_promise(function))}"
    return f"- `{_signature(function)}`\n  {_indented(_promise(function))}"


def _signature(function: Function) -> str:
    kind = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{kind} {function.name}({ast.unparse(function.args)}){returns}"


def _arguments(node: ast.ClassDef) -> list[str]:
    """What a class that is no dataclass is made of."""
    init = next((each for each in node.body if isinstance(each, Function) and each.name == "__init__"), None)
    return [ast.unparse(each) for each in init.args.args[1:]] if init else []


def _promise(node: Function | ast.ClassDef) -> str:
    """A docstring as Markdown: paragraphs in one line each, what it raises as a sentence."""
    paragraphs = (ast.get_docstring(node) or "").split("\n\n")
    lines = [" ".join(line.strip() for line in paragraph.splitlines()) for paragraph in paragraphs]
    return "\n\n".join(line.replace("Raises: ", "Raises ", 1) for line in lines)


def _indented(text: str) -> str:
    return text.replace("\n\n", "\n\n  ")


if __name__ == "__main__":
    sys.exit(main(PAGE, render))
