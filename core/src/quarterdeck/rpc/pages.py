"""Owns listings in pages: how large a page is, what a page token says, and listings kept while they are read.

A token is bound to its query and to the journal position of the first page. A listing of what is in memory is kept
whole from its first page on, so that all its pages show that one position; what is on disk is read on from where a page
ended.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Generic, NamedTuple, Protocol, TypeVar

from google.protobuf.message import Message

from quarterdeck.domain.errors import InvalidRequest

DEFAULT_SIZE = 50
LARGEST_SIZE = 1_000

#: Listings that are being read and not yet at their end; the oldest is given up for a new one.
LISTINGS_KEPT = 32

_DIGEST = 12
_PLACE = 8


class ListRequest(Protocol):
    """Any request for a list."""

    page_size: int
    page_token: str


Item = TypeVar("Item", bound=Message)


class Page(NamedTuple, Generic[Item]):
    """A page as a list response holds it."""

    items: Sequence[Item]
    next_page_token: str
    snapshot_sequence: int


class Token(NamedTuple):
    """What a page token says: the position the first page reflects, and where the next page begins."""

    sequence: int
    cursor: str

    @property
    def number(self) -> int:
        """The cursor, where it is a number.

        Raises:
            InvalidRequest: it is none.
        """
        if not self.cursor.removeprefix("-").isdecimal():
            raise mismatch()
        return int(self.cursor)


def size_of(request: ListRequest) -> int:
    """How many items a page has at most."""
    return min(request.page_size or DEFAULT_SIZE, LARGEST_SIZE)


def make_token(request: ListRequest, token: Token) -> str:
    """The token that continues a request."""
    said = _digest(request) + token.sequence.to_bytes(_PLACE, "big") + token.cursor.encode()
    return urlsafe_b64encode(said).decode().rstrip("=")


def read_token(request: ListRequest) -> Token | None:
    """What the request's token says; None if this asks for the first page.

    Raises:
        InvalidRequest: the token is of another query, or none of ours (PAGE_TOKEN_MISMATCH).
    """
    if not request.page_token:
        return None
    try:
        said = urlsafe_b64decode(request.page_token + "=" * (-len(request.page_token) % 4))
        cursor = said[_DIGEST + _PLACE :].decode()
    except (NotBase64, ValueError) as error:
        raise mismatch() from error
    if said[:_DIGEST] != _digest(request) or len(said) < _DIGEST + _PLACE:
        raise mismatch()
    return Token(int.from_bytes(said[_DIGEST : _DIGEST + _PLACE], "big"), cursor)


def mismatch() -> InvalidRequest:
    """The token is of no use here."""
    text = "belongs to another listing, or to one that was given up: list from the start"
    return InvalidRequest("page_token", text, "PAGE_TOKEN_MISMATCH")


def _digest(request: ListRequest) -> bytes:
    """What the query is, whatever the page."""
    query = type(request)()
    assert isinstance(query, Message)
    assert isinstance(request, Message)
    query.CopyFrom(request)
    query.ClearField("page_size")
    query.ClearField("page_token")
    said = query.DESCRIPTOR.full_name.encode() + b"\0" + query.SerializeToString(deterministic=True)
    return blake2b(said, digest_size=_DIGEST).digest()


class Listings:
    """Listings of what is in memory, kept from their first page to their last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Sequence[Message]] = OrderedDict()

    def page(self, request: ListRequest, sequence: int, build: Callable[[], Sequence[Item]]) -> Page[Item]:
        """One page. `build` makes the whole list, as it is at `sequence`; it is called for the first page only.

        Raises:
            InvalidRequest: see `read_token`; or the listing was given up.
        """
        token = read_token(request)
        if token is None:
            items = build()
            if len(items) <= size_of(request):
                return Page(items, "", sequence)
            listing, start = self._keep(items), 0
        else:
            listing, _, place = token.cursor.partition(":")
            kept = self._kept.get(listing)
            if kept is None or not place.isdecimal():
                raise mismatch()
            items, start, sequence = kept, int(place), token.sequence  # type: ignore[assignment]  # the digest tells the type
        end = start + size_of(request)
        more = make_token(request, Token(sequence, f"{listing}:{end}")) if end < len(items) else ""
        return Page(items[start:end], more, sequence)

    def _keep(self, items: Sequence[Message]) -> str:
        name = secrets.token_hex(8)
        self._kept[name] = items
        if len(self._kept) > LISTINGS_KEPT:
            self._kept.popitem(last=False)
        return name
