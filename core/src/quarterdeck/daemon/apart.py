"""Owns keeping the accounts of one daemon apart: what two of them must not share, and who trades what at a venue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from quarterdeck.daemon.config import Config
from quarterdeck.daemon.journal.opening import file_of
from quarterdeck.domain.errors import ConfigError
from quarterdeck.plugin.exchange import Exchange, Identified


class Named(NamedTuple):
    """A configuration, and where it came from."""

    where: str
    config: Config


def check_apart(files: Sequence[Named]) -> None:
    """Refuse configurations that can't be one daemon's. What belongs to the daemon is said by the first.

    Raises:
        ConfigError: two of them share what each needs for itself; the text names the field and both files.
    """
    for where, config in files[1:]:
        if "listen" in config.daemon.model_fields_set:
            raise ConfigError(
                f"{where}: daemon.listen: one daemon has one address, which {files[0].where} says; remove it"
            )
    for field, key in _OWN.items():
        seen: dict[object, str] = {}
        for where, config in files:
            value = key(config)
            if value and value in seen:
                raise ConfigError(f"{where}: {field}: {seen[value]} has the same; each account needs its own")
            seen[value] = where


def _journal(config: Config) -> object:
    """What a journal's URL leads to, however it is written."""
    file = file_of(config.journal.url)
    if file is not None:
        return file.resolve()
    try:
        url = make_url(config.journal.url)
    except ArgumentError:  # whoever opens it says what is wrong
        return config.journal.url
    return url.host, url.port, url.database, str(url.query)


#: What each account has for itself. What is empty is nobody's.
_OWN: dict[str, Callable[[Config], object]] = {
    "account.id": lambda config: config.account.id,
    "journal.url": _journal,
    "journal.anchor_file": lambda config: config.journal.anchor_file and Path(config.journal.anchor_file).resolve(),
}


class Claims:
    """Which of a daemon's accounts trades which account at a venue."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    def claim(self, account_id: str, exchange: Exchange) -> None:
        """An account is about to trade there, or was found to: no other may.

        Raises:
            ConfigError: another does.
        """
        for identity in exchange.identities if isinstance(exchange, Identified) else ():
            holder = self._held.setdefault(identity, account_id)
            if holder != account_id:
                raise ConfigError(
                    f"exchange: accounts/{account_id} and accounts/{holder} both trade {identity}: "
                    "one account at a venue is traded by one account here"
                )
