"""Owns how one description of a method serves both clients.

A method of a group says what its call is (`Unary`, `Pages` or `Stream`); `rpc` makes it. On the async client the
method then gives something to await or to iterate with `async for`, on the sync client the answer or a plain iterator,
and type checkers see which.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from quarterdeck.client.aio import AsyncLink, AsyncListing, AsyncStream
from quarterdeck.client.calls import Pages, Stream, Unary
from quarterdeck.client.names import DEFAULT_ACCOUNT, account_name
from quarterdeck.client.sync import SyncLink, SyncListing, SyncStream

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound="Unary[Any] | Pages[Any] | Stream[Any]")
L = TypeVar("L", AsyncLink, SyncLink)


class Group(Generic[L]):
    """Methods that belong together, on one link, for one account.

    `chosen` is its name where the account was chosen and nothing otherwise: a request that may leave the account out
    then means the daemon's only one, whatever that is called.
    """

    def __init__(self, link: L, account: str | None) -> None:
        self.link: L = link
        self.account = account or DEFAULT_ACCOUNT
        self.chosen = account_name(account or "")


class rpc(Generic[P, C]):  # noqa: N801 - a decorator, used like `property`
    """Makes the call a method describes."""

    def __init__(self, describe: Callable[Concatenate[Any, P], C]) -> None:
        self._describe = describe
        functools.update_wrapper(self, describe)  # type: ignore[arg-type]  # for help(); it wraps, but is not called

    @overload
    def __get__(
        self: rpc[P, Unary[T]], group: Group[AsyncLink], owner: type[Any]
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self: rpc[P, Unary[T]], group: Group[SyncLink], owner: type[Any]) -> Callable[P, T]: ...
    @overload
    def __get__(self: rpc[P, Pages[T]], group: Group[AsyncLink], owner: type[Any]) -> Callable[P, AsyncListing[T]]: ...
    @overload
    def __get__(self: rpc[P, Pages[T]], group: Group[SyncLink], owner: type[Any]) -> Callable[P, SyncListing[T]]: ...
    @overload
    def __get__(self: rpc[P, Stream[T]], group: Group[AsyncLink], owner: type[Any]) -> Callable[P, AsyncStream[T]]: ...
    @overload
    def __get__(self: rpc[P, Stream[T]], group: Group[SyncLink], owner: type[Any]) -> Callable[P, SyncStream[T]]: ...
    @overload
    def __get__(self, group: None, owner: type[Any]) -> Self: ...

    def __get__(self, group: Group[Any] | None, owner: type[Any]) -> Any:
        if group is None:
            return self
        describe = MethodType(self._describe, group)

        @functools.wraps(describe)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - see the overloads
            described = describe(*args, **kwargs)
            if isinstance(described, Unary):
                return group.link.unary(described)
            if isinstance(described, Pages):
                return group.link.pages(described)
            return group.link.stream(described)

        return call
