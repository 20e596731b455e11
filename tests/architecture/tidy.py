"""Rules about code that the import linter and ruff cannot see. Each takes one file and names what breaks the rule.

A rule yields `(line, complaint)` pairs; `test_tidy.py` applies it to the files it is for, and shows it a bad file too.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

Complaints = Iterator[tuple[int, str]]

PURE_PACKAGES = ("quarterdeck.domain", "quarterdeck.engine", "quarterdeck.matching")

# What pure code may import. Everything here is arithmetic, structure or text; nothing reaches outside the process.
PURE_IMPORTS = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "collections.abc",
    "copy",
    "dataclasses",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "operator",
    "re",
    "types",
    "typing",
}

IMPURE_BUILTINS = {
    "__import__": "imports by name",
    "breakpoint": "stops for a debugger",
    "eval": "runs text",
    "exec": "runs text",
    "hash": "differs from process to process",
    "id": "differs from process to process",
    "input": "reads the terminal",
    "open": "reads or writes a file",
    "print": "writes to the terminal",
}

IMPURE_METHODS = {
    "fromtimestamp": "needs a time zone of the machine",
    "monotonic": "reads the clock",
    "now": "reads the clock",
    "perf_counter": "reads the clock",
    "time_ns": "reads the clock",
    "today": "reads the clock",
    "urandom": "is random",
    "utcnow": "reads the clock",
    "uuid1": "is random",
    "uuid4": "is random",
}

NOQA = re.compile(r"#\s*noqa\b", re.IGNORECASE)
NOQA_WITH_REASON = re.compile(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)*( - |  # )\S")
TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore\b")
TYPE_IGNORE_WITH_REASON = re.compile(r"# type: ignore\[[a-z-]+(, ?[a-z-]+)*\]  # \S")
WHOLE_FILE = re.compile(r"#\s*(ruff\s*:\s*noqa|flake8\s*:\s*noqa|mypy\s*:)", re.IGNORECASE)


def impure_imports(source: str) -> Complaints:
    """Pure code imports other pure packages and a short list of the standard library."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            ours = any(name == package or name.startswith(f"{package}.") for package in PURE_PACKAGES)
            if not ours and name not in PURE_IMPORTS:
                yield node.lineno, f"imports {name}"


def impure_calls(source: str) -> Complaints:
    """Pure code asks nothing of the clock, of chance, of files or of the interpreter's memory."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS:
            yield node.lineno, f"{node.func.id}() {IMPURE_BUILTINS[node.func.id]}"
        elif isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE_METHODS:
            yield node.lineno, f".{node.func.attr}() {IMPURE_METHODS[node.func.attr]}"


def async_code(source: str) -> Complaints:
    """Pure code never waits."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            yield node.lineno, f"{type(node).__name__} in pure code"


def floats(source: str) -> Complaints:
    """Obligations are exact: no float literal, and no turning of something into a float."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, f"float literal {node.value}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            yield node.lineno, "float()"


def missing_docstring(source: str) -> Complaints:
    """Every module says what it owns."""
    if not ast.get_docstring(ast.parse(source)):
        yield 1, "no module docstring"


def bare_ignores(source: str) -> Complaints:
    """Whoever silences a tool names the rule and the reason, in the same line.

    `# noqa: S101 - reason` (or `  # reason`), `# type: ignore[arg-type]  # reason`; never a whole file.
    """
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        text, line = token.string, token.start[0]
        if WHOLE_FILE.search(text):
            yield line, f"silences a whole file: {text}"
        elif NOQA.search(text) and not NOQA_WITH_REASON.search(text):
            yield line, f"noqa without rule and reason: {text}"
        elif TYPE_IGNORE.search(text) and not TYPE_IGNORE_WITH_REASON.search(text):
            yield line, f"type: ignore without code and reason: {text}"


def long_file(source: str, limit: int = 500) -> Complaints:
    """A file has one purpose, and a reader keeps it in mind."""
    length = source.count("\n")
    if length > limit:
        yield length, f"{length} lines, more than {limit}"
