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


def id_within(name: str, account_name: str, kind: str, field: str) -> str:
    """The id in a name of an account's orders, fills or positions.

    Raises:
        NotFound: it is of another account.
        InvalidRequest: it is no such name; the message names `field`.
    """
    owner, found, last = name.partition(kind)
    if not found or not last or "/" in last:
        raise InvalidRequest(field, f"must be accounts/{{account}}{kind}{{id}}, was {name!r}")
    check_account(owner, account_name, field)
    return last


def check_account(name: str, account_name: str, field: str) -> None:
    """Refuse every account but one.

    Raises:
        NotFound: it is another.
        InvalidRequest: it is no account's name; the message names `field`.
    """
    if name == account_name:
        return
    if not name.startswith(_ACCOUNTS) or name.count("/") != 1 or name == _ACCOUNTS:
        raise InvalidRequest(field, f"must be accounts/{{account}}, was {name!r}")
    raise NotFound("account", name)
