"""Owns reading a settings table into its model, and the words for what is wrong with it.

The daemon's own configuration and every plugin's settings go through here, so all of them complain alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar, get_args

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from quarterdeck.domain.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

Location = tuple[int | str, ...]


def validated(model: type[M], table: Mapping[str, object], where: str) -> M:
    """Read a table; `where` is how the user finds it, such as `[feed]`.

    Raises:
        ConfigError: one line for each wrong key, with its place, what was given and what is allowed. Secrets are not
            repeated.
    """
    try:
        return model.model_validate(dict(table))
    except ValidationError as refused:
        text = "\n".join(_complaints(model, table, where, refused.errors(include_url=False)))
    raise ConfigError(text)  # outside the handler: pydantic's own text would repeat secrets


def suggestion(given: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest of the known names, or nothing when none is near."""
    near = get_close_matches(given, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def listed(names: Iterable[str]) -> str:
    """Names for a sentence: sorted, with commas; `none` when there are none."""
    return ", ".join(sorted(names)) or "none"


def _complaints(
    model: type[BaseModel], table: Mapping[str, object], where: str, errors: Sequence[ErrorDetails]
) -> list[str]:
    """One line per place. A union reports one error per alternative; they become one line."""
    by_place: dict[Location, list[ErrorDetails]] = {}
    for error in errors:
        by_place.setdefault(_place(table, error), []).append(error)
    return [f"{where}{_complaint(model, place, same)}" for place, same in by_place.items()]


def _complaint(model: type[BaseModel], place: Location, errors: Sequence[ErrorDetails]) -> str:
    first = errors[0]
    if not place:
        return f": {_message(first)}"
    owner, key = _model_at(model, place[:-1]), str(place[-1])
    if first["type"] == "extra_forbidden":
        known = _keys(owner)
        return f" {_path(place)}: unknown key{suggestion(key, known)}; known: {listed(known)}"
    if first["type"] == "missing":
        return f" {_path(place)}: missing{_meaning(owner, key)}"
    shown = isinstance(first["input"], (str, int, float)) and not _is_secret(owner, key)
    given = f" = {first['input']!r}" if shown else ""
    allowed = " or ".join(dict.fromkeys(_message(error) for error in errors))
    return f" {_path(place)}{given}: {allowed}{_meaning(owner, key)}"


def _place(table: object, error: ErrorDetails) -> Location:
    """The part of an error's location that is keys of the table; what follows only names alternatives of a union."""
    place: list[int | str] = []
    current: object = table
    for part in error["loc"]:
        try:
            current = current[part]  # type: ignore[index]  # what can't be indexed has no such key
        except (KeyError, IndexError, TypeError):
            return tuple(place) if error["type"] != "missing" else (*place, part)
        place.append(part)
    return tuple(place)


def _path(place: Location) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def _message(error: ErrorDetails) -> str:
    text = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text.replace("Input should be", "must be", 1).replace("Input should", "must", 1)


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def _meaning(model: type[BaseModel] | None, key: str) -> str:
    """The field's own description, which says what is allowed in the author's words."""
    field = model.model_fields.get(key) if model else None
    return f" ({field.description})" if field and field.description else ""


def _model_at(model: type[BaseModel] | None, place: Location) -> type[BaseModel] | None:
    """The model that owns the table at a place, as far as annotations tell."""
    for part in place:
        if model is None or isinstance(part, int) or part not in model.model_fields:
            continue
        model = next(_models_in(model.model_fields[part].annotation), None)
    return model


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _is_secret(model: type[BaseModel] | None, key: str) -> bool:
    field = model.model_fields.get(key) if model else None
    annotation = field.annotation if field else None
    return any(kind in {SecretStr, SecretBytes} for kind in (annotation, *get_args(annotation)))
