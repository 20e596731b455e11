"""Owns resource names: every method takes a full name or only its last part, the id."""

from __future__ import annotations

DEFAULT_ACCOUNT = "main"
"""What a daemon's account is called if nobody says otherwise."""

ALL_ACCOUNTS = "accounts/-"
"""Every account of a daemon, where that is allowed."""


def account_name(account: str) -> str:
    """`accounts/{account}`."""
    return _named("accounts", account)


def instrument_name(instrument: str) -> str:
    """`instruments/{instrument}`."""
    return _named("instruments", instrument)


def bot_name(bot: str) -> str:
    """`bots/{bot}`."""
    return _named("bots", bot)


def order_name(account: str, order: str) -> str:
    """`accounts/{account}/orders/{order}`."""
    return _named(f"{account_name(account)}/orders", order)


def position_name(account: str, instrument: str) -> str:
    """`accounts/{account}/positions/{instrument}`; the instrument may be given by its own name, too."""
    return _named(f"{account_name(account)}/positions", instrument.removeprefix("instruments/"))


def _named(collection: str, text: str) -> str:
    """The full name. What is none already becomes the last part of one; nothing stays nothing, for "any"."""
    return text if "/" in text or not text else f"{collection}/{text}"
