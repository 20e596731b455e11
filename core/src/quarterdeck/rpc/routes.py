"""Owns which account a call is for: by the name in its request, to the servicer of that account.

Every servicer knows one account only. A request names its account in `parent`, in `account` or at the beginning of its
`name`; where it may leave that out, it means the only one there is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from operator import attrgetter
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from quarterdeck.domain.errors import InvalidRequest, NotFound
from quarterdeck.rpc import names

Serve = Callable[[Any, Any], Awaitable[Any]]
"""Answers a request in a context."""

Find = Callable[[Any], str]
"""The account's name in a request; empty if there is none."""


class Routes:
    """The accounts that are served, and who serves each. What is not in it is an error of the caller's."""

    def __init__(self) -> None:
        self._served: dict[str, Mapping[str, Serve]] = {}
        self._methods: dict[str, dict[str, Serve]] = {}
        """By method and account; the account of no name is the only one."""

    def put(self, account: str, serves: Mapping[str, Serve]) -> None:
        """Have an account's calls served like this, by their methods' names, from now on."""
        self._served[account] = serves
        for method, by_account in self._methods.items():
            self._fill(method, by_account)

    def method(self, name: str, request: Descriptor) -> Serve:
        """What serves a method for every account, as the requests of it say."""
        by_account = self._methods.setdefault(name, {})
        self._fill(name, by_account)
        find = finder(request)

        def serve(request: Any, context: Any) -> Awaitable[Any]:  # noqa: ANN401 - any method's
            served = by_account.get(find(request))
            return (served or self._refuse(request))(request, context)

        return serve

    def account_of(self, request: object) -> str:
        """The name of the account a request is for; empty if that can't be told."""
        name = finder(request.DESCRIPTOR)(request) if isinstance(request, Message) else ""  # type: ignore[arg-type]  # upb's descriptor is like Python's
        return name or (next(iter(self._served)) if len(self._served) == 1 else "")

    def _fill(self, method: str, by_account: dict[str, Serve]) -> None:
        by_account.clear()
        for account, serves in self._served.items():
            by_account[account] = serves[method]
        if len(self._served) == 1:
            by_account[""] = next(iter(by_account.values()))

    def _refuse(self, request: Any) -> Serve:  # noqa: ANN401 - any method's
        """Never a way to serve it: say what is wrong.

        Raises:
            NotFound: there is no such account.
            InvalidRequest: there are several, and the request names none.
        """
        there, name = ", ".join(sorted(self._served)), finder(request.DESCRIPTOR)(request)
        if name:
            raise NotFound("account", name, there)
        raise InvalidRequest("account", f"this daemon has several accounts: name one of {there}")


def finder(request: Descriptor) -> Find:
    """Finds the account's name in requests of a kind."""
    fields = request.fields_by_name
    if "parent" in fields:
        return attrgetter("parent")
    if "account" in fields:
        return attrgetter("account")
    if "name" in fields:
        return lambda request: names.account_in(request.name)
    if "bot" in fields:
        return attrgetter("bot.account")
    return lambda _: ""
