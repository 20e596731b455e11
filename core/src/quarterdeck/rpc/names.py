"""Owns resource names, such as `accounts/main/orders/buy-1`: how they are made and taken apart, here alone.

The contract's rules have seen a name before it comes here; what is checked is what only the daemon can know. Inside an
account a name is the account's own name, what kind it is of, and its id: `account + ORDERS + order_id`.
"""

from __future__ import annotations

from quarterdeck.domain.errors import InvalidRequest, NotFound

ORDERS = "/orders/"
FILLS = "/fills/"
POSITIONS = "/positions/"

_ACCOUNTS = "accounts/"

ALL_ACCOUNTS = "accounts/-"
"""Stands for every account, where that is allowed."""

_INSTRUMENTS = "instruments/"
_BOTS = "bots/"


def account(account_id: str) -> str:
    """`accounts/{account}`."""
    return _ACCOUNTS + account_id


def instrument(symbol: str) -> str:
    """`instruments/{instrument}`."""
    return _INSTRUMENTS + symbol


def symbol_of(name: str) -> str:
    """The instrument's id; empty for no instrument."""
    return name[len(_INSTRUMENTS) :]


def bot(bot_id: str) -> str:
    """`bots/{bot}`; empty for no bot."""
    return _BOTS + bot_id if bot_id else ""


def bot_id_of(name: str) -> str:
    """The bot's id; empty for no bot."""
    return name[len(_BOTS) :]


def last_id(name: str) -> str:
    """The last id in a name; empty for an empty name."""
    return name[name.rfind("/") + 1 :]


def account_in(name: str) -> str:
    """The account at the beginning of a name, such as `accounts/main` in `accounts/main/orders/buy-1`."""
    end = name.find("/", len(_ACCOUNTS))
    return name if end < 0 else name[:end]


def id_within(name: str, account_name: str, kind: str, field: str) -> str:
    """The id in a name of an account's orders, fills or positions.

    Raises:
        NotFound: it is of another account.
        InvalidRequest: it is no such name; the message names `field`.
    """
    owner, found, last = name.partition(kind)
    if not found or not last or "/" in last or not owner.startswith(_ACCOUNTS):
        raise InvalidRequest(field, f"must be accounts/{{account}}{kind}{{id}}, was {name!r}")
    if owner != account_name:
        raise NotFound("account", owner, account_name)
    return last
