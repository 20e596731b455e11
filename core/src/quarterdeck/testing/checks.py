"""Owns what the suites of all deciders check alike: the factory, exact numbers, and what a call costs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal, FloatOperation, localcontext
from types import FrameType
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError

from quarterdeck.plugin import Factory, Settings

T = TypeVar("T")

_OWN = __name__.rpartition(".")[0] + "."

#: What a name in a configuration file looks like.
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
#: What a reason code looks like.
CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def build(factory: Factory[T], settings: Mapping[str, object]) -> T:
    """Build a part the way the daemon does: the table through the plugin's own model, the model to `build`."""
    return factory.build(factory.settings.model_validate(dict(settings)))


def check_factory(factory: Factory[object], settings: Mapping[str, object]) -> None:
    """Assert that a factory can be found by name, described in one line, and configured strictly."""
    assert NAME.fullmatch(factory.name), f"{factory.name!r}: names are lower case words joined by dashes"
    assert factory.summary.strip(), f"{factory.name}: say in a line what it does"
    assert "\n" not in factory.summary, f"{factory.name}: the summary is one line"
    assert issubclass(factory.settings, Settings), f"{factory.name}: settings derive from quarterdeck.plugin.Settings"
    with pytest.raises(ValidationError, match="no_such_key"):
        factory.settings.model_validate({**settings, "no_such_key": 1})
    build(factory, settings)


def is_exact(value: object) -> bool:
    """Whether a value is a finite Decimal, and not merely something that compares like one."""
    return type(value) is Decimal and value.is_finite()


@contextmanager
def money_arithmetic() -> Iterator[None]:
    """Compute as the daemon's thread does: 34 digits, and an error where a float meets a Decimal."""
    with localcontext() as context:
        context.prec = 34
        context.traps[FloatOperation] = True
        yield


def lines_run(call: Callable[[], object]) -> int:
    """How many lines of Python a call runs, those of the suites and stand-ins left out.

    A cost without a clock, so it is the same on every machine.
    """
    lines = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:  # noqa: ANN401  # as sys.settrace declares it
        nonlocal lines
        if str(frame.f_globals.get("__name__")).startswith(_OWN):
            return None
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines


def check_settings_table(readme: str, settings: type[Settings]) -> None:
    """Assert that a README's table lists every settings key with its default, and no other key.

    Rows look like "| `key` | default | what it does |"; the table stands below the heading "## Settings".
    """
    section = readme.partition("\n## Settings\n")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) \|", section, flags=re.MULTILINE))
    told = {key: _default_text(field.get_default()) for key, field in settings.model_fields.items()}
    assert listed == told, f"README says {listed}, the settings say {told}"


def _default_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "off" if value is None else str(value)
