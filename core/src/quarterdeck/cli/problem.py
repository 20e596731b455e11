"""Owns how a failure is told: one sentence and a hint on stderr; with `--json` an object on stdout too.

Light on purpose: it is imported before any command is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import typer

INVALID_COMMAND = "INVALID_COMMAND"
"""The reason of a fault in the command line itself; the contract's reasons are for calls."""

FAILED = 1
MISUSED = 2


class Problem(Exception):
    """What ends a command. `code` and `reason` are the contract's words where there are any.

    `violations` are the fields of a request that are wrong, `details` further lines; `hint` is what to do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Mapping[str, str] | None = None,
        details: Sequence[str] = (),
        hint: str = "",
        exit_code: int = FAILED,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = dict(violations or {})
        self.details = (*(f"{field}: {text}" for field, text in self.violations.items()), *details)
        self.hint = hint
        self.exit_code = exit_code


def misused(message: str, hint: str = "") -> Problem:
    """A command line that makes no sense."""
    return Problem(message, code="INVALID_ARGUMENT", reason=INVALID_COMMAND, hint=hint, exit_code=MISUSED)


def tell(problem: Problem, *, as_json: bool) -> None:
    """Say what is wrong."""
    typer.secho(f"Error: {problem.message}", fg="red", err=True)
    for line in problem.details:
        typer.secho(f"  {line}", err=True)
    if problem.hint:
        typer.secho(problem.hint, dim=True, err=True)
    if as_json:
        error = {
            "code": problem.code,
            "reason": problem.reason,
            "message": "\n".join((problem.message, *problem.details)),
            "metadata": problem.metadata,
        }
        if problem.violations:
            error["violations"] = problem.violations
        typer.echo(json.dumps({"error": error}))
