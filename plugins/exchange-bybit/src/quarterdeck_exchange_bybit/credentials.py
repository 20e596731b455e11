"""Owns the API key: where it is read from, and that it is never shown."""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from quarterdeck.plugin import ConfigError

_SHORTEST = 8


class Secret:
    """A text that shows itself to nobody but who asks for it by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied into files or other processes")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key and what it signs with."""

    key: Secret
    secret: Secret

    @property
    def fingerprint(self) -> str:
        """What tells one key from another and does not give it away."""
        return sha256(self.key.reveal().encode()).hexdigest()[:8]


def load_credentials(source: str) -> Credentials:
    """Read the key from where `source` says; see `BybitSettings.credentials`.

    Raises:
        ConfigError: it is not there, too short, or others may read the file.
    """
    kind, _, name = source.partition(":")
    if kind == "env" and name:
        return _checked(
            os.environ.get(f"{name}_API_KEY"), os.environ.get(f"{name}_API_SECRET"), f"{name}_API_KEY and …"
        )
    if kind == "file" and name:
        return _from_file(Path(name))
    if kind == "keyring" and name:
        return _from_keyring(name)
    raise ConfigError(f"credentials: {source!r} is none of 'env:NAME', 'file:PATH', 'keyring:NAME'")


def _from_file(path: Path) -> Credentials:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"credentials: {path} can be read by others: chmod 600 it")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"credentials: {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # Not from the error: what it quotes may be the secret.
        raise ConfigError(f"credentials: {path} is not TOML with api_key and api_secret") from None
    unknown = set(table) - {"api_key", "api_secret"}
    if unknown:
        raise ConfigError(f"credentials: {path} has keys nobody knows: {', '.join(sorted(unknown))}")
    return _checked(table.get("api_key"), table.get("api_secret"), str(path))


def _from_keyring(name: str) -> Credentials:
    try:
        keyring = import_module("keyring")
    except ImportError as error:
        raise ConfigError("credentials: the package 'keyring' is not installed: pip install keyring") from error
    return _checked(
        keyring.get_password(name, "api_key"), keyring.get_password(name, "api_secret"), f"the keyring's {name}"
    )


def _checked(key: object, secret: object, where: str) -> Credentials:
    for what, value in (("api_key", key), ("api_secret", secret)):
        if not isinstance(value, str) or len(value) < _SHORTEST:
            raise ConfigError(f"credentials: {where}: {what} is missing or shorter than {_SHORTEST} characters")
    return Credentials(Secret(str(key)), Secret(str(secret)))
